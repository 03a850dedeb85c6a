//! The HTTP endpoints of the client port, against a real etcd 3.5.1 with API v2 switched on.

use anyhow::{Result, ensure};

use crate::harness::{cluster::Cluster, http, oracle::Kind};

#[tokio::test]
async fn endpoints_answer_as_the_real_one() -> Result<()> {
    let ours = Cluster::start(Kind::Ours, 1, &[]).await?;
    let real = Cluster::start(Kind::Real35, 1, &["--enable-v2=true"]).await?;
    for (method, path) in [
        ("GET", "/health"),
        ("GET", "/health?exclude=NOSPACE"),
        ("POST", "/health"),
        ("GET", "/nowhere"),
        ("OPTIONS", "/version"),
        ("GET", "/v2/members/other"),
    ] {
        let mine = http::request(method, &ours.nodes[0].url(), path)?;
        let expected = http::request(method, &real.nodes[0].url(), path)?;
        assert_eq!((mine.code, &mine.body), (expected.code, &expected.body), "{method} {path}");
        for name in ["allow", "access-control-allow-origin", "access-control-allow-methods"] {
            assert_eq!(mine.header(name), expected.header(name), "{method} {path}: {name}");
        }
    }
    for path in ["/v2/members", "/v2/members/leader"] {
        let mine = http::request("GET", &ours.nodes[0].url(), path)?;
        let expected = http::request("GET", &real.nodes[0].url(), path)?;
        assert_eq!(
            (mine.code, shape(&mine.body)),
            (expected.code, shape(&expected.body)),
            "{path}"
        );
        ensure!(!mine.header("x-etcd-cluster-id").is_empty(), "{path}: cluster id");
    }
    let version = http::request("GET", &ours.nodes[0].url(), "/version")?;
    assert_eq!(version.body, r#"{"etcdserver":"3.5.21","etcdcluster":"3.5.0"}"#);
    Ok(())
}

/// A JSON text with every digit run, id and port made equal.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for letter in text.chars() {
        let letter = if letter.is_ascii_hexdigit() { '#' } else { letter };
        if letter != '#' || !shape.ends_with('#') {
            shape.push(letter);
        }
    }
    shape
}

#[tokio::test]
async fn metrics_carry_the_names_that_dashboards_ask_for() -> Result<()> {
    let ours = Cluster::start(Kind::Ours, 1, &[]).await?;
    let real = Cluster::start(Kind::Real35, 1, &[]).await?;
    ours.nodes[0].api()?.put("a", "1").await?;
    let mine = http::request("GET", &ours.nodes[0].url(), "/metrics")?.body;
    let theirs = http::request("GET", &real.nodes[0].url(), "/metrics")?.body;
    for name in [
        "etcd_server_has_leader",
        "etcd_server_is_leader",
        "etcd_server_is_learner",
        "etcd_server_learner_promote_successes",
        "etcd_server_leader_changes_seen_total",
        "etcd_server_proposals_committed_total",
        "etcd_server_proposals_applied_total",
        "etcd_server_proposals_pending",
        "etcd_server_proposals_failed_total",
        "etcd_server_quota_backend_bytes",
        "etcd_server_health_success",
        "etcd_server_health_failures",
        "etcd_server_id",
        "etcd_server_version",
        "etcd_cluster_version",
        "etcd_disk_wal_fsync_duration_seconds",
        "etcd_disk_backend_commit_duration_seconds",
        "etcd_mvcc_db_total_size_in_bytes",
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "etcd_mvcc_put_total",
        "etcd_mvcc_range_total",
        "etcd_mvcc_txn_total",
        "etcd_mvcc_delete_total",
        "etcd_debugging_mvcc_keys_total",
        "etcd_debugging_mvcc_current_revision",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        let kind = |text: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(&format!("# TYPE {name} ")).map(str::to_owned))
        };
        assert_eq!(kind(&mine), kind(&theirs), "{name}");
        ensure!(kind(&mine).is_some(), "{name} is missing");
    }
    ensure!(mine.contains("\netcd_server_has_leader 1\n"), "{mine}");
    ensure!(mine.contains("\netcd_mvcc_put_total 1\n"), "put counter");
    Ok(())
}
