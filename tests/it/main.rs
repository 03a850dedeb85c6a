//! The system tests: real processes, real etcd beside ours, real disks. See docs/testing.md.
#![expect(clippy::tests_outside_test_module, reason = "a test program holds nothing else")]

mod agent;
mod apply;
mod crash;
mod endpoints;
mod etcdctl;
mod generated;
mod harness;
mod hooks;
mod http;
mod init;
mod inspect;
mod kv;
mod lifecycle;
mod managed;
mod many;
mod member;
mod membership;
mod metrics;
mod mixed;
mod node;
mod pages;
mod pause;
mod pauses;
mod timing;
mod tls;
mod update;
