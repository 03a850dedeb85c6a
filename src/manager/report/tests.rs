//! The status document against its page, and the table of a cluster in trouble.

use super::*;

fn member(name: &str) -> MemberReport {
    MemberReport {
        name: name.to_owned(),
        id: Some("8a226de9f9616fcd".to_owned()),
        zone: None,
        client_urls: vec!["http://127.0.0.1:2379".to_owned()],
        peer_urls: vec!["http://127.0.0.1:2380".to_owned()],
        state: "running".to_owned(),
        health: "healthy".to_owned(),
        reason: None,
        role: Some("leader".to_owned()),
        term: Some(2),
        index: Some(9),
        applied: Some(9),
        lag: Some(0),
        revision: Some(1),
        db_bytes: Some(20_480),
        db_in_use_bytes: Some(16_384),
        version: Some("3.5.1".to_owned()),
        errors: Vec::new(),
        pid: Some(4711),
        uptime_s: Some(61),
        restarts: 1,
        last_exit: None,
        certificate: Some(CertificateReport {
            file: "/pki/peer.pem".to_owned(),
            expires: Some("2026-11-30T00:00:00Z".to_owned()),
            days_left: Some(7),
            warning: Some("/pki/peer.pem expires in 7 days".to_owned()),
        }),
        data_dir: Some("/d/n1".to_owned()),
        log: Some("/d/log/n1.log".to_owned()),
    }
}

fn report() -> StatusReport {
    let fallen = MemberReport {
        state: "backing-off".to_owned(),
        health: "unhealthy".to_owned(),
        reason: Some("it ended".to_owned()),
        role: None,
        pid: None,
        uptime_s: None,
        last_exit: Some(LastExit {
            cause: "killed".to_owned(),
            text: "killed by a signal from outside: signal 9 (SIGKILL)".to_owned(),
            remedy: "find out who sent the signal".to_owned(),
            at_ms: 5,
        }),
        ..member("n2")
    };
    StatusReport {
        schema: STATUS_SCHEMA,
        cluster: "local".to_owned(),
        cluster_id: Some("f39784fca07c9c3c".to_owned()),
        uuid: None,
        bootstrap: Some("formed".to_owned()),
        spec_revision: 1,
        spec_source: None,
        converged: false,
        goal: None,
        last: Some(LastRequest {
            goal: "converge".to_owned(),
            outcome: "reached".to_owned(),
            reason: "converged".to_owned(),
        }),
        paused: Some(PauseReport {
            since_ms: 1_000,
            reason: "moving racks".to_owned(),
            text: "paused since 1970-01-01T00:00:01Z (moving racks)".to_owned(),
        }),
        quorum: QuorumReport { voters: 2, healthy: 1, tolerance: -1 },
        agent: AgentReport {
            pid: 1,
            version: "0.1.0".to_owned(),
            state_dir: "/s".to_owned(),
            host: String::new(),
        },
        hosts: vec![HostReport {
            host: "10.0.34.15".to_owned(),
            address: "10.0.34.15:2378".to_owned(),
            agent: None,
            version: "0.1.0".to_owned(),
            role: "leader".to_owned(),
            answers: false,
            reason: Some("timed out".to_owned()),
        }],
        members: vec![member("n1"), fallen],
        notes: vec!["n2: starts again".to_owned()],
        journal: vec![JournalReport { at_ms: 1, node: String::new(), text: "x".to_owned() }],
    }
}

fn fields(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                into.push(name.clone());
                fields(value, into);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| fields(item, into)),
        _ => {}
    }
}

#[test]
fn every_field_is_documented() {
    let page = include_str!("../../../docs/status-json.md");
    let mut names = Vec::new();
    fields(&serde_json::to_value(report()).unwrap(), &mut names);
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/status-json.md lacks `{name}`");
    }
}

#[test]
fn no_field_is_documented_that_is_not_there() {
    let page = include_str!("../../../docs/status-json.md");
    let mut names = Vec::new();
    fields(&serde_json::to_value(report()).unwrap(), &mut names);
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: Vec<&str> = rows.map(|(name, _)| name).collect();
    assert!(documented.len() > 30, "the tables are read: {documented:?}");
    for name in documented {
        assert!(names.iter().any(|known| known == name), "there is no field `{name}`");
    }
}

#[test]
fn every_cause_of_an_end_is_documented() {
    let page = include_str!("../../../docs/status-json.md");
    for row in &crate::supervise::classify::TABLE {
        let serde_json::Value::String(word) = serde_json::to_value(row.cause).unwrap() else {
            panic!("a cause is a word");
        };
        assert!(page.contains(&format!("`{word}`")), "docs/status-json.md lacks `{word}`");
    }
}

#[test]
fn the_document_reads_back() {
    let text = serde_json::to_string(&report()).unwrap();
    assert_eq!(serde_json::from_str::<StatusReport>(&text).unwrap(), report());
}

#[test]
fn the_table_says_what_is_wrong_and_what_to_do() {
    let shown = table(&report());
    let expected = "\
cluster local (f39784fca07c9c3c): 1 of 2 voters healthy, NO QUORUM; spec revision 1, not converged
paused since 1970-01-01T00:00:01Z (moving racks): nothing is changed before etcd-manager resume

MEMBER  ID                STATE        ROLE    HEALTH     TERM  INDEX  LAG  DB SIZE   VERSION  PID   UPTIME  RESTARTS
n1      8a226de9f9616fcd  running      leader  healthy    2     9      0    20.0 KiB  3.5.1    4711  1m 1s   1
n2      8a226de9f9616fcd  backing-off  -       unhealthy  2     9      0    20.0 KiB  3.5.1    -     -       1

n2: it ended
  last run: killed by a signal from outside: signal 9 (SIGKILL) (find out who sent the signal)

warning: n1: /pki/peer.pem expires in 7 days
warning: n2: /pki/peer.pem expires in 7 days

the agent of 10.0.34.15 does not answer: timed out

0 of 1 agents answer; 10.0.34.15 leads them

Not as the spec says:
  n2: starts again
";
    assert_eq!(shown, expected);
}
