//! The rows of the flag table, by section. Facts: etcd's own flag definitions of 3.4.23, 3.5.1 and
//! 3.5.21; helps are our words.

use super::{Flag, Kind, Section, Since};

const BOTH: Since = Since { v3_4: true, v3_5_patch: 0 };
const NEW_IN_3_5: Since = Since { v3_4: false, v3_5_patch: 0 };
/// Back-ported to 3.4 and to a patch level of 3.5.
const fn both_from(v3_5_patch: u8) -> Since {
    Since { v3_4: true, v3_5_patch }
}
const fn from_patch(v3_5_patch: u8) -> Since {
    Since { v3_4: false, v3_5_patch }
}

/// Go's `uint` values that are kept as milliseconds, counts or bytes.
const UNSIGNED: Kind = Kind::Integer { min: 0, max: i64::MAX };
const SIGNED: Kind = Kind::Integer { min: i64::MIN, max: i64::MAX };
const UNSIGNED_32: Kind = Kind::Integer { min: 0, max: u32::MAX as i64 };

macro_rules! table {
    ($($section:ident { $($name:literal $kind:expr, $default:literal, $since:expr; $help:literal)* })*) => {
        /// Every flag, by section, in etcd's order.
        pub const ALL: &[Flag] = &[$($(Flag {
            name: $name,
            kind: $kind,
            default: $default,
            since: $since,
            section: Section::$section,
            help: $help,
        },)*)*];
    };
}

table! {
    Member {
        "name" Kind::Text, "default", BOTH;
            "this member's name; it must stand in --initial-cluster"
        "data-dir" Kind::Path, "", BOTH;
            "folder of the member's state (empty: NAME.etcd in the working folder)"
        "wal-dir" Kind::Path, "", BOTH;
            "folder of the write-ahead log, if it is to lie on another disk"
        "snapshot-count" UNSIGNED, "100000", BOTH;
            "applied entries after which a snapshot is written"
        "heartbeat-interval" UNSIGNED, "100", BOTH;
            "milliseconds between the leader's heartbeats"
        "election-timeout" UNSIGNED, "1000", BOTH;
            "milliseconds without a leader before an election; equal on all members"
        "initial-election-tick-advance" Kind::Bool, "true", BOTH;
            "shorten the wait for the first election after a start"
        "listen-peer-urls" Kind::Urls, "http://localhost:2380", BOTH;
            "where to listen for the other members"
        "listen-client-urls" Kind::Urls, "http://localhost:2379", BOTH;
            "where to listen for clients"
        "listen-client-http-urls" Kind::Urls, "", from_patch(8);
            "where to listen for HTTP clients alone, if apart from gRPC"
        "max-snapshots" UNSIGNED, "5", BOTH;
            "snapshot files kept (0: all)"
        "max-wals" UNSIGNED, "5", BOTH;
            "log files kept (0: all)"
        "quota-backend-bytes" SIGNED, "0", BOTH;
            "space quota of the backend in bytes (0: 2 GiB, negative: none)"
        "backend-bbolt-freelist-type" Kind::Text, "map", NEW_IN_3_5;
            "form of bbolt's list of free pages: array or map"
        "backend-batch-interval" Kind::Duration, "0s", BOTH;
            "longest wait before the backend commits (0: 100ms)"
        "backend-batch-limit" SIGNED, "0", BOTH;
            "most changes before the backend commits (0: 10000)"
        "max-txn-ops" UNSIGNED, "128", BOTH;
            "most operations of a transaction"
        "max-request-bytes" UNSIGNED, "1572864", BOTH;
            "largest request of a client in bytes"
        "max-concurrent-streams" UNSIGNED_32, "4294967295", both_from(5);
            "gRPC calls that one client connection may have open"
        "grpc-keepalive-min-time" Kind::Duration, "5s", BOTH;
            "shortest interval at which a client may ping"
        "grpc-keepalive-interval" Kind::Duration, "2h0m0s", BOTH;
            "interval at which silent clients are pinged (0: never)"
        "grpc-keepalive-timeout" Kind::Duration, "20s", BOTH;
            "how long a pinged client may stay silent (0: for ever)"
        "enable-grpc-gateway" Kind::Bool, "true", BOTH;
            "serve the JSON form of the gRPC API"
        "socket-reuse-port" Kind::Bool, "false", NEW_IN_3_5;
            "listen with SO_REUSEPORT"
        "socket-reuse-address" Kind::Bool, "false", NEW_IN_3_5;
            "listen with SO_REUSEADDR"
        "raft-read-timeout" Kind::Duration, "5s", NEW_IN_3_5;
            "silence after which a peer connection is given up (at least 5s)"
        "raft-write-timeout" Kind::Duration, "5s", NEW_IN_3_5;
            "stall after which a peer connection is given up (at least 5s)"
    }
    Clustering {
        "initial-advertise-peer-urls" Kind::Urls, "http://localhost:2380", BOTH;
            "where the other members reach this one"
        "initial-cluster" Kind::Members, "", BOTH;
            "all members as NAME=URL (empty: NAME=initial-advertise-peer-urls)"
        "initial-cluster-state" Kind::OneOf(&["new", "existing"]), "new", BOTH;
            "new forms a cluster, existing joins one"
        "initial-cluster-token" Kind::Text, "etcd-cluster", BOTH;
            "makes the ids of a new cluster and its members unique"
        "advertise-client-urls" Kind::Urls, "http://localhost:2379", BOTH;
            "where clients reach this member"
        "discovery" Kind::Text, "", BOTH;
            "URL of a discovery service that names the members"
        "discovery-fallback" Kind::OneOf(&["proxy", "exit"]), "proxy", BOTH;
            "what to do when discovery fails"
        "discovery-proxy" Kind::Text, "", BOTH;
            "HTTP proxy on the way to the discovery service"
        "discovery-srv" Kind::Text, "", BOTH;
            "DNS domain whose SRV records name the members"
        "discovery-srv-name" Kind::Text, "", BOTH;
            "suffix of the DNS service name asked for"
        "strict-reconfig-check" Kind::Bool, "true", BOTH;
            "refuse membership changes that would cost the quorum"
        "pre-vote" Kind::Bool, "true", BOTH;
            "ask before an election whether it could be won (3.4: off by default)"
        "auto-compaction-retention" Kind::Retention, "0", BOTH;
            "history to keep: hours or a duration, or revisions (0: all)"
        "auto-compaction-mode" Kind::OneOf(&["", "periodic", "revision"]), "periodic", BOTH;
            "what auto-compaction-retention counts: time or revisions"
        "enable-v2" Kind::Bool, "false", BOTH;
            "serve API v2"
        "v2-deprecation" Kind::OneOf(&["not-yet", "write-only", "write-only-drop-data", "gone"]), "not-yet", NEW_IN_3_5;
            "how far API v2 is given up"
    }
    Security {
        "cert-file" Kind::Path, "", BOTH;
            "certificate shown to clients"
        "key-file" Kind::Path, "", BOTH;
            "key of that certificate"
        "client-cert-file" Kind::Path, "", NEW_IN_3_5;
            "certificate used where this server is a client itself"
        "client-key-file" Kind::Path, "", NEW_IN_3_5;
            "key of that certificate"
        "client-cert-auth" Kind::Bool, "false", BOTH;
            "demand a certificate from clients"
        "client-crl-file" Kind::Path, "", BOTH;
            "revoked client certificates"
        "client-cert-allowed-hostname" Kind::List, "", BOTH;
            "host names a client's certificate must bear one of"
        "trusted-ca-file" Kind::Path, "", BOTH;
            "authority of clients' certificates"
        "auto-tls" Kind::Bool, "false", BOTH;
            "serve clients with a certificate made at start"
        "peer-cert-file" Kind::Path, "", BOTH;
            "certificate shown to peers"
        "peer-key-file" Kind::Path, "", BOTH;
            "key of that certificate"
        "peer-client-cert-file" Kind::Path, "", NEW_IN_3_5;
            "certificate used when calling peers"
        "peer-client-key-file" Kind::Path, "", NEW_IN_3_5;
            "key of that certificate"
        "peer-client-cert-auth" Kind::Bool, "false", BOTH;
            "demand a certificate from peers"
        "peer-trusted-ca-file" Kind::Path, "", BOTH;
            "authority of peers' certificates"
        "peer-cert-allowed-cn" Kind::List, "", BOTH;
            "common names a peer's certificate must bear one of"
        "peer-cert-allowed-hostname" Kind::List, "", BOTH;
            "host names a peer's certificate must bear one of"
        "peer-auto-tls" Kind::Bool, "false", BOTH;
            "serve peers with a certificate made at start"
        "peer-crl-file" Kind::Path, "", BOTH;
            "revoked peer certificates"
        "self-signed-cert-validity" UNSIGNED, "1", NEW_IN_3_5;
            "years that certificates made at start are valid"
        "cipher-suites" Kind::List, "", BOTH;
            "TLS cipher suites (empty: the library's choice)"
        "tls-min-version" Kind::OneOf(&["", "TLS1.2", "TLS1.3"]), "TLS1.2", from_patch(8);
            "oldest TLS version spoken"
        "tls-max-version" Kind::OneOf(&["", "TLS1.2", "TLS1.3"]), "", from_patch(8);
            "newest TLS version spoken (empty: the library's choice)"
        "cors" Kind::List, "*", BOTH;
            "origins that web pages may call from (*: any)"
        "host-whitelist" Kind::List, "*", BOTH;
            "Host headers accepted on plain HTTP (*: any)"
    }
    Auth {
        "auth-token" Kind::Text, "simple", BOTH;
            "kind of tokens: simple, or jwt with its options"
        "bcrypt-cost" UNSIGNED, "10", BOTH;
            "cost of hashing a password, 4 to 31"
        "auth-token-ttl" UNSIGNED, "300", BOTH;
            "seconds that an unused simple token lives"
    }
    Monitoring {
        "enable-pprof" Kind::Bool, "false", BOTH;
            "serve Go's profiles under /debug/pprof"
        "metrics" Kind::OneOf(&["basic", "extensive"]), "basic", BOTH;
            "detail of the metrics; extensive adds gRPC histograms"
        "listen-metrics-urls" Kind::Urls, "", BOTH;
            "where else to serve /metrics and /health"
    }
    Logging {
        "logger" Kind::OneOf(&["zap", "capnslog"]), "zap", BOTH;
            "form of the log; 3.5 knows zap only"
        "log-outputs" Kind::List, "default", BOTH;
            "where the log goes: stdout, stderr (default) or files"
        "log-level" Kind::OneOf(&["debug", "info", "warn", "error", "dpanic", "panic", "fatal"]), "info", BOTH;
            "least level that is logged"
        "enable-log-rotation" Kind::Bool, "false", NEW_IN_3_5;
            "rotate the one file of log-outputs"
        "log-rotation-config-json" Kind::Text, "{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": false, \"compress\": false}", NEW_IN_3_5;
            "how the log is rotated"
    }
    Tracing {
        "experimental-enable-distributed-tracing" Kind::Bool, "false", NEW_IN_3_5;
            "send traces to a collector"
        "experimental-distributed-tracing-address" Kind::Text, "localhost:4317", NEW_IN_3_5;
            "address of the collector"
        "experimental-distributed-tracing-service-name" Kind::Text, "etcd", NEW_IN_3_5;
            "service name in traces, equal on all members"
        "experimental-distributed-tracing-instance-id" Kind::Text, "", NEW_IN_3_5;
            "instance id in traces"
        "experimental-distributed-tracing-sampling-rate" SIGNED, "0", from_patch(11);
            "traces kept per million"
    }
    Proxy {
        "proxy" Kind::OneOf(&["off", "readonly", "on"]), "off", BOTH;
            "run as a proxy of API v2"
        "proxy-failure-wait" UNSIGNED, "5000", BOTH;
            "milliseconds that a failed endpoint is left alone"
        "proxy-refresh-interval" UNSIGNED, "30000", BOTH;
            "milliseconds between looks at the endpoints"
        "proxy-dial-timeout" UNSIGNED, "1000", BOTH;
            "milliseconds a dial may take (0: no limit)"
        "proxy-write-timeout" UNSIGNED, "5000", BOTH;
            "milliseconds a write may take (0: no limit)"
        "proxy-read-timeout" UNSIGNED, "0", BOTH;
            "milliseconds a read may take (0: no limit)"
    }
    Experimental {
        "experimental-initial-corrupt-check" Kind::Bool, "false", BOTH;
            "compare the key space with the peers' before serving"
        "experimental-corrupt-check-time" Kind::Duration, "0s", BOTH;
            "interval at which the leader compares members' key spaces (0: never)"
        "experimental-compact-hash-check-enabled" Kind::Bool, "false", from_patch(5);
            "let the leader compare members' hashes of compactions"
        "experimental-compact-hash-check-time" Kind::Duration, "1m0s", from_patch(5);
            "interval of that comparison"
        "experimental-enable-v2v3" Kind::Text, "", BOTH;
            "prefix under which API v2 is emulated on v3"
        "experimental-enable-lease-checkpoint" Kind::Bool, "false", BOTH;
            "replicate how long leases still have to live"
        "experimental-enable-lease-checkpoint-persist" Kind::Bool, "false", both_from(2);
            "store that as well"
        "experimental-compaction-batch-limit" SIGNED, "0", BOTH;
            "revisions deleted in one step of a compaction (0: 1000)"
        "experimental-compaction-sleep-interval" Kind::Duration, "0s", from_patch(16);
            "pause between the steps of a compaction (0: 10ms)"
        "experimental-peer-skip-client-san-verification" Kind::Bool, "false", BOTH;
            "take peers' certificates whatever host they name"
        "experimental-watch-progress-notify-interval" Kind::Duration, "0s", BOTH;
            "interval of watches' progress notices (0: 10m)"
        "experimental-downgrade-check-time" Kind::Duration, "5s", NEW_IN_3_5;
            "interval at which the state of a downgrade is looked at"
        "experimental-warning-apply-duration" Kind::Duration, "100ms", BOTH;
            "warn of requests that take longer"
        "experimental-memory-mlock" Kind::Bool, "false", NEW_IN_3_5;
            "keep the process's memory out of swap"
        "experimental-txn-mode-write-with-shared-buffer" Kind::Bool, "true", NEW_IN_3_5;
            "let transactions check against the shared read buffer"
        "experimental-stop-grpc-service-on-defrag" Kind::Bool, "false", from_patch(14);
            "report not serving while defragmenting"
        "experimental-bootstrap-defrag-threshold-megabytes" UNSIGNED, "0", NEW_IN_3_5;
            "defragment at start if so much would be freed (0: never)"
        "experimental-snapshot-catchup-entries" UNSIGNED, "5000", from_patch(14);
            "entries kept in memory for slow followers"
    }
    Unsafe {
        "force-new-cluster" Kind::Bool, "false", BOTH;
            "make a cluster of one of this member's state"
        "unsafe-no-fsync" Kind::Bool, "false", BOTH;
            "never wait for the disk: a crash loses acknowledged writes"
    }
    Program {
        "config-file" Kind::Path, "", BOTH;
            "take all settings from this YAML file, and no flags nor environment"
        "version" Kind::Bool, "false", BOTH;
            "print the version and exit"
    }
}

/// Flags of etcd 0.4 that still are accepted, with a warning, and mean nothing.
pub const IGNORED: &[&str] = &[
    "cluster-active-size",
    "cluster-remove-delay",
    "cluster-sync-interval",
    "config",
    "force",
    "max-result-buffer",
    "max-retry-attempts",
    "peer-heartbeat-interval",
    "peer-election-timeout",
    "retry-interval",
    "snapshot",
    "v",
    "vv",
];
