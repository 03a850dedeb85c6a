//! `member …` of the real etcdctl 3.4.23 and 3.5.1 prints against ours what it prints against a real etcd 3.5.1.

use anyhow::{Context, Result};

use crate::{
    etcdctl::masks::masked,
    harness::{
        cluster::Cluster,
        ctl::{self, Said},
        oracle::{Kind, Version},
    },
};

/// The id (hex) of whoever has this peer URL.
fn id_of(version: Version, endpoint: &str, url: &str) -> Result<String> {
    let listed = ctl::ok(version, endpoint, &["member", "list"])?;
    let row = listed.lines().find(|line| line.contains(url));
    let row = row.with_context(|| format!("nobody has {url}: {listed}"))?;
    Ok(row.split(',').next().context("an id")?.to_owned())
}

/// Members come and go in each format; the last commands are refused.
fn script(version: Version, cluster: &Cluster) -> Result<Vec<(String, Said)>> {
    let endpoint = cluster.nodes[0].url();
    let own = id_of(version, &endpoint, &cluster.nodes[0].peer_url())?;
    let mut answers = Vec::new();
    let mut run = |arguments: &[&str], id: &str| -> Result<()> {
        // A leader of etcd loses a change that comes before it has quite finished the one before; it answers a
        // linearizable read only afterwards.
        ctl::ok(version, &endpoint, &["get", "k"])?;
        let said = ctl::run(version, &endpoint, arguments)?;
        let said = Said {
            code: said.code,
            out: said.out.replace(id, "LEARNER"),
            err: said.err.replace(id, "LEARNER"),
        };
        answers.push((arguments.join(" ").replace(id, "LEARNER"), said));
        Ok(())
    };
    // The same URLs in the same second would be the same, removed, member.
    for (format, nobody) in [
        ("simple", "http://127.0.0.1:41"),
        ("json", "http://127.0.0.1:42"),
        ("fields", "http://127.0.0.1:43"),
        ("table", "http://127.0.0.1:44"),
    ] {
        let urls = format!("--peer-urls={nobody}");
        run(&["member", "add", "new", "--learner", &urls, "-w", format], "no id yet")?;
        let id = id_of(version, &endpoint, nobody)?;
        run(&["member", "list", "-w", format], &id)?;
        if format == "simple" {
            run(&["member", "add", "other", "--learner", "--peer-urls=http://127.0.0.1:9"], &id)?;
            run(&["member", "add", "new", &format!("{urls},http://127.0.0.1:9")], &id)?;
            run(&["member", "promote", &id], &id)?;
            run(&["member", "promote", &own], &id)?;
            run(&["member", "update", "abc", &urls], &id)?;
        }
        let own_url = format!("--peer-urls={}", cluster.nodes[0].peer_url());
        run(&["member", "update", &own, &own_url, "-w", format], &id)?;
        run(&["member", "remove", &id, "-w", format], &id)?;
    }
    run(&["member", "remove", "1234"], "no id")?;
    run(&["member", "add", "new", "--peer-urls=nonsense"], "no id")?;
    run(&["member", "add", "new"], "no id")?;
    run(&["member", "remove", &own], "no id")?;
    run(&["member", "remove", "not-hex"], "no id")?;
    Ok(answers)
}

/// Members are listed by id, which differs between two clusters.
fn unordered(said: Said) -> Said {
    let pairs = |line: &str| match line.strip_prefix("ETCD_INITIAL_CLUSTER=") {
        Some(pairs) => {
            let mut pairs: Vec<&str> = pairs.trim_matches('"').split(',').collect();
            pairs.sort_unstable();
            format!("ETCD_INITIAL_CLUSTER={}", pairs.join(","))
        }
        // Short ids are padded.
        None => line.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let mut lines: Vec<String> = said.out.lines().map(pairs).collect();
    lines.sort();
    Said { out: lines.join("\n"), ..said }
}

#[tokio::test]
async fn member_commands_print_what_they_print_against_the_real_one() -> Result<()> {
    for version in Version::ALL {
        let ours = Cluster::start(Kind::Ours, 1, &[]).await?;
        let real = Cluster::start(Kind::Real35, 1, &[]).await?;
        let mine = script(version, &ours)?;
        let expected = script(version, &real)?;
        assert_eq!(mine.len(), expected.len());
        for ((command, mine), (_, expected)) in mine.iter().zip(&expected) {
            let (mine, expected) = (masked(mine, &ours), masked(expected, &real));
            assert_eq!(unordered(mine), unordered(expected), "etcdctl {version:?} {command}");
        }
    }
    Ok(())
}
