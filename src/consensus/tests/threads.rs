//! The owner on its real thread, with an apply thread of its own.

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use base::{Clock as _, MemberId, SystemClock};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use disk::sim::{Fault, SimDisk};
use prost::Message as _;
use wal::{Wal, WalConfig, snap::SnapDir};
use wire::{raftpb, raftpb::EntryType, walpb};

use super::cluster::config;
use crate::{Apply, Busy, ConsensusError, Durable, Host, Raft, ReadState, Role, bootstrap_entries};

const PATIENCE: Duration = Duration::from_secs(20);

/// What came out of the owner thread.
#[derive(Debug)]
enum Event {
    Applied(raftpb::Entry),
    Read(ReadState),
    Stopped(Result<(), ConsensusError>),
}

#[derive(Debug)]
struct Outlets {
    apply: Sender<Apply>,
    events: Sender<Event>,
}

impl Host for Outlets {
    fn send(&mut self, _messages: Vec<raftpb::Message>) {}

    fn apply(&mut self, work: Apply) {
        // An apply thread that ended hears nothing more.
        drop(self.apply.send(work));
    }

    fn has_room(&self) -> bool {
        !self.apply.is_full()
    }

    fn reads(&mut self, reads: Vec<ReadState>) {
        for read in reads {
            self.events.send(Event::Read(read)).expect("the test listens");
        }
    }

    fn stopped(&mut self, reason: Result<(), ConsensusError>) {
        self.events.send(Event::Stopped(reason)).expect("the test listens");
    }
}

struct Node {
    raft: Raft,
    thread: JoinHandle<()>,
    applier: JoinHandle<()>,
    events: Receiver<Event>,
    disk: SimDisk,
}

impl Node {
    fn start() -> Self {
        let disk = SimDisk::new();
        let shared: Arc<dyn disk::Disk> = Arc::new(disk.clone());
        let metadata = walpb::Metadata { node_id: 1, cluster_id: 7 };
        let config_of_log = WalConfig { segment_bytes: 64 * 1024, ..WalConfig::default() };
        let mut wal = Wal::create(Arc::clone(&shared), Path::new("/wal"), metadata, config_of_log)
            .expect("a log");
        let member = (MemberId::new(1), Bytes::from_static(b"{}"));
        let (entries, hard_state) = bootstrap_entries(&[member]);
        wal.append(&entries, Some(&hard_state), true).expect("the first entry");
        let durable = Durable {
            wal,
            snaps: SnapDir::new(shared, Path::new("/snap")),
            snapshot: raftpb::SnapshotMetadata::default(),
            hard_state,
            entries,
            applied: 0.into(),
        };
        let (apply, work) = crossbeam_channel::bounded(4);
        let (events, seen) = crossbeam_channel::bounded(100_000);
        let outlets = Outlets { apply, events: events.clone() };
        let (raft, thread) = Raft::start(config(1, true), durable, outlets).expect("it starts");
        let handle = raft.clone();
        let applier = thread::spawn(move || apply_all(&handle, &work, &events));
        Self { raft, thread, applier, events: seen, disk }
    }

    fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("something happens")
    }

    fn wait_applied(&self, payload: &[u8]) -> raftpb::Entry {
        loop {
            if let Event::Applied(entry) = self.next()
                && entry.data.as_deref() == Some(payload)
            {
                return entry;
            }
        }
    }

    fn end(self) {
        self.thread.join().expect("the owner does not panic");
        let Self { raft, applier, .. } = self;
        assert_eq!(raft.propose(Bytes::new()), Err(Busy::Stopped));
        assert_eq!(raft.conf_change_applied(None), Err(Busy::Stopped));
        drop(raft);
        applier.join().expect("the apply thread does not panic");
    }
}

fn apply_all(raft: &Raft, work: &Receiver<Apply>, events: &Sender<Event>) {
    for batch in work {
        let Apply::Entries(entries) = batch else { continue };
        for entry in entries {
            if entry.r#type() == EntryType::EntryConfChange {
                let bytes = entry.data.clone().unwrap_or_default();
                let change = raftpb::ConfChange::decode(bytes).expect("a change");
                if raft.conf_change_applied(Some(change)).is_err() {
                    return;
                }
            }
            raft.applied(entry.index.into());
            events.send(Event::Applied(entry)).expect("the test listens");
        }
    }
}

#[test]
fn a_single_member_takes_proposals_reads_and_changes_and_stops_when_told() {
    let node = Node::start();
    node.raft.propose(Bytes::from_static(b"first")).expect("room");
    let entry = node.wait_applied(b"first");
    assert!(node.raft.commit().get() >= entry.index);
    node.raft.read_index(Bytes::from_static(b"context1")).expect("room");
    let read = loop {
        if let Event::Read(read) = node.next() {
            break read;
        }
    };
    assert!(read.index.get() >= entry.index);
    let change = raftpb::ConfChange {
        r#type: raftpb::ConfChangeType::ConfChangeAddLearnerNode.into(),
        node_id: 2,
        ..raftpb::ConfChange::default()
    };
    node.raft.propose_conf_change(change.clone()).expect("room");
    node.wait_applied(&change.encode_to_vec());
    let status = node.raft.status().borrow().clone();
    assert_eq!((status.role, status.leader), (Role::Leader, Some(MemberId::new(1))));
    node.raft.stop();
    while !matches!(node.next(), Event::Stopped(Ok(()))) {}
    node.end();
}

#[test]
fn thousands_of_proposals_share_syncs_and_come_out_in_order() {
    let node = Node::start();
    let started = SystemClock.now();
    let mut sent: u32 = 0;
    while sent < 5000 {
        match node.raft.propose(Bytes::copy_from_slice(&sent.to_be_bytes())) {
            Ok(()) => sent += 1,
            Err(Busy::Full) => thread::yield_now(),
            Err(Busy::Stopped) => panic!("it stopped"),
        }
    }
    let mut expected: u32 = 0;
    while expected < 5000 {
        assert!(within(started), "stuck at {expected}");
        if let Event::Applied(entry) = node.next()
            && let Some(payload) = entry.data.filter(|payload| payload.len() == 4)
        {
            assert_eq!(payload, expected.to_be_bytes().as_slice());
            expected += 1;
        }
    }
    node.raft.stop();
    while !matches!(node.next(), Event::Stopped(Ok(()))) {}
    node.end();
}

#[test]
fn after_a_failed_sync_the_thread_ends_and_says_why() {
    let node = Node::start();
    node.raft.propose(Bytes::from_static(b"first")).expect("room");
    node.wait_applied(b"first");
    node.disk.fail_sync(1, Fault::Eio);
    node.raft.propose(Bytes::from_static(b"lost")).expect("room");
    loop {
        match node.next() {
            Event::Applied(entry) => assert_ne!(entry.data.as_deref(), Some(b"lost".as_slice())),
            Event::Read(_) => {}
            Event::Stopped(reason) => {
                assert!(matches!(reason, Err(ConsensusError::Log(_))), "{reason:?}");
                break;
            }
        }
    }
    node.end();
}

fn within(started: Instant) -> bool {
    SystemClock.now().duration_since(started) < PATIENCE
}
