//! Errors that random calls seldom hit: sizes, budgets, unknown methods; the same text and code on both.

use anyhow::Result;
use wire::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RequestOp, TxnRequest, request_op::Request,
};

use crate::harness::{cluster::Cluster, oracle::Kind};

async fn refusals(kind: Kind) -> Result<Vec<(i32, String)>> {
    let cluster = Cluster::start(kind, 1, &["--max-txn-ops=4"]).await?;
    let mut api = cluster.nodes[0].api()?;
    let mut seen = Vec::new();
    for bytes in [1_572_864, 2_097_152, 3_000_000] {
        let value = vec![b'v'; bytes];
        let put =
            PutRequest { key: b"k".to_vec().into(), value: value.into(), ..Default::default() };
        let status = api.kv.put(put).await.expect_err("too large");
        seen.push((status.code().into(), status.message().to_owned()));
    }
    let put = |at: u8| RequestOp {
        request: Some(Request::RequestPut(PutRequest {
            key: vec![b'k', at].into(),
            ..Default::default()
        })),
    };
    let many = TxnRequest { success: (0..5).map(put).collect(), ..Default::default() };
    let inner = TxnRequest { success: (0..2).map(put).collect(), ..Default::default() };
    let nested = RequestOp { request: Some(Request::RequestTxn(inner)) };
    let nested = TxnRequest { success: vec![put(9), put(8), put(7), nested], ..Default::default() };
    let twice = TxnRequest { success: vec![put(1), put(1)], ..Default::default() };
    for txn in [many, nested, twice] {
        let status = api.kv.txn(txn).await.expect_err("refused");
        seen.push((status.code().into(), status.message().to_owned()));
    }
    let status = api
        .maintenance
        .move_leader(wire::etcdserverpb::MoveLeaderRequest { target_id: 42 })
        .await
        .expect_err("no such member");
    seen.push((status.code().into(), status.message().to_owned()));
    let status = api.hash_kv(99_999).await.expect_err("future");
    seen.push((status.code().into(), status.message().to_owned()));
    Ok(seen)
}

#[tokio::test]
async fn rare_refusals_have_the_same_code_and_text() -> Result<()> {
    let real = refusals(Kind::Real35).await?;
    let ours = refusals(Kind::Ours).await?;
    assert_eq!(ours, real);
    Ok(())
}

/// What ends a real etcd with a panic (docs/compatibility.md) is answered by ours, which goes on.
#[tokio::test]
async fn a_put_that_keeps_the_value_of_a_key_just_deleted_ends_nothing() -> Result<()> {
    let cluster = Cluster::start(Kind::Ours, 1, &[]).await?;
    let mut api = cluster.nodes[0].api()?;
    api.put("a", "1").await?;
    let delete = DeleteRangeRequest {
        key: "a".into(),
        range_end: b"\0".to_vec().into(),
        ..Default::default()
    };
    let keep = PutRequest { key: "a".into(), ignore_value: true, ..Default::default() };
    let ops = [Request::RequestDeleteRange(delete), Request::RequestPut(keep)];
    let success = ops.map(|request| RequestOp { request: Some(request) }).to_vec();
    let answer = api.kv.txn(TxnRequest { success, ..Default::default() }).await?.into_inner();
    assert_eq!(answer.header.map(|header| header.revision), Some(3));
    let read = api.get("a").await?;
    assert_eq!(
        read.kvs.iter().map(|kv| (&kv.value[..], kv.version)).collect::<Vec<_>>(),
        [(&b""[..], 1)]
    );
    Ok(())
}
