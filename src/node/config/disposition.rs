//! What this node does with each of etcd's flags. One row a flag; a test compares the table with
//! the one of all flags.

/// What becomes of a flag that is given another value than its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It does what it does in etcd.
    Served,
    /// It is accepted, and the reason why it changes nothing is logged.
    NoEffect(&'static str),
    /// The node does not start: going on would not be what was asked for.
    Refused(&'static str),
}

use Disposition::{NoEffect, Refused, Served};

const DISCOVERY: Disposition = Refused("members are named by --initial-cluster only");
const SELF_CALLS: Disposition = NoEffect("this member does not call itself over its client port");
const NO_DISCOVERY: Disposition = NoEffect("there is no discovery");
const NO_PROXY: Disposition = NoEffect("there is no proxy mode");
const NO_TRACES: Disposition = NoEffect("no traces are sent");
const NO_LEASES: Disposition = NoEffect("leases are not served yet");
const NO_USERS: Disposition = NoEffect("users and tokens are not served yet");
const KEEPALIVE: Disposition = NoEffect("etcd's default is always used");
const API_V2: Disposition = Refused("API v2 is not served yet");

const TABLE: &[(&str, Disposition)] = &[
    ("name", Served),
    ("data-dir", Served),
    ("wal-dir", Served),
    ("snapshot-count", Served),
    ("heartbeat-interval", Served),
    ("election-timeout", Served),
    ("initial-election-tick-advance", Served),
    ("listen-peer-urls", Served),
    ("listen-client-urls", Served),
    ("listen-client-http-urls", Refused("gRPC and HTTP are served on one port")),
    ("max-snapshots", Served),
    ("max-wals", Served),
    ("quota-backend-bytes", Served),
    ("backend-bbolt-freelist-type", NoEffect("the backend is no bbolt file")),
    ("backend-batch-interval", Served),
    ("backend-batch-limit", Served),
    ("max-txn-ops", Served),
    ("max-request-bytes", Served),
    ("max-concurrent-streams", NoEffect("calls per connection are limited by memory alone")),
    ("grpc-keepalive-min-time", KEEPALIVE),
    ("grpc-keepalive-interval", KEEPALIVE),
    ("grpc-keepalive-timeout", KEEPALIVE),
    ("enable-grpc-gateway", NoEffect("the JSON gateway is not served yet")),
    ("socket-reuse-port", Served),
    ("socket-reuse-address", NoEffect("listeners always have it, as Go's do")),
    ("raft-read-timeout", NoEffect("peer connections always end after 5s of silence")),
    ("raft-write-timeout", NoEffect("peer connections always end after a stall of 5s")),
    ("initial-advertise-peer-urls", Served),
    ("initial-cluster", Served),
    ("initial-cluster-state", Served),
    ("initial-cluster-token", Served),
    ("advertise-client-urls", Served),
    ("discovery", DISCOVERY),
    ("discovery-fallback", NO_DISCOVERY),
    ("discovery-proxy", NO_DISCOVERY),
    ("discovery-srv", DISCOVERY),
    ("discovery-srv-name", NO_DISCOVERY),
    ("strict-reconfig-check", Served),
    ("pre-vote", Served),
    ("auto-compaction-retention", Served),
    ("auto-compaction-mode", Served),
    ("enable-v2", API_V2),
    ("v2-deprecation", NoEffect("the v2 tree is kept as etcd 3.5 keeps it by default")),
    ("cert-file", Served),
    ("key-file", Served),
    ("client-cert-file", SELF_CALLS),
    ("client-key-file", SELF_CALLS),
    ("client-cert-auth", Served),
    ("client-crl-file", Served),
    ("client-cert-allowed-hostname", Served),
    ("trusted-ca-file", Served),
    ("auto-tls", Served),
    ("peer-cert-file", Served),
    ("peer-key-file", Served),
    ("peer-client-cert-file", Served),
    ("peer-client-key-file", Served),
    ("peer-client-cert-auth", Served),
    ("peer-trusted-ca-file", Served),
    ("peer-cert-allowed-cn", Served),
    ("peer-cert-allowed-hostname", Served),
    ("peer-auto-tls", Served),
    ("peer-crl-file", Served),
    ("self-signed-cert-validity", Served),
    ("cipher-suites", Served),
    ("tls-min-version", Served),
    ("tls-max-version", Served),
    ("cors", Refused("web pages of all origins are let in; this cannot be narrowed yet")),
    ("host-whitelist", Refused("all Host headers are let in; this cannot be narrowed yet")),
    ("auth-token", Refused("users and tokens are not served yet")),
    ("bcrypt-cost", NO_USERS),
    ("auth-token-ttl", NO_USERS),
    ("enable-pprof", NoEffect("there are no Go profiles of this program")),
    ("metrics", NoEffect("there are no gRPC histograms")),
    ("listen-metrics-urls", Served),
    ("logger", Served),
    ("log-outputs", Served),
    ("log-level", Served),
    ("enable-log-rotation", Refused("the node rotates no files: the manager's shim does")),
    ("log-rotation-config-json", NoEffect("the node rotates no files")),
    ("experimental-enable-distributed-tracing", NO_TRACES),
    ("experimental-distributed-tracing-address", NO_TRACES),
    ("experimental-distributed-tracing-service-name", NO_TRACES),
    ("experimental-distributed-tracing-instance-id", NO_TRACES),
    ("experimental-distributed-tracing-sampling-rate", NO_TRACES),
    ("proxy", Refused("there is no proxy mode")),
    ("proxy-failure-wait", NO_PROXY),
    ("proxy-refresh-interval", NO_PROXY),
    ("proxy-dial-timeout", NO_PROXY),
    ("proxy-write-timeout", NO_PROXY),
    ("proxy-read-timeout", NO_PROXY),
    ("experimental-initial-corrupt-check", Served),
    ("experimental-corrupt-check-time", Served),
    (
        "experimental-compact-hash-check-enabled",
        NoEffect("members are compared by --experimental-corrupt-check-time only"),
    ),
    (
        "experimental-compact-hash-check-time",
        NoEffect("members are compared by --experimental-corrupt-check-time only"),
    ),
    ("experimental-enable-v2v3", API_V2),
    ("experimental-enable-lease-checkpoint", NO_LEASES),
    ("experimental-enable-lease-checkpoint-persist", NO_LEASES),
    ("experimental-compaction-batch-limit", Served),
    ("experimental-compaction-sleep-interval", NoEffect("compactions pause 10ms between steps")),
    ("experimental-peer-skip-client-san-verification", Served),
    ("experimental-watch-progress-notify-interval", NoEffect("watches are not served yet")),
    ("experimental-downgrade-check-time", NoEffect("downgrades are not served yet")),
    ("experimental-warning-apply-duration", NoEffect("slow requests are not logged one by one")),
    ("experimental-memory-mlock", Refused("memory is not locked by this program")),
    (
        "experimental-txn-mode-write-with-shared-buffer",
        NoEffect("transactions always check against the shared buffer"),
    ),
    ("experimental-stop-grpc-service-on-defrag", NoEffect("defragmenting is not served yet")),
    ("experimental-bootstrap-defrag-threshold-megabytes", Served),
    ("experimental-snapshot-catchup-entries", Served),
    (
        "force-new-cluster",
        Refused("this version cannot yet make a cluster of one of a member's state"),
    ),
    ("unsafe-no-fsync", Served),
    ("config-file", Served),
    ("version", Served),
];

/// What this node does with a flag; a flag that is not etcd's is refused.
#[must_use]
pub fn of(flag: &str) -> Disposition {
    let row = TABLE.iter().find(|(name, _)| *name == flag);
    row.map_or(Refused("no flag of etcd 3.5"), |(_, disposition)| *disposition)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_flag_of_etcd_has_one_row_and_no_row_is_of_another() {
        let rows: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
        let flags: Vec<&str> = base::flags::ALL.iter().map(|flag| flag.name).collect();
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (rows_set, flags_set): (BTreeSet<String>, BTreeSet<String>) = (set(&rows), set(&flags));
        assert_eq!(rows_set, flags_set);
        assert_eq!(rows.len(), flags.len(), "a flag has two rows");
    }
}
