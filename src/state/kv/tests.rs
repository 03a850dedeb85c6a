//! Random sequences of writes, reads, compactions and restarts, on the store and on the model.
//!
//! A failing case is shrunk and printed by proptest, with the seed to replay it.

use std::{path::Path, sync::Arc, time::Duration};

use backend::{Backend, Options};
use base::{ClusterId, MemberId};
use bytes::Bytes;
use disk::sim::SimDisk;
use proptest::{
    collection::vec, option, prelude::*, sample::select, test_runner::FileFailurePersistence,
};
use prost::Message;
use wire::{
    etcdserverpb::{
        CompactionRequest, Compare, DeleteRangeRequest, InternalRaftRequest, LeaseGrantRequest,
        PutRequest, RangeRequest, RequestOp, TxnRequest, compare::TargetUnion, request_op::Request,
    },
    raftpb::Entry,
};

use super::model::Model;
use crate::{
    ApiError, CompactStep, LeaseOptions, Machine, MachineOptions, Response,
    validate::{self, Limits},
};

const KEYS: [&str; 5] = ["a", "b", "bb", "c", "d"];
const ENDS: [&str; 9] = ["", "", "\0", "b", "bb", "c", "e", "\u{1}", "zz"];
const LEASE: i64 = 7;

#[derive(Debug, Clone)]
enum Step {
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    Range(RangeRequest),
    /// Relative to the current revision.
    Compact(i64),
    /// Ends the batch.
    Finish,
    /// Removes compacted rows, so many at a time.
    Remove(usize),
    /// Ends the batch and compares hashes at this revision relative to the current one.
    Hash(i64),
    /// Ends the batch, flushes, and goes on from what is on the disk.
    Reopen,
}

/// A machine over a simulated disk, and the log index.
struct Bench {
    disk: Arc<SimDisk>,
    machine: Machine,
    backend: Backend,
    index: u64,
}

fn open(disk: &Arc<SimDisk>) -> (Machine, Backend) {
    let options = Options { flush_interval: Duration::from_secs(3600), ..Options::default() };
    let disk: Arc<dyn disk::Disk> = disk.clone();
    let backend = Backend::open(disk, Path::new("state.redb"), options).unwrap();
    let options = MachineOptions {
        member: MemberId::new(1),
        cluster: ClusterId::new(2),
        quota_bytes: -1,
        leases: LeaseOptions::default(),
    };
    (Machine::open(backend.clone(), options).unwrap(), backend)
}

impl Bench {
    fn new() -> Self {
        let disk = Arc::new(SimDisk::new());
        let (machine, backend) = open(&disk);
        let mut bench = Self { disk, machine, backend, index: 0 };
        let grant = LeaseGrantRequest { id: LEASE, ttl: 60 };
        let request = InternalRaftRequest { lease_grant: Some(grant), ..Default::default() };
        bench.apply(request).unwrap();
        bench.machine.finish_batch().unwrap();
        bench
    }

    fn apply(&mut self, request: InternalRaftRequest) -> Result<Response, ApiError> {
        self.index += 1;
        let request = InternalRaftRequest { id: self.index, ..request };
        let entry = Entry {
            term: 1,
            index: self.index,
            data: Some(request.encode_to_vec().into()),
            ..Default::default()
        };
        let Ok(applied) = self.machine.apply(&entry, &|_| true) else { panic!("must not stop") };
        assert_eq!(applied.request_id, self.index);
        applied.response
    }

    fn reopen(&mut self) {
        self.backend.close().unwrap();
        (self.machine, self.backend) = open(&self.disk);
        assert_eq!(self.machine.consistent_index().get(), self.index);
    }
}

/// Headers of outer responses carry ids that the model does not have.
fn without_ids<M: Message + Default + Clone>(message: &M) -> M {
    let mut bytes = message.encode_to_vec();
    // Field 1 is the header: cluster 2 and member 1 stand first in it when they are set.
    if let [0x0a, length, 0x08, 0x02, 0x10, 0x01, ..] = bytes.as_slice() {
        let length = *length - 4;
        drop(bytes.splice(..6, [0x0a, length]));
    }
    M::decode(bytes.as_slice()).unwrap()
}

fn same<M: Message + Default + Clone + PartialEq + std::fmt::Debug>(
    ours: Result<M, ApiError>,
    theirs: Result<M, ApiError>,
) {
    assert_eq!(ours.map(|message| without_ids(&message)), theirs.map(|m| without_ids(&m)));
}

fn run(steps: &[Step]) {
    let mut bench = Bench::new();
    let mut model = Model::new(&[LEASE]);
    // What readers see: the model as of the last end of a batch.
    let mut visible = model.clone();
    for step in steps {
        match step {
            Step::Put(put) => {
                let request = InternalRaftRequest { put: Some(put.clone()), ..Default::default() };
                let ours = bench.apply(request).map(|response| match response {
                    Response::Put(response) => response,
                    other => panic!("{other:?}"),
                });
                same(ours, model.put(put));
            }
            Step::Delete(delete) => {
                let delete_range = Some(delete.clone());
                let request = InternalRaftRequest { delete_range, ..Default::default() };
                let ours = bench.apply(request).map(|response| match response {
                    Response::DeleteRange(response) => response,
                    other => panic!("{other:?}"),
                });
                same(ours, Ok(model.delete(delete)));
            }
            Step::Txn(txn) => run_txn(&mut bench, &mut model, &visible, txn),
            Step::Range(range) => {
                same(bench.machine.kv.range(range), visible.range(range));
                let logged =
                    InternalRaftRequest { range: Some(range.clone()), ..Default::default() };
                let ours = bench.apply(logged).map(|response| match response {
                    Response::Range(response) => response,
                    other => panic!("{other:?}"),
                });
                same(ours, model.range(range));
            }
            Step::Compact(back) => {
                let revision = model.revision - back;
                let compaction = Some(CompactionRequest { revision, physical: false });
                let request = InternalRaftRequest { compaction, ..Default::default() };
                assert_eq!(bench.apply(request).map(drop), model.compact(revision));
            }
            Step::Remove(rows) => {
                for _ in 0..3 {
                    let step = bench.machine.kv.compact_step(*rows).unwrap();
                    assert!(!matches!(step, CompactStep::Finished(at) if at > visible.compacted));
                }
            }
            Step::Finish | Step::Hash(_) | Step::Reopen => {
                bench.machine.finish_batch().unwrap();
                visible = model.clone();
                finished(&mut bench, &model, step);
            }
        }
    }
    bench.backend.close().unwrap();
}

fn finished(bench: &mut Bench, model: &Model, step: &Step) {
    if let Step::Reopen = step {
        bench.reopen();
    }
    let kv = &bench.machine.kv;
    assert_eq!((kv.revision(), kv.compacted()), (model.revision, model.compacted));
    if let Step::Hash(back) = step {
        let revision = (model.revision - back).max(0);
        assert_eq!(kv.hash_kv(revision).map(|hash| hash.hash), model.hash(revision));
    }
}

fn run_txn(bench: &mut Bench, model: &mut Model, visible: &Model, txn: &TxnRequest) {
    if validate::txn(txn, &Limits::default()).is_err() {
        return;
    }
    if validate::txn_is_read_only(txn) {
        same(bench.machine.kv.txn_read_only(txn), visible.clone().txn(txn));
    }
    let request = InternalRaftRequest { txn: Some(txn.clone()), ..Default::default() };
    let ours = bench.apply(request).map(|response| match response {
        Response::Txn(response) => response,
        other => panic!("{other:?}"),
    });
    same(ours, model.txn(txn));
}

fn key() -> impl Strategy<Value = Bytes> {
    select(&KEYS[..]).prop_map(Bytes::from)
}

fn end() -> impl Strategy<Value = Bytes> {
    select(&ENDS[..]).prop_map(Bytes::from)
}

fn put() -> impl Strategy<Value = PutRequest> {
    let flags = (any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    let lease = prop_oneof![8 => Just(0), 3 => Just(LEASE), 1 => Just(99)];
    (key(), select(vec!["", "x", "y", "zz"]), lease, flags).prop_map(
        |(key, value, lease, (prev_kv, ignore_value, ignore_lease))| PutRequest {
            key,
            value: if ignore_value { Bytes::new() } else { value.into() },
            lease: if ignore_lease { 0 } else { lease },
            prev_kv,
            ignore_value,
            ignore_lease,
        },
    )
}

fn delete() -> impl Strategy<Value = DeleteRangeRequest> {
    (key(), end(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| DeleteRangeRequest {
        key,
        range_end,
        prev_kv,
    })
}

fn range() -> impl Strategy<Value = RangeRequest> {
    let bound = || prop_oneof![3 => Just(0_i64), 1 => 1..12_i64];
    (
        (key(), end(), prop_oneof![2 => Just(0_i64), 2 => 1..4_i64, 1 => Just(-1)]),
        prop_oneof![4 => Just(0_i64), 2 => 1..20_i64, 1 => Just(-3_i64)],
        (0..3_i32, 0..5_i32),
        (any::<bool>(), prop::bool::weighted(0.2)),
        (bound(), bound(), bound(), bound()),
    )
        .prop_map(|((key, range_end, limit), revision, sort, flags, bounds)| RangeRequest {
            key,
            range_end,
            limit,
            revision,
            sort_order: sort.0,
            sort_target: sort.1,
            serializable: false,
            keys_only: flags.0,
            count_only: flags.1,
            min_mod_revision: bounds.0,
            max_mod_revision: bounds.1,
            min_create_revision: bounds.2,
            max_create_revision: bounds.3,
        })
}

fn compare() -> impl Strategy<Value = Compare> {
    let union = prop_oneof![
        (0..4_i64).prop_map(TargetUnion::Version),
        (0..12_i64).prop_map(TargetUnion::CreateRevision),
        (0..12_i64).prop_map(TargetUnion::ModRevision),
        select(vec!["", "x", "y"]).prop_map(|value| TargetUnion::Value(value.into())),
        select(vec![0, LEASE]).prop_map(TargetUnion::Lease),
    ];
    (0..4_i32, 0..5_i32, key(), end(), option::of(union)).prop_map(
        |(result, target, key, range_end, target_union)| Compare {
            result,
            target,
            key,
            range_end,
            target_union,
        },
    )
}

fn op() -> impl Strategy<Value = RequestOp> {
    prop_oneof![
        3 => put().prop_map(Request::RequestPut),
        2 => delete().prop_map(Request::RequestDeleteRange),
        3 => range().prop_map(Request::RequestRange),
    ]
    .prop_map(|request| RequestOp { request: Some(request) })
}

fn txn() -> impl Strategy<Value = TxnRequest> {
    let leaf = (vec(compare(), 0..2), vec(op(), 0..4), vec(op(), 0..3))
        .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure });
    leaf.prop_recursive(2, 8, 2, |inner| {
        let nested = inner.prop_map(|txn| RequestOp { request: Some(Request::RequestTxn(txn)) });
        let op = || prop_oneof![2 => op(), 1 => nested.clone()];
        (vec(compare(), 0..2), vec(op(), 0..4), vec(op(), 0..3))
            .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => put().prop_map(Step::Put),
        3 => delete().prop_map(Step::Delete),
        5 => txn().prop_map(Step::Txn),
        5 => range().prop_map(Step::Range),
        2 => (-1..5_i64).prop_map(Step::Compact),
        3 => Just(Step::Finish),
        2 => (1..5_usize).prop_map(Step::Remove),
        2 => (-1..6_i64).prop_map(Step::Hash),
        1 => Just(Step::Reopen),
    ]
}

fn config() -> ProptestConfig {
    // Failing seeds are kept beside this file and run first.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/kv/regressions.txt");
    let persistence = FileFailurePersistence::Direct(path);
    ProptestConfig {
        cases: 192,
        failure_persistence: Some(Box::new(persistence)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_store_answers_as_the_model_does(steps in vec(step(), 1..60)) {
        run(&steps);
    }
}

mod quirks;
