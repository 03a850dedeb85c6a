//! Our log and `.snap` files are etcd's: a real etcd that finds them, without our store and guard, serves the same keys.

use std::{fs, ops::Bound, ops::ControlFlow, path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use backend::{Backend, Bucket, Options};
use disk::RealDisk;
use wire::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp,
    TxnRequest, request_op::Request,
};

use crate::{
    crash::same_hash_everywhere,
    harness::{
        api::Api,
        cluster::{Cluster, Node},
        oracle::Kind,
    },
};

/// Every kind of write this build puts into the log.
async fn write_all_kinds(api: &mut Api) -> Result<()> {
    for number in 0..300 {
        api.put(&format!("k/{}", number % 40), &number.to_string()).await?;
    }
    let gone = DeleteRangeRequest {
        key: b"k/1".to_vec().into(),
        range_end: b"k/2".to_vec().into(),
        ..Default::default()
    };
    let revision = api.kv.delete_range(gone).await?.into_inner().header.context("header")?.revision;
    let put = |key: &str| RequestOp {
        request: Some(Request::RequestPut(PutRequest {
            key: key.as_bytes().to_vec().into(),
            value: vec![0, 255, 10].into(),
            ..Default::default()
        })),
    };
    let both = TxnRequest { success: vec![put("t/1"), put("t/2")], ..Default::default() };
    api.kv.txn(both).await?;
    api.kv.compact(CompactionRequest { revision: revision - 20, physical: true }).await?;
    api.put("last", "1").await?;
    Ok(())
}

/// Everything there is.
async fn all(api: &mut Api) -> Result<RangeResponse> {
    let request =
        RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..Default::default() };
    let mut answer = api.kv.range(request).await?.into_inner();
    if let Some(header) = &mut answer.header {
        header.raft_term = 0;
    }
    Ok(answer)
}

/// A copy of a stopped member's dir with nothing in it that only ours reads.
fn copy_for_go(node: &mut Node) -> Result<()> {
    let (from, to) = (node.data_dir(), node.root().join("copy"));
    for folder in ["member/wal", "member/snap"] {
        fs::create_dir_all(to.join(folder))?;
        for item in fs::read_dir(from.join(folder))? {
            let item = item?;
            fs::copy(item.path(), to.join(folder).join(item.file_name()))?;
        }
    }
    fs::remove_file(to.join("member/snap/db"))?;
    node.set_flag("--data-dir", &to.display().to_string());
    Ok(())
}

/// Our store as the bbolt file that a Go member has in its place.
fn export_store(node: &Node) -> Result<()> {
    let disk: Arc<dyn disk::Disk> = Arc::new(RealDisk);
    let store = node.data_dir().join("member/kv/state.redb");
    let backend = Backend::open(Arc::clone(&disk), &store, Options::default())?;
    let mut writer = bolt::Writer::create(disk.as_ref(), &node.root().join("copy/member/snap/db"))?;
    for bucket in Bucket::ALL {
        writer.bucket(bucket.name().as_bytes())?;
        let mut rows = Vec::new();
        backend.scan(bucket, Bound::Unbounded, Bound::Unbounded, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        for (key, value) in rows {
            writer.put(&key, &value)?;
        }
    }
    writer.finish()?;
    backend.close()?;
    Ok(())
}

fn snaps(folder: &Path) -> Result<usize> {
    let names = fs::read_dir(folder.join("member/snap"))?;
    let names: Vec<_> = names.collect::<Result<_, _>>()?;
    Ok(names.iter().filter(|item| item.file_name().to_string_lossy().ends_with(".snap")).count())
}

#[tokio::test]
async fn a_3_5_replays_our_log_from_its_first_entry() -> Result<()> {
    let mut cluster = Cluster::start(Kind::Ours, 1, &[]).await?;
    let mut api = cluster.nodes[0].api()?;
    write_all_kinds(&mut api).await?;
    let (keys, hash) = (all(&mut api).await?, api.hash_kv(0).await?);
    ensure!(keys.kvs.len() > 20, "there is something to compare");
    cluster.nodes[0].stop()?;
    ensure!(snaps(&cluster.nodes[0].data_dir())? == 0, "no snapshot was taken yet");
    copy_for_go(&mut cluster.nodes[0])?;
    served_by_3_5(&mut cluster, keys, hash).await
}

#[tokio::test]
async fn a_3_5_goes_on_from_our_snapshot_and_exported_store() -> Result<()> {
    let mut cluster = Cluster::start(Kind::Ours, 1, &["--snapshot-count=100"]).await?;
    let mut api = cluster.nodes[0].api()?;
    write_all_kinds(&mut api).await?;
    let (keys, hash) = (all(&mut api).await?, api.hash_kv(0).await?);
    cluster.nodes[0].stop()?;
    ensure!(snaps(&cluster.nodes[0].data_dir())? > 0, "a snapshot was taken");
    copy_for_go(&mut cluster.nodes[0])?;
    export_store(&cluster.nodes[0])?;
    served_by_3_5(&mut cluster, keys, hash).await
}

/// The Go member serves the same, writes, and finds it all again.
async fn served_by_3_5(cluster: &mut Cluster, keys: RangeResponse, hash: (u32, i64)) -> Result<()> {
    cluster.nodes[0].kind = Kind::Real35;
    cluster.nodes[0].start()?;
    cluster.ready().await?;
    let mut api = cluster.nodes[0].api()?;
    assert_eq!(all(&mut api).await?, keys);
    assert_eq!(api.hash_kv(0).await?, hash);
    api.put("more", "1").await?;
    cluster.nodes[0].kill();
    cluster.nodes[0].start()?;
    cluster.ready().await?;
    assert_eq!(cluster.nodes[0].api()?.get("more").await?.kvs.len(), 1);
    Ok(())
}

/// A lone 3.4 may not run in a cluster of version 3.5, so its log is one of a cluster with 3.4 members.
#[tokio::test]
async fn a_3_4_replays_our_log_in_the_place_of_our_member() -> Result<()> {
    let kinds = [Kind::Ours, Kind::Real34, Kind::Real34];
    let mut cluster = Cluster::start_mixed(&kinds, &["--pre-vote=true"]).await?;
    let mut api = cluster.nodes[0].api()?;
    write_all_kinds(&mut api).await?;
    let keys = all(&mut api).await?;
    cluster.nodes[0].stop()?;
    copy_for_go(&mut cluster.nodes[0])?;
    cluster.nodes[0].kind = Kind::Real34;
    cluster.nodes[0].start()?;
    cluster.ready().await?;
    assert_eq!(all(&mut cluster.nodes[0].api()?).await?, keys);
    same_hash_everywhere(&cluster).await
}
