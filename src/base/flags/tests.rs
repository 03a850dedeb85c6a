//! The flag table against itself and against Go's reading of values.

use std::{collections::BTreeSet, time::Duration};

use super::*;

#[test]
fn every_default_is_a_legal_value_and_every_name_stands_once() {
    let mut names = BTreeSet::new();
    for flag in FLAGS {
        assert!(names.insert(flag.name), "{} stands twice", flag.name);
        assert!(!IGNORED.contains(&flag.name), "{}", flag.name);
        assert_eq!(flag.kind.check(flag.default), Ok(()), "{}", flag.name);
        assert!(!flag.help.is_empty() && !flag.help.ends_with('.'), "{}", flag.name);
    }
    assert_eq!(FLAGS.len(), 112, "etcd 3.5.21 has 112 flags");
}

#[test]
fn sections_come_in_the_order_of_the_help() {
    assert!(FLAGS.is_sorted_by_key(|flag| flag.section));
}

#[test]
fn flags_are_found_by_name_and_know_their_variable() {
    assert_eq!(find("data-dir").map(|flag| flag.kind), Some(Kind::Path));
    assert_eq!(find("--data-dir"), None);
    assert_eq!(find("nope"), None);
    assert_eq!(environment_name("data-dir"), "ETCD_DATA_DIR");
}

fn check(name: &str, value: &str) -> Result<(), String> {
    find(name).unwrap().kind.check(value)
}

#[test]
fn numbers_keep_their_bounds() {
    assert_eq!(parse_integer("0x10"), Some(16));
    assert_eq!(parse_integer("-5"), Some(-5));
    for text in ["", "-", "1.5", "abc", "0x", "1_0", "9223372036854775808", "--1"] {
        assert_eq!(parse_integer(text), None, "{text}");
    }
    assert_eq!(
        check("max-concurrent-streams", "4294967296").unwrap_err(),
        "an integer from 0 to 4294967295"
    );
    assert_eq!(check("quota-backend-bytes", "-1"), Ok(()));
    assert_eq!(check("snapshot-count", "-1").unwrap_err(), "an integer of 0 or more");
}

#[test]
fn urls_need_a_scheme_and_a_port_and_nothing_more() {
    for good in ["http://127.0.0.1:2379", "https://a:1,http://[::1]:2", "unix://sock", ""] {
        assert_eq!(check("listen-client-urls", good), Ok(()), "{good}");
    }
    for bad in [
        "127.0.0.1:2379",
        "http://a",
        "http://a:1/",
        "http://a:x",
        "ftp://a:1",
        "http://::1:5",
        "http://a:1,",
        "http://a b:1",
    ] {
        assert!(check("listen-client-urls", bad).is_err(), "{bad}");
    }
}

#[test]
fn an_initial_cluster_is_pairs_of_name_and_url() {
    assert_eq!(
        parse_members("a=http://h:1,b=http://h:2,a=http://h:3").unwrap(),
        [("a", "http://h:1"), ("b", "http://h:2"), ("a", "http://h:3")]
    );
    for bad in ["a", "=http://h:1", "a=h:1", "a=http://h:1,"] {
        assert!(parse_members(bad).is_err(), "{bad}");
    }
}

#[test]
fn words_switches_and_retentions_are_exact() {
    assert_eq!(check("initial-cluster-state", "existing"), Ok(()));
    assert_eq!(check("initial-cluster-state", "old").unwrap_err(), "one of new, existing");
    assert!(check("pre-vote", "yes").is_err());
    assert_eq!(check("pre-vote", "T"), Ok(()));
    assert!(check("grpc-keepalive-timeout", "20").is_err());
    assert_eq!(parse_retention("5"), Some(Retention::Count(5)));
    assert_eq!(parse_retention("10m"), Some(Retention::Time(Duration::from_secs(600))));
    assert_eq!(parse_retention("-1"), None);
}
