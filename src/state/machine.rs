//! The state machine as the apply thread sees it: opened over a backend, fed with committed entries,
//! asked for snapshots. Reads go to the shared parts, not through here.

mod apply;
mod configuration;

use std::sync::Arc;

use backend::{Backend, Bucket};
use base::{ClusterId, Index, MemberId, Term};
use bytes::Bytes;
use wire::{
    etcdserverpb::{
        AlarmResponse, AlarmType, CompactionResponse, DeleteRangeResponse, LeaseCheckpointResponse,
        LeaseGrantResponse, LeaseRevokeResponse, PutResponse, RangeResponse, ResponseHeader,
        TxnResponse,
    },
    raftpb::{ConfChange, Entry},
};

use crate::{
    alarm::Alarms,
    error::{ApiError, StateError},
    kv::{Kv, Store, write::Writer},
    lease::{LeaseOptions, Lessor},
    membership::{self, Membership, Roster},
    quota::Quota,
    v2::{self, V2Error},
};

/// Meta row: index of the last entry that the backend has seen.
const CONSISTENT_INDEX: &[u8] = b"consistent_index";
/// Meta row: that entry's term.
const TERM: &[u8] = b"term";

/// What the machine is told of its surroundings.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// This member, for response headers.
    pub member: MemberId,
    /// The cluster, for response headers.
    pub cluster: ClusterId,
    /// `--quota-backend-bytes`: zero means the default, a negative number none.
    pub quota_bytes: i64,
    /// How leases are granted.
    pub leases: LeaseOptions,
}

/// The state, with everything that changes it.
#[derive(Debug)]
pub struct Machine {
    /// The key space.
    pub kv: Arc<Kv>,
    /// The members.
    pub membership: Arc<Membership>,
    /// The alarms.
    pub alarms: Arc<Alarms>,
    /// The leases.
    pub lessor: Arc<Lessor>,
    options: MachineOptions,
    quota: Quota,
    backend: Backend,
    writer: Writer,
    v2: v2::Store,
    /// The membership as of the last applied entry.
    roster: Roster,
    /// What the backend's buckets said when it was opened.
    stored_roster: Roster,
    /// Last entry whose effect is in the backend or in the batch.
    consistent: Index,
    term: Term,
    /// Last entry applied since the machine was opened.
    applied: Index,
    /// Whether the consistent index has to be written.
    moved: bool,
    /// Size of the backend when the batch began.
    size_bytes: u64,
}

/// Tells whether somebody on this member waits for the outcome of the request with that id. If not,
/// no answer is made.
pub type Interest<'a> = &'a dyn Fn(u64) -> bool;

/// What became of an entry. It may be told to the client once [`Machine::finish_batch`] returned.
#[derive(Debug)]
pub struct Applied {
    /// The id under which the proposer waits; zero if there is none.
    pub request_id: u64,
    /// The answer.
    pub response: Result<Response, ApiError>,
    /// The alarm that this member should propose for itself before the client is told.
    pub raise_alarm: Option<AlarmType>,
    /// Whether a compaction was ordered: [`Kv::compact_step`] has work.
    pub compaction: bool,
}

/// The answer to a logged request. Headers have cluster, member and revision; the term is the caller's to fill.
#[derive(Debug)]
#[expect(missing_docs, reason = "named as the requests")]
pub enum Response {
    None,
    Range(RangeResponse),
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
    Compaction(CompactionResponse),
    LeaseGrant(LeaseGrantResponse),
    LeaseRevoke(LeaseRevokeResponse),
    LeaseCheckpoint(LeaseCheckpointResponse),
    Alarm(AlarmResponse),
    /// The cluster version was set.
    Version(String),
    /// A member published its attributes.
    Attributes(MemberId),
    /// A downgrade was begun (its target) or ended.
    Downgrade(Option<String>),
    /// An API v2 request; SYNC has no event.
    V2(Result<Option<Box<v2::Event>>, V2Error>),
}

/// What a backend held when it was opened.
struct Opened {
    store: Arc<Store>,
    roster: Roster,
    consistent: Index,
    term: Term,
}

impl Opened {
    fn read(backend: &Backend, lessor: &Lessor, alarms: &Alarms) -> Result<Self, StateError> {
        lessor.load(backend)?;
        alarms.load(backend)?;
        let store = Arc::new(Store::load(backend.clone(), lessor)?);
        Ok(Self {
            store,
            roster: Roster::from_backend(backend)?,
            consistent: Index::new(meta_number(backend, CONSISTENT_INDEX)?),
            term: Term::new(meta_number(backend, TERM)?),
        })
    }
}

fn meta_number(backend: &Backend, name: &'static [u8]) -> Result<u64, StateError> {
    match backend.get(Bucket::Meta, name)? {
        None => Ok(0),
        Some(bytes) => match <[u8; 8]>::try_from(bytes.as_ref()) {
            Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
            Err(_) => Err(StateError::Damaged(format!(
                "meta row {} has {} bytes",
                String::from_utf8_lossy(name),
                bytes.len()
            ))),
        },
    }
}

impl Machine {
    /// Reads all state that the backend holds. What only snapshot and log hold (the v2 store, and
    /// with it the membership) comes with [`Machine::restore`] and the entries after it.
    ///
    /// # Errors
    /// The backend's, or `Damaged`.
    pub fn open(backend: Backend, options: MachineOptions) -> Result<Self, StateError> {
        let (lessor, alarms) = (Lessor::default(), Alarms::default());
        let opened = Opened::read(&backend, &lessor, &alarms)?;
        let membership = Membership::default();
        membership.publish(opened.roster.clone());
        Ok(Self {
            kv: Arc::new(Kv::new(Arc::clone(&opened.store))),
            membership: Arc::new(membership),
            alarms: Arc::new(alarms),
            lessor: Arc::new(lessor),
            quota: Quota::new(options.quota_bytes),
            options,
            size_bytes: backend.sizes().total_bytes,
            backend,
            writer: Writer::new(opened.store),
            v2: v2::Store::default(),
            roster: Roster::default(),
            stored_roster: opened.roster,
            consistent: opened.consistent,
            term: opened.term,
            applied: Index::new(0),
            moved: false,
        })
    }

    /// Goes over to another backend, which a leader's snapshot brought. [`Machine::restore`] must
    /// follow. The shared parts stay the same objects; readers see the new content at once.
    ///
    /// # Errors
    /// The backend's, or `Damaged`; the machine must then not be used any more.
    pub fn reopen(&mut self, backend: Backend) -> Result<(), StateError> {
        let opened = Opened::read(&backend, &self.lessor, &self.alarms)?;
        self.kv.replace(Arc::clone(&opened.store));
        self.writer = Writer::new(opened.store);
        self.size_bytes = backend.sizes().total_bytes;
        self.backend = backend;
        self.v2 = v2::Store::default();
        self.roster = Roster::default();
        self.stored_roster = opened.roster;
        (self.consistent, self.term) = (opened.consistent, opened.term);
        (self.applied, self.moved) = (Index::new(0), false);
        Ok(())
    }

    /// Takes over the v2 store of a `.snap` file or of a leader's snapshot: its JSON.
    ///
    /// # Errors
    /// `Snapshot`, or `Damaged` if the membership in it cannot be read.
    pub fn restore(&mut self, snapshot_data: &[u8]) -> Result<(), StateError> {
        let store = v2::Store::recover(snapshot_data)?;
        self.roster = Roster::from_v2(&store)?;
        self.roster.downgrade.clone_from(&self.stored_roster.downgrade);
        self.v2 = store;
        let mut visible = self.stored_roster.clone();
        if visible.members.is_empty() {
            visible = self.roster.clone();
        } else {
            visible.complete_from(&self.roster);
        }
        visible.removed.extend(&self.roster.removed);
        self.membership.publish(visible);
        Ok(())
    }

    /// Index of the last entry that the backend has seen (flushed or not): later ones must be applied.
    #[must_use]
    pub fn consistent_index(&self) -> Index {
        self.consistent
    }

    /// Term of that entry; zero if an etcd 3.4 wrote the backend.
    #[must_use]
    pub fn consistent_term(&self) -> Term {
        self.term
    }

    /// Checks a configuration change against the membership as of the last applied entry.
    ///
    /// # Errors
    /// What the client is told, as in surface A.6.
    pub fn validate_conf_change(&self, change: &ConfChange) -> Result<(), ApiError> {
        membership::check(&self.roster, change).map(drop)
    }

    /// Writes what was applied since the last call, with the consistent index, in one batch; then
    /// readers see it.
    ///
    /// # Errors
    /// The backend's: the node must stop.
    pub fn finish_batch(&mut self) -> Result<(), StateError> {
        if self.moved {
            let index = self.consistent.get().to_be_bytes();
            let term = self.term.get().to_be_bytes();
            let batch = &mut self.writer.batch;
            batch.put(Bucket::Meta, CONSISTENT_INDEX, Bytes::copy_from_slice(&index));
            batch.put(Bucket::Meta, TERM, Bytes::copy_from_slice(&term));
            self.moved = false;
        }
        self.writer.publish()?;
        self.size_bytes = self.backend.sizes().total_bytes;
        Ok(())
    }

    /// The v2 store as of the last applied entry, as JSON for a `.snap` file.
    ///
    /// # Errors
    /// `Snapshot`.
    pub fn v2_snapshot(&self) -> Result<Vec<u8>, StateError> {
        self.v2.save()
    }

    /// Entries come in order. True if the backend has not seen this one.
    fn begin(&mut self, entry: &Entry) -> Result<bool, StateError> {
        let index = Index::new(entry.index);
        if index <= self.applied {
            let reason = format!("it comes after entry {}", self.applied);
            return Err(StateError::Entry { index, reason });
        }
        Ok(index > self.consistent)
    }

    /// Notes that an entry was applied.
    fn end(&mut self, entry: &Entry, membership_changed: bool) {
        let index = Index::new(entry.index);
        // Up to here readers saw the backend's membership, which is newer than that of old entries.
        let caught_up = self.applied < self.consistent && index >= self.consistent;
        self.applied = index;
        if index > self.consistent {
            (self.consistent, self.term) = (index, Term::new(entry.term));
            self.moved = true;
        }
        if caught_up || (membership_changed && index >= self.consistent) {
            let mut visible = self.roster.clone();
            visible.removed.extend(&self.stored_roster.removed);
            self.membership.publish(visible);
        }
    }

    fn header(&self) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.options.cluster.get(),
            member_id: self.options.member.get(),
            revision: self.writer.revision(),
            raft_term: 0,
        }
    }
}

#[cfg(test)]
mod tests;
