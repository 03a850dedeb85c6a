//! What the system tests stand on: real processes on free loopback ports, temporary folders, bounded waits.

pub(crate) mod api;
pub(crate) mod child;
pub(crate) mod cluster;
pub(crate) mod ctl;
pub(crate) mod grow;
pub(crate) mod hosts;
pub(crate) mod http;
pub(crate) mod lossy;
pub(crate) mod manager;
pub(crate) mod netns;
pub(crate) mod oracle;
pub(crate) mod ports;
pub(crate) mod wait;
