//! Whole members over simulated disks and a network driven by hand.

mod cluster;
mod elections;
mod faults;
mod history;
mod host;
mod malformed;
mod membership;
mod random;
mod reads;
mod replication;
mod snapshots;
mod threads;
mod witness;
