//! The replicated state machine: the same log gives the same state on every member, Go's included.
//!
//! The apply thread owns the [`Machine`] and feeds it committed entries; [`Kv`], [`Membership`],
//! [`Alarms`] and [`Lessor`] are shared with whoever answers reads. No clock, no randomness, no
//! asynchronous runtime, no order taken from a hash map.

mod alarm;
mod entry;
mod error;
mod gojson;
mod kv;
mod lease;
mod machine;
pub mod membership;
pub mod quota;
mod v2;
pub mod validate;

pub use alarm::Alarms;
pub use error::{ApiError, StateError};
pub use kv::{CompactStep, Counts, HashKv, Kv};
pub use lease::{LeaseOptions, LeaseTerms, Lessor};
pub use machine::{Applied, Interest, Machine, MachineOptions, Response};
pub use membership::{Attributes, Member, MemberEvent, Membership, cluster_id, member_id};
pub use v2::{
    Action as V2Action, Event as V2Event, Expiration as V2Expiration, NodeView as V2Node, V2Error,
};
