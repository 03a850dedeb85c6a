//! Whole transports talking over loopback, plain requests against one, and a real etcd.

mod exchange;
mod puppet;
mod real_etcd;
mod snapshots;
mod status_codes;
mod streams;
mod world;
