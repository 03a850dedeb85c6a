//! The messages that cross a wire or stand on a disk, generated from `proto/`. No logic.
//!
//! One module per protobuf package, named as etcd names it. In `raftpb`, `walpb`, `snappb` and
//! `v2pb` (proto2) every scalar that Go marks non-nullable is written even when it is zero, so an
//! encoded message equals Go's byte for byte. `bytes` fields are [`bytes::Bytes`]: a decoded field
//! may keep the whole receive buffer alive, so copy what is stored for long.

macro_rules! package {
    ($(#[$doc:meta])* $module:ident, $file:literal) => {
        $(#[$doc])*
        pub mod $module {
            #![allow(
                missing_docs,
                unreachable_pub,
                missing_debug_implementations,
                unused_qualifications,
                clippy::all,
                clippy::pedantic,
                clippy::nursery,
                clippy::restriction,
                rustdoc::all,
                reason = "generated code"
            )]
            tonic::include_proto!($file);
        }
    };
}

package!(/** raft messages, entries and configuration changes. */ raftpb, "raftpb");
package!(/** Records of the write-ahead log. */ walpb, "walpb");
package!(/** Envelope of a `.snap` file. */ snappb, "snappb");
package!(/** API v2 requests as logged. */ v2pb, "v2pb");
package!(/** Key-value pairs and events. */ mvccpb, "mvccpb");
package!(/** Users, roles, permissions. */ authpb, "authpb");
package!(/** Stored leases and their forwarding. */ leasepb, "leasepb");
package!(/** Membership requests of the log. */ membershippb, "membershippb");
package!(/** The v3 client API and the raft log's request envelope. */ etcdserverpb, "etcdserverpb");
package!(/** What the command line asks of the local agent. */ agentpb, "agentpb");
