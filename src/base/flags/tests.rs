//! The flag table against itself and against Go's reading of values.

use std::{collections::BTreeSet, time::Duration};

use super::*;

#[test]
fn every_default_is_a_legal_value_and_every_name_stands_once() {
    let mut names = BTreeSet::new();
    for flag in ALL {
        assert!(names.insert(flag.name), "{} stands twice", flag.name);
        assert!(!IGNORED.contains(&flag.name), "{}", flag.name);
        assert_eq!(flag.validate(flag.default), Ok(()), "{}", flag.name);
        assert!(!flag.help.is_empty() && !flag.help.ends_with('.'), "{}", flag.name);
    }
    assert_eq!(ALL.len(), 112, "etcd 3.5.21 has 112 flags");
}

#[test]
fn sections_come_in_the_order_of_the_help() {
    assert!(ALL.is_sorted_by_key(|flag| flag.section));
}

#[test]
fn a_misspelt_flag_finds_the_known_one() {
    assert_eq!(nearest("--snapshot-cuont"), Some("snapshot-count"));
    assert_eq!(nearest("initial_cluster"), Some("initial-cluster"));
    assert_eq!(nearest("colourful"), None);
    assert_eq!(find("data-dir").unwrap().environment_name(), "ETCD_DATA_DIR");
    assert_eq!(find("nope"), None);
}

#[test]
fn durations_are_read_as_go_reads_them() {
    let good = [
        ("0", 0),
        ("100ms", 100_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("2h0m0s", 7_200_000_000_000),
        ("1\u{b5}s", 1000),
    ];
    for (text, nanos) in good {
        assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
    }
    for text in ["", "5", "s", ".s", "1.2.3s", "-1s", "1 s", "1d", "300000h00", "9999999999h"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn numbers_keep_their_bounds() {
    assert_eq!(parse_integer("0x10", 0, 100), Ok(16));
    assert_eq!(parse_integer("-5", -5, 0), Ok(-5));
    for text in
        ["", "-", "1.5", "abc", "0x", "101", "-1", "99999999999999999999999999999999999999999"]
    {
        assert!(parse_integer(text, 0, 100).is_err(), "{text}");
    }
    assert!(find("max-concurrent-streams").unwrap().validate("4294967296").is_err());
    assert!(find("quota-backend-bytes").unwrap().validate("-1").is_ok());
    assert!(find("snapshot-count").unwrap().validate("-1").is_err());
}

#[test]
fn urls_need_a_scheme_and_a_port_and_nothing_more() {
    let urls = find("listen-client-urls").unwrap();
    for good in ["http://127.0.0.1:2379", "https://a:1,http://[::1]:2", "unix://sock", ""] {
        assert_eq!(urls.validate(good), Ok(()), "{good}");
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
        assert!(urls.validate(bad).is_err(), "{bad}");
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
fn words_and_truth_values_are_exact() {
    let state = find("initial-cluster-state").unwrap();
    assert_eq!(state.validate("existing"), Ok(()));
    assert_eq!(state.validate("old").unwrap_err().to_string(), "must be one of new, existing");
    assert!(find("pre-vote").unwrap().validate("yes").is_err());
    assert!(find("pre-vote").unwrap().validate("T").is_ok());
    assert_eq!(parse_retention("5"), Ok(Ok(5)));
    assert_eq!(parse_retention("10m"), Ok(Err(Duration::from_secs(600))));
}
