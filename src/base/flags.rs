//! The table of etcd 3.5's flags: name, type, default. The node parses by it, the manager's spec is checked against it.

use crate::duration::parse_go_duration;

/// One flag of etcd 3.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// etcd 3.5's default, as text.
    pub default: &'static str,
}

/// What a flag's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A boolean.
    Switch,
    /// An unsigned integer of 64 bits.
    Unsigned,
    /// A signed integer of 64 bits.
    Signed,
    /// A Go duration.
    Duration,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Comma-separated URLs.
    Urls,
    /// Any text.
    Text,
}

impl Kind {
    /// Checks a value, as text.
    ///
    /// # Errors
    /// What it should be, for people: `an integer of 0 or more`.
    pub fn check(self, value: &str) -> Result<(), String> {
        let (legal, wanted) = match self {
            Self::Switch => (parse_switch(value).is_some(), "true or false".to_owned()),
            Self::Unsigned => (value.parse::<u64>().is_ok(), "an integer of 0 or more".to_owned()),
            Self::Signed => (value.parse::<i64>().is_ok(), "an integer".to_owned()),
            Self::Duration => {
                let wanted = "a duration with its unit, such as \"500ms\" or \"1h30m\"";
                (parse_go_duration(value).is_some(), wanted.to_owned())
            }
            Self::OneOf(words) => (words.contains(&value), format!("one of {}", words.join(", "))),
            Self::Urls => {
                let legal = value.is_empty() || value.split(',').all(|url| url.contains("://"));
                (legal, "URLs, comma-separated".to_owned())
            }
            Self::Text => (true, String::new()),
        };
        if legal { Ok(()) } else { Err(wanted) }
    }
}

/// A boolean, in any of Go's spellings.
#[must_use]
pub fn parse_switch(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The flag of this name, without dashes.
#[must_use]
pub fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

/// The environment variable of a flag: `data-dir` -> `ETCD_DATA_DIR`.
#[must_use]
pub fn environment_name(flag: &str) -> String {
    format!("ETCD_{}", flag.to_uppercase().replace('-', "_"))
}

const fn flag(name: &'static str, kind: Kind, default: &'static str) -> Flag {
    Flag { name, kind, default }
}

/// Every flag of etcd 3.5, hidden ones and those of later 3.5 releases too.
#[rustfmt::skip]
pub const FLAGS: &[Flag] = &[
    // member
    flag("name", Kind::Text, "default"),
    flag("data-dir", Kind::Text, ""),
    flag("wal-dir", Kind::Text, ""),
    flag("snapshot-count", Kind::Unsigned, "100000"),
    flag("heartbeat-interval", Kind::Unsigned, "100"),
    flag("election-timeout", Kind::Unsigned, "1000"),
    flag("initial-election-tick-advance", Kind::Switch, "true"),
    flag("listen-peer-urls", Kind::Urls, "http://localhost:2380"),
    flag("listen-client-urls", Kind::Urls, "http://localhost:2379"),
    flag("listen-client-http-urls", Kind::Urls, ""),
    flag("max-snapshots", Kind::Unsigned, "5"),
    flag("max-wals", Kind::Unsigned, "5"),
    flag("quota-backend-bytes", Kind::Signed, "0"),
    flag("backend-bbolt-freelist-type", Kind::OneOf(&["array", "map"]), "map"),
    flag("backend-batch-interval", Kind::Duration, "0s"),
    flag("backend-batch-limit", Kind::Signed, "0"),
    flag("max-txn-ops", Kind::Unsigned, "128"),
    flag("max-request-bytes", Kind::Unsigned, "1572864"),
    flag("max-concurrent-streams", Kind::Unsigned, "4294967295"),
    flag("grpc-keepalive-min-time", Kind::Duration, "5s"),
    flag("grpc-keepalive-interval", Kind::Duration, "2h"),
    flag("grpc-keepalive-timeout", Kind::Duration, "20s"),
    flag("socket-reuse-port", Kind::Switch, "false"),
    flag("socket-reuse-address", Kind::Switch, "false"),
    flag("raft-read-timeout", Kind::Duration, "5s"),
    flag("raft-write-timeout", Kind::Duration, "5s"),
    // clustering
    flag("initial-advertise-peer-urls", Kind::Urls, "http://localhost:2380"),
    flag("initial-cluster", Kind::Text, "default=http://localhost:2380"),
    flag("initial-cluster-state", Kind::OneOf(&["new", "existing"]), "new"),
    flag("initial-cluster-token", Kind::Text, "etcd-cluster"),
    flag("advertise-client-urls", Kind::Urls, "http://localhost:2379"),
    flag("discovery", Kind::Text, ""),
    flag("discovery-fallback", Kind::OneOf(&["exit", "proxy"]), "proxy"),
    flag("discovery-proxy", Kind::Text, ""),
    flag("discovery-srv", Kind::Text, ""),
    flag("discovery-srv-name", Kind::Text, ""),
    flag("strict-reconfig-check", Kind::Switch, "true"),
    flag("pre-vote", Kind::Switch, "true"),
    flag("auto-compaction-retention", Kind::Text, "0"),
    flag("auto-compaction-mode", Kind::OneOf(&["periodic", "revision"]), "periodic"),
    flag("enable-v2", Kind::Switch, "false"),
    flag("v2-deprecation", Kind::OneOf(&["not-yet", "write-only", "write-only-drop-data", "gone"]), "not-yet"),
    // security
    flag("cert-file", Kind::Text, ""),
    flag("key-file", Kind::Text, ""),
    flag("client-cert-file", Kind::Text, ""),
    flag("client-key-file", Kind::Text, ""),
    flag("client-cert-auth", Kind::Switch, "false"),
    flag("client-crl-file", Kind::Text, ""),
    flag("client-cert-allowed-hostname", Kind::Text, ""),
    flag("trusted-ca-file", Kind::Text, ""),
    flag("auto-tls", Kind::Switch, "false"),
    flag("peer-cert-file", Kind::Text, ""),
    flag("peer-key-file", Kind::Text, ""),
    flag("peer-client-cert-file", Kind::Text, ""),
    flag("peer-client-key-file", Kind::Text, ""),
    flag("peer-client-cert-auth", Kind::Switch, "false"),
    flag("peer-trusted-ca-file", Kind::Text, ""),
    flag("peer-cert-allowed-cn", Kind::Text, ""),
    flag("peer-cert-allowed-hostname", Kind::Text, ""),
    flag("peer-auto-tls", Kind::Switch, "false"),
    flag("peer-crl-file", Kind::Text, ""),
    flag("self-signed-cert-validity", Kind::Unsigned, "1"),
    flag("cipher-suites", Kind::Text, ""),
    flag("tls-min-version", Kind::OneOf(&["", "TLS1.2", "TLS1.3"]), ""),
    flag("tls-max-version", Kind::OneOf(&["", "TLS1.2", "TLS1.3"]), ""),
    flag("cors", Kind::Text, "*"),
    flag("host-whitelist", Kind::Text, "*"),
    // auth
    flag("auth-token", Kind::Text, "simple"),
    flag("bcrypt-cost", Kind::Unsigned, "10"),
    flag("auth-token-ttl", Kind::Unsigned, "300"),
    // profiling, monitoring, logging
    flag("enable-pprof", Kind::Switch, "false"),
    flag("metrics", Kind::OneOf(&["basic", "extensive"]), "basic"),
    flag("listen-metrics-urls", Kind::Urls, ""),
    flag("logger", Kind::OneOf(&["zap"]), "zap"),
    flag("log-outputs", Kind::Text, "default"),
    flag("log-level", Kind::OneOf(&["debug", "info", "warn", "error", "dpanic", "panic", "fatal"]), "info"),
    flag("enable-log-rotation", Kind::Switch, "false"),
    flag("log-rotation-config-json", Kind::Text, "{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": false, \"compress\": false}"),
    // v2 proxy
    flag("proxy", Kind::OneOf(&["off", "readonly", "on"]), "off"),
    flag("proxy-failure-wait", Kind::Unsigned, "5000"),
    flag("proxy-refresh-interval", Kind::Unsigned, "30000"),
    flag("proxy-dial-timeout", Kind::Unsigned, "1000"),
    flag("proxy-write-timeout", Kind::Unsigned, "5000"),
    flag("proxy-read-timeout", Kind::Unsigned, "0"),
    // experimental
    flag("enable-grpc-gateway", Kind::Switch, "true"),
    flag("experimental-initial-corrupt-check", Kind::Switch, "false"),
    flag("experimental-corrupt-check-time", Kind::Duration, "0s"),
    flag("experimental-compact-hash-check-enabled", Kind::Switch, "false"),
    flag("experimental-compact-hash-check-time", Kind::Duration, "1m"),
    flag("experimental-enable-v2v3", Kind::Text, ""),
    flag("experimental-enable-lease-checkpoint", Kind::Switch, "false"),
    flag("experimental-enable-lease-checkpoint-persist", Kind::Switch, "false"),
    flag("experimental-compaction-batch-limit", Kind::Signed, "1000"),
    flag("experimental-peer-skip-client-san-verification", Kind::Switch, "false"),
    flag("experimental-watch-progress-notify-interval", Kind::Duration, "10m"),
    flag("experimental-warning-apply-duration", Kind::Duration, "100ms"),
    flag("experimental-warning-unary-request-duration", Kind::Duration, "300ms"),
    flag("experimental-wait-cluster-ready-timeout", Kind::Duration, "5s"),
    flag("experimental-max-learners", Kind::Unsigned, "1"),
    flag("experimental-enable-distributed-tracing", Kind::Switch, "false"),
    flag("experimental-distributed-tracing-address", Kind::Text, "localhost:4317"),
    flag("experimental-distributed-tracing-service-name", Kind::Text, "etcd"),
    flag("experimental-distributed-tracing-instance-id", Kind::Text, ""),
    flag("experimental-distributed-tracing-sampling-rate", Kind::Unsigned, "0"),
    flag("experimental-downgrade-check-time", Kind::Duration, "5s"),
    flag("experimental-memory-mlock", Kind::Switch, "false"),
    flag("experimental-txn-mode-write-with-shared-buffer", Kind::Switch, "true"),
    flag("experimental-bootstrap-defrag-threshold-megabytes", Kind::Unsigned, "0"),
    flag("experimental-stop-grpc-service-on-defrag", Kind::Switch, "false"),
    // unsafe
    flag("force-new-cluster", Kind::Switch, "false"),
    flag("unsafe-no-fsync", Kind::Switch, "false"),
    // itself
    flag("config-file", Kind::Text, ""),
    flag("version", Kind::Switch, "false"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_legal_value_and_every_name_stands_once() {
        let mut names: Vec<&str> = FLAGS.iter().map(|flag| flag.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for flag in FLAGS {
            assert_eq!(flag.kind.check(flag.default), Ok(()), "{}", flag.name);
        }
    }

    #[test]
    fn values_of_the_wrong_type_are_refused() {
        for (name, value) in [
            ("snapshot-count", "-1"),
            ("snapshot-count", "many"),
            ("quota-backend-bytes", "8GiB"),
            ("pre-vote", "yes"),
            ("experimental-corrupt-check-time", "12"),
            ("auto-compaction-mode", "sometimes"),
            ("listen-metrics-urls", "10.0.0.1:2381"),
        ] {
            let flag = find(name).expect(name);
            assert!(flag.kind.check(value).is_err(), "{name} = {value}");
        }
        assert!(find("snapshot-cuont").is_none());
        assert_eq!(environment_name("data-dir"), "ETCD_DATA_DIR");
    }
}
