//! Generates the message types and the gRPC services from `proto/*.proto`, without any system protoc.

use std::{error::Error, path::PathBuf};

const FILES: [&str; 11] = [
    "raft.proto",
    "wal.proto",
    "v2.proto",
    "snap.proto",
    "kv.proto",
    "auth.proto",
    "lease.proto",
    "membership.proto",
    "rpc.proto",
    "raft_internal.proto",
    "agent.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let proto = PathBuf::from("proto");
    let files: Vec<PathBuf> = FILES.iter().map(|file| proto.join(file)).collect();
    let descriptors = protox::compile(&files, [&proto])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
