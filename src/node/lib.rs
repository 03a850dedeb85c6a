//! An etcd member: the server round consensus and state. `run` is the life of its process.
//!
//! ```text
//!  config ──> startup ──> server <── api   (clients)
//!                           ▲ └────> peer  (members)
//!                          run, logging
//! ```

pub mod allocator;
mod api;
pub mod config;
pub mod inspect;
pub mod logging;
pub mod managed;
mod members_http;
pub mod peer;
pub mod run;
pub mod server;
pub mod startup;

/// The etcd release whose behaviour this member claims: a compatibility level, not our version.
pub const VERSION: &str = "3.5.21";

/// [`VERSION`], parsed.
fn own_version() -> semver::Version {
    semver::Version::parse(VERSION).expect("our version is X.Y.Z: a test says so")
}
