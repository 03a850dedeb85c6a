//! Behaviour that surface A.3 and A.7 marks as verified, and what concerns readers beside the applier.

use wire::mvccpb::KeyValue;

use super::*;

fn put_request(key: &'static str, value: &'static str) -> PutRequest {
    PutRequest { key: key.into(), value: value.into(), ..Default::default() }
}

fn op_of(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn delete_all() -> DeleteRangeRequest {
    DeleteRangeRequest { key: "\0".into(), range_end: "\0".into(), prev_kv: false }
}

impl Bench {
    fn put(&mut self, key: &'static str, value: &'static str) {
        let put = Some(put_request(key, value));
        self.apply(InternalRaftRequest { put, ..Default::default() }).unwrap();
    }

    fn txn(&mut self, txn: TxnRequest) -> Result<Response, ApiError> {
        self.apply(InternalRaftRequest { txn: Some(txn), ..Default::default() })
    }

    fn compact(&mut self, revision: i64) -> Result<Response, ApiError> {
        let compaction = Some(CompactionRequest { revision, physical: true });
        self.apply(InternalRaftRequest { compaction, ..Default::default() })
    }

    fn finish(&mut self) {
        self.machine.finish_batch().unwrap();
    }

    fn remove_compacted(&self) {
        while self.machine.kv.compact_step(2).unwrap() == CompactStep::More {}
    }

    fn get(&self, key: &'static str, revision: i64) -> Result<Vec<KeyValue>, ApiError> {
        let request = RangeRequest { key: key.into(), revision, ..Default::default() };
        self.machine.kv.range(&request).map(|response| response.kvs)
    }
}

#[test]
fn an_empty_store_is_at_revision_one_and_the_first_put_makes_two() {
    let mut bench = Bench::new();
    assert_eq!(bench.machine.kv.revision(), 1);
    bench.put("a", "1");
    bench.finish();
    assert_eq!(bench.machine.kv.revision(), 2);
    assert_eq!(bench.machine.kv.compacted(), -1);
}

#[test]
fn the_compacted_revision_itself_stays_readable() {
    let mut bench = Bench::new();
    for value in ["1", "2", "3"] {
        bench.put("a", value);
    }
    bench.compact(3).unwrap();
    assert_eq!(bench.compact(3).unwrap_err(), ApiError::Compacted);
    assert_eq!(bench.compact(9).unwrap_err(), ApiError::FutureRevision);
    bench.finish();
    bench.remove_compacted();
    assert_eq!(bench.machine.kv.compaction_finished(), 3);
    assert_eq!(bench.get("a", 2), Err(ApiError::Compacted));
    assert_eq!(bench.get("a", 3).unwrap()[0].value, "2");
    assert_eq!(bench.get("a", 5), Err(ApiError::FutureRevision));
}

#[test]
fn nothing_of_a_batch_is_seen_before_its_end() {
    let mut bench = Bench::new();
    bench.put("a", "1");
    assert!(bench.get("a", 0).unwrap().is_empty());
    assert_eq!(bench.get("a", 2), Err(ApiError::FutureRevision));
    bench.put("a", "2");
    bench.finish();
    assert_eq!(bench.get("a", 0).unwrap()[0].value, "2");
    assert_eq!(bench.get("a", 2).unwrap()[0].value, "1");
}

#[test]
fn nested_compares_are_decided_before_the_outer_puts() {
    let mut bench = Bench::new();
    let compare = Compare {
        key: "a".into(),
        target_union: Some(TargetUnion::Version(0)),
        ..Default::default()
    };
    let nested = TxnRequest { compare: vec![compare], ..Default::default() };
    let success = vec![
        op_of(Request::RequestPut(put_request("a", "1"))),
        op_of(Request::RequestTxn(nested)),
        op_of(Request::RequestRange(RangeRequest { key: "a".into(), ..Default::default() })),
    ];
    let response = bench.txn(TxnRequest { success, ..Default::default() }).unwrap();
    let Response::Txn(response) = response else { panic!("{response:?}") };
    let [_, nested, range] = response.responses.as_slice() else { panic!("{response:?}") };
    use wire::etcdserverpb::response_op::Response as Op;
    let Some(Op::ResponseTxn(nested)) = &nested.response else { panic!("{nested:?}") };
    assert!(nested.succeeded, "it still sees version 0");
    assert_eq!(nested.header, Some(wire::etcdserverpb::ResponseHeader::default()));
    let Some(Op::ResponseRange(range)) = &range.response else { panic!("{range:?}") };
    assert_eq!(range.count, 1, "a later range sees the put");
}

#[test]
fn a_transaction_with_a_fault_does_nothing() {
    let mut bench = Bench::new();
    let faults = [
        (
            Request::RequestPut(PutRequest { lease: 99, ..put_request("b", "") }),
            ApiError::LeaseNotFound,
        ),
        (
            Request::RequestPut(PutRequest { ignore_value: true, ..put_request("b", "") }),
            ApiError::KeyNotFound,
        ),
        (
            Request::RequestRange(RangeRequest {
                key: "b".into(),
                revision: 50,
                ..Default::default()
            }),
            ApiError::FutureRevision,
        ),
    ];
    for (fault, error) in faults {
        let success = vec![op_of(Request::RequestPut(put_request("a", "1"))), op_of(fault)];
        let txn = TxnRequest { success, ..Default::default() };
        assert_eq!(bench.txn(txn).unwrap_err(), error);
    }
    bench.finish();
    assert_eq!(bench.machine.kv.revision(), 1);
    assert!(bench.get("a", 0).unwrap().is_empty());
}

#[test]
fn a_key_put_after_delete_everything_survives_a_compaction_of_that_very_revision() {
    let mut bench = Bench::new();
    bench.put("a", "1");
    let success = vec![
        op_of(Request::RequestDeleteRange(delete_all())),
        op_of(Request::RequestPut(put_request("a", "2"))),
    ];
    bench.txn(TxnRequest { success, ..Default::default() }).unwrap();
    bench.compact(3).unwrap();
    bench.finish();
    bench.remove_compacted();
    let kvs = bench.get("a", 0).unwrap();
    assert_eq!((kvs[0].value.as_ref(), kvs[0].create_revision, kvs[0].version), (&b"2"[..], 3, 1));
    bench.reopen();
    assert_eq!(bench.get("a", 0).unwrap(), kvs);
}

#[test]
fn ignoring_the_value_of_a_key_that_the_transaction_deleted_keeps_nothing() {
    let mut bench = Bench::new();
    bench.put("a", "1");
    let keep = PutRequest { ignore_value: true, ..put_request("a", "") };
    let success =
        vec![op_of(Request::RequestDeleteRange(delete_all())), op_of(Request::RequestPut(keep))];
    bench.txn(TxnRequest { success, ..Default::default() }).unwrap();
    bench.finish();
    assert!(bench.get("a", 0).unwrap()[0].value.is_empty());
}

#[test]
fn answers_are_not_made_for_nobody_but_the_state_is_the_same() {
    let (mut asked, mut unasked) = (Bench::new(), Bench::new());
    let range = Request::RequestRange(RangeRequest { key: "a".into(), ..Default::default() });
    let put = PutRequest { prev_kv: true, ..put_request("a", "1") };
    let success = vec![op_of(Request::RequestPut(put)), op_of(range)];
    let txn = TxnRequest { success, ..Default::default() };
    let request = InternalRaftRequest { id: 2, txn: Some(txn), ..Default::default() };
    let data = Some(request.encode_to_vec().into());
    let entry = Entry { term: 1, index: 2, data, ..Default::default() };
    for (bench, waits) in [(&mut asked, true), (&mut unasked, false)] {
        bench.machine.apply(&entry, &|id| waits && id == 2).unwrap();
        bench.finish();
    }
    assert_eq!(asked.machine.kv.hash_kv(0), unasked.machine.kv.hash_kv(0));
    assert_eq!(asked.machine.kv.hash_all(), unasked.machine.kv.hash_all());
}

#[test]
fn revoking_a_lease_deletes_its_keys_in_one_revision() {
    let mut bench = Bench::new();
    for key in ["c", "a"] {
        let put = Some(PutRequest { lease: LEASE, ..put_request(key, "") });
        bench.apply(InternalRaftRequest { put, ..Default::default() }).unwrap();
    }
    bench.put("b", "");
    bench.finish();
    bench.reopen();
    assert_eq!(bench.machine.lessor.keys(LEASE), ["a", "c"]);
    let revoke = || InternalRaftRequest {
        lease_revoke: Some(wire::etcdserverpb::LeaseRevokeRequest { id: LEASE }),
        ..Default::default()
    };
    bench.apply(revoke()).unwrap();
    assert_eq!(bench.apply(revoke()).unwrap_err(), ApiError::LeaseNotFound);
    bench.finish();
    assert_eq!(bench.machine.kv.revision(), 5);
    let all = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    assert_eq!(bench.machine.kv.range(&all).unwrap().count, 1);
    bench.reopen();
    assert!(bench.machine.lessor.list().is_empty());
}

#[test]
fn a_long_range_is_read_in_one_cut_while_the_applier_writes() {
    const COUNT: usize = 5000;
    let mut bench = Bench::new();
    let put_all = |bench: &mut Bench, value: &'static str| {
        for number in 0..COUNT {
            let key = Bytes::from(format!("{number:08}"));
            let put = Some(PutRequest { key, value: value.into(), ..Default::default() });
            bench.apply(InternalRaftRequest { put, ..Default::default() }).unwrap();
        }
        bench.finish();
    };
    put_all(&mut bench, "0");
    let kv = Arc::clone(&bench.machine.kv);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let all =
                RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
            let mut reads = 0;
            while reads == 0 || !done.load(std::sync::atomic::Ordering::Relaxed) {
                let response = kv.range(&all).unwrap();
                assert_eq!(response.kvs.len(), COUNT);
                // Whole batches only: all keys have one value.
                let first = &response.kvs[0].value;
                assert!(response.kvs.iter().all(|kv| kv.value == first), "a torn read");
                reads += 1;
            }
        });
        for value in ["1", "2", "3", "4"] {
            put_all(&mut bench, value);
            let revision = bench.machine.kv.revision();
            bench.compact(revision).unwrap();
            bench.finish();
            while bench.machine.kv.compact_step(500).unwrap() == CompactStep::More {}
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap();
    });
}

/// The numbers are what `etcdctl endpoint hashkv` printed for etcd 3.4.23 and 3.5.1 (the same) after
/// these very requests.
#[test]
fn hashes_equal_those_of_real_etcds() {
    let mut bench = Bench::new();
    // Once with the compacted rows still there, once without, once after a restart.
    let check = |bench: &mut Bench, expected: u32| {
        bench.finish();
        assert_eq!(bench.machine.kv.hash_kv(0).unwrap().hash, expected);
        bench.remove_compacted();
        assert_eq!(bench.machine.kv.hash_kv(0).unwrap().hash, expected);
        bench.reopen();
        assert_eq!(bench.machine.kv.hash_kv(0).unwrap().hash, expected);
    };
    let delete = |bench: &mut Bench, delete_range: DeleteRangeRequest| {
        let delete_range = Some(delete_range);
        bench.apply(InternalRaftRequest { delete_range, ..Default::default() }).unwrap();
    };
    check(&mut bench, 1_084_519_789);
    bench.put("a", "1");
    bench.put("b", "2");
    bench.put("a", "3");
    delete(&mut bench, DeleteRangeRequest { key: "b".into(), ..Default::default() });
    check(&mut bench, 1_125_682_900);
    let delete_a = DeleteRangeRequest { key: "a".into(), ..Default::default() };
    let success = vec![
        op_of(Request::RequestPut(put_request("c", "x"))),
        op_of(Request::RequestPut(put_request("d", "y"))),
        op_of(Request::RequestDeleteRange(delete_a)),
    ];
    bench.txn(TxnRequest { success, ..Default::default() }).unwrap();
    check(&mut bench, 988_343_367);
    bench.compact(5).unwrap();
    check(&mut bench, 1_505_192_000);
    bench.put("a", "9");
    check(&mut bench, 3_132_965_650);
    delete(&mut bench, delete_all());
    check(&mut bench, 1_682_397_935);
    bench.compact(8).unwrap();
    check(&mut bench, 1_084_519_789);
    bench.put("z", "1");
    check(&mut bench, 3_419_164_979);
}
