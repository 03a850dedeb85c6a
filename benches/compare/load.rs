//! The loads: who asks what, how many at a time, over how many connections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use tonic::transport::Channel;
use wire::etcdserverpb::{PutRequest, RangeRequest, kv_client::KvClient};

use crate::servers::{self, Servers};

/// Bytes of a value.
const VALUE_BYTES: usize = 256;
/// Keys that reads choose from.
const KEYS: u64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Put,
    Get,
    SerializableGet,
}

/// One load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    call: Call,
    clients: usize,
    connections: usize,
    /// All connections go to the leader, else to the members in turn.
    leader_only: bool,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Calls that succeeded.
    pub(crate) operations: u64,
    /// Wall time.
    pub(crate) elapsed: Duration,
    /// Latencies in microseconds.
    pub(crate) latency_us: Histogram<u64>,
}

impl Load {
    /// `put-N`, `get-N`, `sget-N`: N clients; `-leader` at the end sends all to the leader.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let (base, leader_only) = match name.strip_suffix("-leader") {
            Some(base) => (base, true),
            None => (name, false),
        };
        let (call, clients) = base.split_once('-').context("a load is put-N, get-N or sget-N")?;
        let call = match call {
            "put" => Call::Put,
            "get" => Call::Get,
            "sget" => Call::SerializableGet,
            other => bail!("no load {other:?}: put-N, get-N or sget-N"),
        };
        let clients = clients.parse().context("number of clients")?;
        // One client is upstream's "1 client, leader"; more are spread over the members.
        let leader_only = leader_only || clients == 1;
        Ok(Self { call, clients, connections: clients.min(100), leader_only })
    }

    /// The keys that must exist first.
    pub(crate) fn keys_to_read(self) -> Option<impl Iterator<Item = Vec<u8>>> {
        (self.call != Call::Put).then(|| (0..KEYS).map(key))
    }

    /// A value to write.
    pub(crate) fn value(self) -> Bytes {
        Bytes::from(vec![b'v'; VALUE_BYTES])
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("/compare/{number:016}").into_bytes()
}

/// Runs the load for a while.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) async fn drive(servers: &Servers, load: Load, length: Duration) -> Result<Measured> {
    let urls = if load.leader_only { vec![servers.leader().await?] } else { servers.urls.clone() };
    let mut channels = Vec::new();
    for at in 0..load.connections {
        channels.push(servers::connect(&urls[at % urls.len()]).await?);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let clients: Vec<_> = (0..load.clients)
        .map(|at| {
            let kv = KvClient::new(channels[at % channels.len()].clone());
            tokio::spawn(client(kv, load, Arc::clone(&stop), Arc::clone(&next)))
        })
        .collect();
    tokio::time::sleep(length).await;
    stop.store(true, Ordering::Relaxed);
    let mut latency_us = Histogram::new(3)?;
    for client in clients {
        latency_us.add(client.await??)?;
    }
    Ok(Measured { operations: latency_us.len(), elapsed: start.elapsed(), latency_us })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn client(
    mut kv: KvClient<Channel>,
    load: Load,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
) -> Result<Histogram<u64>> {
    let mut latency_us = Histogram::new(3)?;
    let value = load.value();
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        match load.call {
            Call::Put => {
                let value = value.clone();
                kv.put(PutRequest { key: key(number).into(), value, ..Default::default() }).await?;
            }
            Call::Get | Call::SerializableGet => {
                let serializable = load.call == Call::SerializableGet;
                let key = key(number % KEYS).into();
                let answer =
                    kv.range(RangeRequest { key, serializable, ..Default::default() }).await?;
                anyhow::ensure!(answer.into_inner().count == 1, "a key is missing");
            }
        }
        latency_us.record(u64::try_from(start.elapsed().as_micros())?.max(1))?;
    }
    Ok(latency_us)
}
