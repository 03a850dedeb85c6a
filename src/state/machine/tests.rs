//! Tests of the whole machine: replay after a crash, snapshots, alarms, and entries of every kind.

use std::{path::Path, time::Duration};

use backend::Options;
use disk::{Disk, sim::SimDisk};
use prost::Message;
use wire::{
    etcdserverpb::{
        AlarmRequest, AuthEnableRequest, AuthStatusRequest, CompactionRequest, InternalRaftRequest,
        LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest, PutRequest, RangeRequest,
        alarm_request::AlarmAction,
    },
    membershippb,
    raftpb::{ConfChangeType, ConfState, EntryType},
    v2pb,
};

use super::*;
use crate::membership::{Member, MemberEvent};

fn options(quota_bytes: i64) -> MachineOptions {
    MachineOptions {
        member: MemberId::new(1),
        cluster: ClusterId::new(2),
        quota_bytes,
        leases: LeaseOptions { persist_checkpoints: true, ..LeaseOptions::default() },
    }
}

fn open_backend(disk: &Arc<SimDisk>, path: &str) -> Backend {
    let options = Options { flush_interval: Duration::from_secs(3600), ..Options::default() };
    let disk: Arc<dyn Disk> = disk.clone();
    Backend::open(disk, Path::new(path), options).unwrap()
}

fn open(disk: &Arc<SimDisk>) -> Machine {
    Machine::open(open_backend(disk, "state.redb"), options(-1)).unwrap()
}

fn normal(index: u64, payload: Vec<u8>) -> Entry {
    Entry { term: 3, index, data: Some(payload.into()), ..Default::default() }
}

fn v3(index: u64, request: &InternalRaftRequest) -> Entry {
    let request = InternalRaftRequest { id: index + 1000, ..request.clone() };
    normal(index, request.encode_to_vec())
}

fn v2(index: u64, path: &str, val: &str) -> Entry {
    let request = v2pb::Request {
        id: index + 1000,
        method: "PUT".to_owned(),
        path: path.to_owned(),
        val: val.to_owned(),
        ..Default::default()
    };
    normal(index, request.encode_to_vec())
}

fn put(key: &str, value: &str) -> InternalRaftRequest {
    let (key, value) = (key.to_owned().into(), value.to_owned().into());
    let put = Some(PutRequest { key, value, ..Default::default() });
    InternalRaftRequest { put, ..Default::default() }
}

fn change(kind: ConfChangeType, id: u64, context: String) -> ConfChange {
    ConfChange { id: 1, r#type: kind.into(), node_id: id, context: Some(context.into()) }
}

fn add(index: u64, id: u64) -> Entry {
    let urls = vec![format!("http://{id}")];
    let member = Member { id: MemberId::new(id), peer_urls: urls, ..Member::default() };
    conf(index, &change(ConfChangeType::ConfChangeAddNode, id, member.to_json()))
}

fn remove(index: u64, id: u64) -> Entry {
    conf(index, &change(ConfChangeType::ConfChangeRemoveNode, id, String::new()))
}

fn conf(index: u64, change: &ConfChange) -> Entry {
    let kind = EntryType::EntryConfChange.into();
    Entry { r#type: kind, ..normal(index, change.encode_to_vec()) }
}

fn feed(machine: &mut Machine, entry: &Entry) -> Applied {
    if entry.r#type == i32::from(EntryType::EntryNormal) {
        return machine.apply(entry, &|_| true).unwrap();
    }
    let change = ConfChange::decode(entry.data.clone().unwrap()).unwrap();
    let state = ConfState { voters: vec![1, 2], ..Default::default() };
    machine.apply_conf_change(entry, &change, &state).unwrap();
    Applied { request_id: 0, response: Ok(Response::None), raise_alarm: None, compaction: false }
}

/// A log with something of everything.
fn sample_log() -> Vec<Entry> {
    let base = InternalRaftRequest::default;
    let mut log = vec![
        add(1, 1),
        add(2, 2),
        add(3, 3),
        normal(4, vec![]),
        v2(5, "/0/members/1/attributes", r#"{"name":"n1","clientURLs":["http://c"]}"#),
        v2(6, "/0/version", "3.5.0"),
        v3(
            7,
            &InternalRaftRequest {
                lease_grant: Some(LeaseGrantRequest { id: 9, ttl: 60 }),
                ..base()
            },
        ),
    ];
    for index in 8..40 {
        let key = format!("k{}", index % 7);
        let mut request = put(&key, &index.to_string());
        if let Some(put) = &mut request.put {
            put.lease = if index % 3 == 0 { 9 } else { 0 };
        }
        log.push(v3(index, &request));
    }
    let compaction = Some(CompactionRequest { revision: 20, physical: false });
    log.push(v3(40, &InternalRaftRequest { compaction, ..base() }));
    log.push(remove(41, 3));
    log.push(v2(42, "/1/user", "v"));
    let checkpoints = vec![LeaseCheckpoint { id: 9, remaining_ttl: 30 }];
    let lease_checkpoint = Some(LeaseCheckpointRequest { checkpoints });
    log.push(v3(43, &InternalRaftRequest { lease_checkpoint, ..base() }));
    log.push(v3(44, &put("last", "1")));
    log
}

/// What members compare.
fn fingerprint(machine: &Machine) -> (u32, u32, Vec<u8>, Vec<Member>) {
    while machine.kv.compact_step(7).unwrap() == crate::CompactStep::More {}
    (
        machine.kv.hash_kv(0).unwrap().hash,
        machine.kv.hash_all().unwrap(),
        machine.v2_snapshot().unwrap(),
        machine.membership.members(),
    )
}

#[test]
fn a_crash_loses_nothing_that_the_log_can_replay() {
    let log = sample_log();
    let mut whole = open(&Arc::new(SimDisk::new()));
    for entry in &log {
        feed(&mut whole, entry);
    }
    whole.finish_batch().unwrap();
    let expected = fingerprint(&whole);
    for flushed in [0, 5, 20, 40, 44] {
        let disk = Arc::new(SimDisk::new());
        let mut machine = open(&disk);
        for entry in &log {
            feed(&mut machine, entry);
            machine.finish_batch().unwrap();
            if entry.index == flushed {
                machine.backend.flush().unwrap();
            }
        }
        disk.crash(flushed);
        drop(machine);
        let mut machine = open(&disk);
        assert_eq!(machine.consistent_index(), Index::new(flushed));
        for entry in &log {
            feed(&mut machine, entry);
        }
        machine.finish_batch().unwrap();
        assert_eq!(fingerprint(&machine), expected, "flushed at {flushed}");
        assert_eq!(machine.lessor.keys(9), whole.lessor.keys(9));
        assert_eq!(machine.lessor.lookup(9).unwrap().remaining_ttl, 30);
    }
}

#[test]
fn old_entries_do_not_take_readers_back_to_an_old_membership() {
    let disk = Arc::new(SimDisk::new());
    let log = sample_log();
    let mut machine = open(&disk);
    for entry in &log {
        feed(&mut machine, entry);
    }
    machine.finish_batch().unwrap();
    machine.backend.close().unwrap();
    let mut machine = open(&disk);
    let newest = machine.membership.members();
    assert_eq!(newest.len(), 2);
    assert_eq!(newest[0].name, "n1");
    for entry in &log {
        assert!(machine.membership.is_removed(MemberId::new(3)));
        assert_eq!(machine.membership.members(), newest, "at {}", entry.index);
        feed(&mut machine, entry);
    }
    assert_eq!(machine.membership.members(), newest);
    assert_eq!(machine.membership.cluster_version().as_deref(), Some("3.5.0"));
}

#[test]
fn a_leader_s_snapshot_replaces_everything_behind_the_same_handles() {
    let disk = Arc::new(SimDisk::new());
    let mut leader = open(&disk);
    for entry in &sample_log() {
        feed(&mut leader, entry);
    }
    leader.finish_batch().unwrap();
    let expected = fingerprint(&leader);
    leader.backend.close().unwrap();
    let own_disk = Arc::new(SimDisk::new());
    let mut follower = open(&own_disk);
    feed(&mut follower, &add(1, 8));
    feed(&mut follower, &v3(2, &put("old", "x")));
    follower.finish_batch().unwrap();
    let kv = Arc::clone(&follower.kv);
    follower.backend.close().unwrap();
    follower.reopen(open_backend(&disk, "state.redb")).unwrap();
    follower.restore(&expected.2).unwrap();
    assert_eq!(fingerprint(&follower), expected);
    assert_eq!(follower.consistent_index(), Index::new(44));
    let range = RangeRequest { key: "last".into(), ..Default::default() };
    assert_eq!(kv.range(&range).unwrap().count, 1);
    feed(&mut follower, &v3(45, &put("more", "1")));
    follower.finish_batch().unwrap();
    assert_eq!(kv.revision(), leader.kv.revision() + 1);
}

#[test]
fn a_snapshot_completes_what_the_members_bucket_lacks() {
    let disk = Arc::new(SimDisk::new());
    let mut machine = open(&disk);
    feed(&mut machine, &add(1, 1));
    feed(&mut machine, &v2(2, "/0/members/1/attributes", r#"{"name":"n1"}"#));
    let snapshot = machine.v2_snapshot().unwrap();
    // As etcd 3.5.1 leaves the bucket: without what the member published.
    let bare = Member {
        id: MemberId::new(1),
        peer_urls: vec!["http://1".to_owned()],
        ..Member::default()
    };
    machine.writer.batch.put(Bucket::Members, "1", bare.to_json());
    machine.finish_batch().unwrap();
    machine.backend.close().unwrap();
    let mut machine = open(&disk);
    assert_eq!(machine.membership.members()[0].name, "");
    machine.restore(&snapshot).unwrap();
    assert_eq!(machine.membership.members()[0].name, "n1");
}

#[test]
fn a_configuration_change_that_became_invalid_is_rejected_and_counts_as_applied() {
    let mut machine = open(&Arc::new(SimDisk::new()));
    feed(&mut machine, &add(1, 1));
    let entry = add(2, 1);
    let again = ConfChange::decode(entry.data.clone().unwrap()).unwrap();
    assert_eq!(machine.validate_conf_change(&again), Err(ApiError::MemberExists));
    let event = machine.apply_conf_change(&entry, &again, &ConfState::default()).unwrap();
    assert_eq!(event, MemberEvent::Rejected(ApiError::MemberExists));
    assert_eq!(machine.consistent_index(), Index::new(2));
}

#[test]
fn entries_that_this_build_cannot_apply_stop_the_node() {
    let mut machine = open(&Arc::new(SimDisk::new()));
    let base = InternalRaftRequest::default;
    let enable = InternalRaftRequest { auth_enable: Some(AuthEnableRequest {}), ..base() };
    for (request, expected) in [(enable, "auth_enable"), (base(), "unknown")] {
        let error = machine.apply(&v3(1, &request), &|_| false).unwrap_err();
        assert!(
            matches!(error, StateError::Unsupported { index, kind } if kind == expected && index == Index::new(1)),
            "{error}"
        );
    }
    let v2_change = Entry { r#type: EntryType::EntryConfChangeV2.into(), ..normal(1, vec![]) };
    assert!(machine.apply(&v2_change, &|_| false).is_err());
    let unknown = v2(1, "/0/members/77/attributes", "{}");
    let error = machine.apply(&unknown, &|_| false).unwrap_err();
    assert!(matches!(error, StateError::UnknownMember { .. }), "{error}");
    // A mere read is passed over.
    let status = InternalRaftRequest { auth_status: Some(AuthStatusRequest {}), ..base() };
    assert!(matches!(feed(&mut machine, &v3(1, &status)).response, Ok(Response::None)));
}

#[test]
fn entries_out_of_order_are_refused() {
    let mut machine = open(&Arc::new(SimDisk::new()));
    feed(&mut machine, &v3(5, &put("a", "1")));
    for index in [4, 5] {
        assert!(machine.apply(&v3(index, &put("a", "2")), &|_| true).is_err());
    }
}

#[test]
fn the_requests_of_etcd_3_6_change_membership_like_the_old_ones() {
    let mut machine = open(&Arc::new(SimDisk::new()));
    feed(&mut machine, &add(1, 1));
    let base = InternalRaftRequest::default;
    let attributes =
        membershippb::Attributes { name: "n".to_owned(), client_urls: vec!["http://c".to_owned()] };
    let set = membershippb::ClusterMemberAttrSetRequest {
        member_id: 1,
        member_attributes: Some(attributes),
    };
    feed(
        &mut machine,
        &v3(2, &InternalRaftRequest { cluster_member_attr_set: Some(set), ..base() }),
    );
    let set = membershippb::ClusterVersionSetRequest { ver: "3.6.0".to_owned() };
    feed(&mut machine, &v3(3, &InternalRaftRequest { cluster_version_set: Some(set), ..base() }));
    let set = membershippb::DowngradeInfoSetRequest { enabled: true, ver: "3.5.0".to_owned() };
    feed(&mut machine, &v3(4, &InternalRaftRequest { downgrade_info_set: Some(set), ..base() }));
    machine.finish_batch().unwrap();
    let membership = &machine.membership;
    assert_eq!(membership.members()[0].client_urls, ["http://c"]);
    assert_eq!(membership.cluster_version().as_deref(), Some("3.6.0"));
    assert_eq!(membership.downgrade_target().as_deref(), Some("3.5.0"));
    let row = |bucket, key: &str| machine.backend.get(bucket, key.as_bytes()).unwrap().unwrap();
    assert_eq!(row(Bucket::Cluster, "clusterVersion"), "3.6.0");
    assert_eq!(row(Bucket::Cluster, "downgrade"), r#"{"target-version":"3.5.0","enabled":true}"#);
    assert_eq!(row(Bucket::Members, "1"), membership.members()[0].to_json());
    assert_eq!(row(Bucket::Meta, "confState"), r#"{"voters":[1,2],"auto_leave":false}"#);
    assert_eq!(row(Bucket::Meta, "consistent_index"), 4_u64.to_be_bytes().as_slice());
    assert_eq!(row(Bucket::Meta, "term"), 3_u64.to_be_bytes().as_slice());
}

#[test]
fn beyond_the_quota_a_put_is_applied_but_refused_and_the_alarm_asked_for() {
    let disk = Arc::new(SimDisk::new());
    let mut machine = Machine::open(open_backend(&disk, "state.redb"), options(1)).unwrap();
    let applied = feed(&mut machine, &v3(1, &put("a", "1")));
    assert_eq!(applied.response.unwrap_err(), ApiError::NoSpace);
    assert_eq!(applied.raise_alarm, Some(AlarmType::Nospace));
    let alarm = AlarmRequest {
        action: AlarmAction::Activate.into(),
        member_id: 1,
        alarm: AlarmType::Nospace.into(),
    };
    let request = InternalRaftRequest { alarm: Some(alarm), ..Default::default() };
    assert!(feed(&mut machine, &v3(2, &request)).response.is_ok());
    let applied = feed(&mut machine, &v3(3, &put("b", "1")));
    assert_eq!(applied.response.unwrap_err(), ApiError::NoSpace);
    assert_eq!(applied.raise_alarm, None, "it is raised already");
    machine.finish_batch().unwrap();
    let count = |key: &'static str| {
        let range = RangeRequest { key: key.into(), ..Default::default() };
        machine.kv.range(&range).unwrap().count
    };
    assert_eq!((count("a"), count("b")), (1, 0));
    machine.backend.close().unwrap();
    assert!(open(&disk).alarms.is_active(AlarmType::Nospace));
}

#[test]
fn headers_name_cluster_member_and_the_entry_s_revision() {
    let mut machine = open(&Arc::new(SimDisk::new()));
    for (index, revision) in [(1, 2), (2, 3)] {
        let Ok(Response::Put(response)) = feed(&mut machine, &v3(index, &put("a", "1"))).response
        else {
            panic!("a put is answered by a put")
        };
        let header = response.header.unwrap();
        assert_eq!((header.cluster_id, header.member_id, header.revision), (2, 1, revision));
    }
}
