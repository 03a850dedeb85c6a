//! Talks to any etcd member over its public gRPC API: health, status, members, maintenance, keys.
//!
//! Every call has a deadline, connects at first use and again after a lost connection, and fails
//! with an error that says what the caller may do.

mod connection;
mod dial;
mod error;
mod health;
mod keys;
mod members;

pub use connection::{Client, ClientOptions};
pub use dial::tls;
pub use error::{Advice, ClientError};
pub use health::{HEALTH_KEY, Health};
pub use members::{Alarm, KvHash, Member, MemberStatus};
pub use wire::etcdserverpb::AlarmType as AlarmKind;
