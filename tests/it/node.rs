//! One node's manners: flags it refuses, folders it will not touch, space it guards, a follower it brings up to date.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use wire::etcdserverpb::{AlarmRequest, PutRequest, alarm_request::AlarmAction};

use crate::{
    crash::same_hash_everywhere,
    harness::{
        child::Process,
        cluster::{Cluster, READY},
        ctl,
        oracle::{self, Kind, Version},
        ports::Port,
        wait,
    },
};

#[tokio::test]
async fn a_go_etcd_refuses_our_dir_and_ours_goes_on() -> Result<()> {
    let mut cluster = Cluster::start(Kind::Ours, 1, &[]).await?;
    cluster.nodes[0].api()?.put("kept", "1").await?;
    cluster.nodes[0].stop()?;
    for (kind, version) in [(Kind::Real34, Version::V34), (Kind::Real35, Version::V35)] {
        cluster.nodes[0].kind = kind;
        cluster.nodes[0].start()?;
        let mut process = cluster.nodes[0].process.take().context("started")?;
        let ended = process.wait(Duration::from_secs(30))?;
        ensure!(!ended.success(), "etcd {version:?} ended with {ended} on our dir");
        ensure!(!cluster.nodes[0].data_dir().join("member/snap/db.tmp").exists(), "it made a db");
    }
    cluster.nodes[0].kind = Kind::Ours;
    cluster.nodes[0].start()?;
    cluster.ready().await?;
    let answer = cluster.nodes[0].api()?.get("kept").await?;
    assert_eq!(answer.kvs.len(), 1);
    Ok(())
}

#[tokio::test]
async fn ours_refuses_a_go_dir_and_leaves_it_as_it_was() -> Result<()> {
    let mut cluster = Cluster::start(Kind::Real35, 1, &[]).await?;
    cluster.nodes[0].api()?.put("kept", "1").await?;
    cluster.nodes[0].stop()?;
    let db = cluster.nodes[0].data_dir().join("member/snap/db");
    let before = fs::read(&db)?;
    cluster.nodes[0].kind = Kind::Ours;
    cluster.nodes[0].start()?;
    let mut process = cluster.nodes[0].process.take().context("started")?;
    let ended = process.wait(Duration::from_secs(20))?;
    assert_eq!(ended.code(), Some(1), "{}", process.log_tail());
    ensure!(process.log().contains("snap/db"), "the reason names the file: {}", process.log_tail());
    assert_eq!(fs::read(&db)?, before);
    cluster.nodes[0].kind = Kind::Real35;
    cluster.nodes[0].start()?;
    cluster.ready().await
}

#[tokio::test]
async fn a_second_process_on_one_dir_is_refused_at_once() -> Result<()> {
    let cluster = Cluster::start(Kind::Ours, 1, &[]).await?;
    let (client, peer) = (Port::take()?, Port::take()?);
    let folder = tempfile::tempdir()?;
    let arguments = [
        "--name=m0".to_owned(),
        format!("--data-dir={}", cluster.nodes[0].data_dir().display()),
        format!("--listen-client-urls={}", client.url()),
        format!("--advertise-client-urls={}", client.url()),
        format!("--listen-peer-urls={}", peer.url()),
        format!("--initial-advertise-peer-urls={}", peer.url()),
        format!("--initial-cluster=m0={}", peer.url()),
    ];
    let program = oracle::server(Kind::Ours)?;
    let mut second = Process::start(&program, &arguments, &[], &folder.path().join("log"))?;
    assert_eq!(second.wait(Duration::from_secs(10))?.code(), Some(1), "{}", second.log_tail());
    cluster.ready().await
}

#[test]
fn flags_are_refused_with_etcds_words_and_codes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let dir = format!("--data-dir={}", folder.path().join("data").display());
    for (flags, code, words) in [
        (vec!["--nope"], 2, "flag provided but not defined: -nope"),
        (vec!["--election-timeout=abc"], 2, "invalid value"),
        (vec!["--cert-file=/etc/hosts"], 1, "KeyFile and CertFile must both be present"),
        (vec!["--force-new-cluster"], 1, "force-new-cluster"),
        (
            vec![
                "--listen-client-urls=https://127.0.0.1:1",
                "--advertise-client-urls=https://127.0.0.1:1",
            ],
            1,
            "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:1",
        ),
        (vec!["--listen-client-urls=http://127.0.0.1:1"], 1, "advertise-client-urls is required"),
        (vec!["--heartbeat-interval=500", "--election-timeout=1000"], 1, "election"),
        (
            vec!["--initial-cluster=a=http://127.0.0.1:1", "--discovery=http://127.0.0.1:1/x"],
            1,
            "multiple discovery or bootstrap flags",
        ),
        (
            vec!["--name=z", "--initial-cluster=a=http://127.0.0.1:1"],
            1,
            "couldn't find local name \"z\"",
        ),
    ] {
        let arguments: Vec<String> =
            flags.iter().map(|&flag| flag.to_owned()).chain([dir.clone()]).collect();
        let log = folder.path().join("log");
        drop(fs::remove_file(&log));
        let mut process = Process::start(&oracle::server(Kind::Ours)?, &arguments, &[], &log)?;
        let ended = process.wait(Duration::from_secs(10))?;
        assert_eq!(ended.code(), Some(code), "{flags:?}: {}", process.log_tail());
        ensure!(process.log().contains(words), "{flags:?}: {}", process.log_tail());
        ensure!(!folder.path().join("data/member").exists(), "{flags:?} touched the data dir");
    }
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_with_the_signal_and_keeps_the_data() -> Result<()> {
    use std::os::unix::process::ExitStatusExt;
    let mut cluster = Cluster::start(Kind::Ours, 1, &[]).await?;
    cluster.nodes[0].api()?.put("kept", "1").await?;
    let mut process = cluster.nodes[0].process.take().context("running")?;
    process.signal(Signal::SIGTERM)?;
    let ended = process.wait(Duration::from_secs(20))?;
    assert_eq!(ended.signal(), Some(15), "{ended}");
    cluster.nodes[0].start()?;
    cluster.ready().await?;
    assert_eq!(cluster.nodes[0].api()?.get("kept").await?.kvs.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_fell_behind_gets_a_snapshot() -> Result<()> {
    let mut cluster = Cluster::start(Kind::Ours, 3, &["--snapshot-count=1000"]).await?;
    let lagging = (cluster.leader().await? + 1) % 3;
    let writer = (lagging + 1) % 3;
    cluster.nodes[lagging].kill();
    let mut tasks = Vec::new();
    for task in 0..20 {
        let mut api = cluster.nodes[writer].api()?;
        tasks.push(tokio::spawn(async move {
            for number in 0..500 {
                api.put(&format!("{task}/{number}"), &"v".repeat(100)).await?;
            }
            Ok::<_, tonic::Status>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    cluster.nodes[lagging].start()?;
    cluster.ready().await?;
    same_hash_everywhere(&cluster).await?;
    let metrics = crate::harness::http::request("GET", &cluster.nodes[lagging].url(), "/metrics")?;
    let received = metrics.body.lines().any(|line| {
        line.starts_with("etcd_network_snapshot_receive_success{") && !line.ends_with(" 0")
    });
    ensure!(received, "the follower caught up without a snapshot");
    // And it goes on from there after a crash.
    cluster.nodes[lagging].kill();
    cluster.nodes[lagging].start()?;
    cluster.ready().await?;
    same_hash_everywhere(&cluster).await
}

#[tokio::test]
async fn a_full_quota_raises_nospace_and_disarming_ends_it() -> Result<()> {
    let mut cluster = Cluster::start(Kind::Ours, 1, &["--quota-backend-bytes=8000000"]).await?;
    let url = cluster.nodes[0].url();
    let mut api = cluster.nodes[0].api()?;
    let refused = loop {
        let value = vec![b'v'; 500_000].into();
        let key = b"big".to_vec().into();
        if let Err(status) = api.kv.put(PutRequest { key, value, ..Default::default() }).await {
            break status;
        }
    };
    assert_eq!(refused.message(), "etcdserver: mvcc: database space exceeded");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    let listed = ctl::ok(Version::V35, &url, &["alarm", "list"])?;
    ensure!(listed.contains("alarm:NOSPACE"), "{listed}");
    ensure!(api.get("big").await?.kvs.len() == 1, "reads go on");
    ctl::ok(Version::V35, &url, &["del", "big"])?;
    let health = crate::harness::http::request("GET", &url, "/health")?;
    assert_eq!((health.code, health.body.contains("ALARM NOSPACE")), (503, true));
    cluster.nodes[0].stop()?;
    cluster.nodes[0].set_flag("--quota-backend-bytes", "2000000000");
    cluster.nodes[0].start()?;
    wait::until(READY, "the member answers", || {
        let mut api = api.clone();
        async move { api.get("big").await }
    })
    .await?;
    ensure!(api.put("small", "1").await.is_err(), "the alarm outlives a restart");
    let disarm = AlarmRequest { action: AlarmAction::Get.into(), ..Default::default() };
    let alarms = api.maintenance.alarm(disarm).await?.into_inner().alarms;
    assert_eq!(alarms.len(), 1);
    ctl::ok(Version::V35, &url, &["alarm", "disarm"])?;
    api.put("small", "1").await?;
    Ok(())
}
