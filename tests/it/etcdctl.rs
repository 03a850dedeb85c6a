//! The real etcdctl 3.4.23 and 3.5.1 against ours and a real etcd 3.5.1: the same commands, the same output,
//! in simple, json, fields and table formats; only ids, terms, ports, sizes and times may differ.

pub(crate) mod masks;

use anyhow::{Result, ensure};
use masks::masked;

use crate::harness::{
    cluster::Cluster,
    ctl::{self, Said},
    oracle::{Kind, Version},
};

/// Commands that are answered the same by both; `TXN:` lines go to standard input.
const COMMANDS: &[&[&str]] = &[
    &["put", "a", "1"],
    &["put", "a", "2", "--prev-kv"],
    &["put", "b", "", "-w", "json"],
    &["put", "nothere", "--ignore-value"],
    &["put", "a", "--ignore-value", "--prev-kv"],
    &["put", "ab", "x"],
    &["put", "abc", "y"],
    &["put", "c", "z", "--lease", "7b"],
    &["get", "a"],
    &["get", "a", "-w", "json"],
    &["get", "a", "-w", "fields"],
    &["get", "a", "--prefix"],
    &["get", "a", "--prefix", "--keys-only"],
    &["get", "a", "--prefix", "--limit", "2", "-w", "json"],
    &["get", "a", "--prefix", "--print-value-only"],
    &["get", "a", "abc"],
    &["get", "b", "--from-key"],
    &["get", "", "--prefix", "--order", "DESCEND"],
    &["get", "", "--prefix", "--sort-by", "CREATE", "--order", "ASCEND"],
    &["get", "", "--prefix", "--sort-by", "MODIFY", "--order", "DESCEND"],
    &["get", "", "--prefix", "--sort-by", "VALUE"],
    &["get", "", "--prefix", "--sort-by", "VERSION", "--order", "DESCEND"],
    &["get", "a", "--rev", "2"],
    &["get", "a", "--rev", "9999"],
    &["get", "a", "--consistency", "s"],
    &["get", "missing", "-w", "json"],
    &["del", "missing"],
    &["del", "b", "--prev-kv"],
    &["del", "ab", "--prefix", "--prev-kv", "-w", "json"],
    &["put", "k1", "v"],
    &["put", "k2", "v"],
    &["del", "k1", "k3"],
    &["del", "zz", "--from-key"],
    &["compaction", "5"],
    &["compaction", "5"],
    &["compaction", "9999"],
    &["get", "a", "--rev", "3"],
    &["get", "a", "--rev", "5"],
    &["compaction", "6", "--physical", "-w", "json"],
    &["alarm", "list"],
    &["alarm", "disarm"],
    &["endpoint", "hashkv", "-w", "json"],
    &["put", "back\\slash", "q\"uote", "-w", "fields"],
    &["get", "back\\slash", "-w", "json"],
];

/// Transactions for `etcdctl txn`, one a run.
const TRANSACTIONS: &[&str] = &[
    "value(\"a\") = \"2\"\n\nput t 1\nget a\n\nput t 2\n\n",
    "value(\"a\") = \"nope\"\nmod(\"a\") > \"0\"\n\nput t 1\n\nget a\ndel t\n\n",
    "create(\"new\") = \"0\"\n\nput new fresh\nget new\n\nget new\n\n",
    "version(\"new\") < \"5\"\n\ndel n --prefix --prev-kv\nget n --prefix\n\n\n",
    "\n\n\n\n",
];

fn script(version: Version, endpoint: &str) -> Result<Vec<(String, Said)>> {
    let mut answers = Vec::new();
    for command in COMMANDS {
        answers.push((command.join(" "), ctl::run(version, endpoint, command)?));
    }
    for format in ["simple", "json"] {
        for txn in TRANSACTIONS {
            let said = ctl::run_with_input(version, endpoint, &["txn", "-w", format], txn)?;
            answers.push((format!("txn -w {format} {txn:?}"), said));
        }
    }
    Ok(answers)
}

#[tokio::test]
async fn key_commands_print_what_they_print_against_the_real_one() -> Result<()> {
    for version in Version::ALL {
        let ours = Cluster::start(Kind::Ours, 1, &[]).await?;
        let real = Cluster::start(Kind::Real35, 1, &[]).await?;
        let mine = script(version, &ours.nodes[0].url())?;
        let expected = script(version, &real.nodes[0].url())?;
        for ((command, mine), (_, expected)) in mine.iter().zip(&expected) {
            assert_eq!(
                masked(mine, &ours),
                masked(expected, &real),
                "etcdctl {version:?} {command}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn cluster_commands_print_what_they_print_against_the_real_one() -> Result<()> {
    let ours = Cluster::start(Kind::Ours, 3, &[]).await?;
    let real = Cluster::start(Kind::Real35, 3, &[]).await?;
    for version in Version::ALL {
        for command in [
            &["member", "list"][..],
            &["member", "list", "-w", "table"],
            &["member", "list", "-w", "json"],
            &["endpoint", "health"],
            &["endpoint", "health", "-w", "json"],
            &["endpoint", "health", "--cluster", "-w", "table"],
            &["endpoint", "status"],
            &["endpoint", "status", "-w", "table"],
            &["endpoint", "status", "-w", "json"],
            &["endpoint", "status", "--cluster", "-w", "fields"],
            &["endpoint", "hashkv", "-w", "table"],
            &["endpoint", "hashkv", "--rev", "1"],
        ] {
            let mine = ctl::run(version, &ours.endpoints(), command)?;
            let expected = ctl::run(version, &real.endpoints(), command)?;
            assert_eq!(
                masked(&mine, &ours),
                masked(&expected, &real),
                "etcdctl {version:?} {}",
                command.join(" ")
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn move_leader_moves_the_leader() -> Result<()> {
    let cluster = Cluster::start(Kind::Ours, 3, &[]).await?;
    for version in Version::ALL {
        let leader = cluster.leader().await?;
        let target = (leader + 1) % 3;
        let url = cluster.nodes[target].url();
        let listed = ctl::ok(version, &url, &["member", "list"])?;
        let row = listed.lines().find(|line| line.contains(&url)).expect("the member is listed");
        let id = row.split(',').next().expect("an id");
        let said = ctl::run(version, &cluster.nodes[leader].url(), &["move-leader", id])?;
        ensure!(said.code == 0 && said.out.contains("Leadership transferred"), "{said:?}");
        assert_eq!(cluster.leader().await?, target);
        let refused = ctl::run(version, &cluster.nodes[leader].url(), &["move-leader", id])?;
        ensure!(
            refused.code != 0 && refused.err.contains("no leader endpoint given"),
            "{refused:?}"
        );
    }
    Ok(())
}
