//! Takes a snapshot from a peer: the message, then the bbolt file, which goes straight to the
//! disk. Only when the file is durable under its name is raft given the message.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::body::Body;
use base::{ErrorChain, MemberId};
use bytes::{Bytes, BytesMut};
use disk::{Disk, Open};
use http::StatusCode;
use tokio::{sync::mpsc, time::Instant};
use wire::raftpb::{self, MessageType};

use super::{
    codec::{take_framed, wide},
    link::Shared,
    metrics::PeerCounters,
    router::{Refusal, next_chunk},
};

/// Chunks that wait for the disk.
const CHUNKS_MAX: usize = 8;
/// The file is synced whenever so much was written: one sync of it all would stall the log's.
const SYNC_BYTES: u64 = 16 * 1024 * 1024;

/// What the disk's task gets.
enum Part {
    Chunk(Bytes),
    /// The body is complete: keep the file.
    End,
}

/// Takes one snapshot from a request's body.
pub(crate) async fn run(shared: &Arc<Shared>, mut body: Body) -> Result<(), Refusal> {
    let started = Instant::now();
    let mut start = BytesMut::new();
    let message = read_message(&mut body, &mut start).await.map_err(|reason| {
        shared.counters(MemberId::default()).snapshot_receive.failures.add(1);
        let text = format!("failed to decode raft message ({reason})");
        Refusal::new(StatusCode::BAD_REQUEST, text)
    })?;
    let from = MemberId::new(message.from);
    let counters = shared.counters(from);
    let result = take(shared, message, (start.freeze(), body), &counters).await;
    match &result {
        Ok(()) => {
            counters.snapshot_receive.success.add(1);
            counters.snapshot_receive.duration.observe(started.elapsed());
        }
        Err(refusal) => {
            counters.snapshot_receive.failures.add(1);
            tracing::warn!(peer = %from, ?refusal, "refused a snapshot");
        }
    }
    result
}

/// Reads up to the end of the message; what follows it stays in `start`.
async fn read_message(body: &mut Body, start: &mut BytesMut) -> Result<raftpb::Message, String> {
    loop {
        let taken = take_framed(start).map_err(|error| ErrorChain(&error).to_string())?;
        if let Some(message) = taken {
            return Ok(message);
        }
        match next_chunk(body).await? {
            Some(chunk) => start.extend_from_slice(&chunk),
            None => return Err("unexpected EOF".to_owned()),
        }
    }
}

async fn take(
    shared: &Arc<Shared>,
    message: raftpb::Message,
    content: (Bytes, Body),
    counters: &PeerCounters,
) -> Result<(), Refusal> {
    check(shared, &message)?;
    let internal = |text: String| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text);
    let _in_flight = counters.snapshot_receive.in_flight.hold();
    let Ok(_permit) = shared.receiving.try_acquire() else {
        return Err(internal("failed to save KV snapshot (others are being received)".to_owned()));
    };
    let index = message.snapshot.metadata.index;
    tracing::info!(from = message.from, index, "receiving a snapshot");
    let (db, bytes) = save(shared, index, content)
        .await
        .map_err(|reason| internal(format!("failed to save KV snapshot ({reason})")))?;
    counters.received_bytes.add(bytes);
    tracing::info!(from = message.from, index, bytes, "received a snapshot");
    shared.events.receive_snapshot(message, db).await.map_err(|error| {
        internal(format!("failed to process raft message ({})", ErrorChain(&error)))
    })
}

fn check(shared: &Shared, message: &raftpb::Message) -> Result<(), Refusal> {
    if message.r#type != i32::from(MessageType::MsgSnap) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "wrong raft message type"));
    }
    if message.snapshot.metadata.index == 0 {
        let text = "failed to decode raft message (the snapshot has no index)";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, text));
    }
    if shared.events.is_removed(MemberId::new(message.from)) {
        return Err(Refusal::removed_sender());
    }
    if message.to != shared.config.member.get() {
        let text = "failed to process raft message (it is for another member)";
        return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    Ok(())
}

/// Streams the file to the disk; its path and length.
async fn save(
    shared: &Shared,
    index: u64,
    (start, mut body): (Bytes, Body),
) -> Result<(PathBuf, u64), String> {
    let folder = &shared.config.snap_dir;
    let unfinished = folder.join(format!("tmp{:016x}", rand::random::<u64>()));
    let finished = folder.join(format!("{index:016x}.snap.db"));
    let (parts, queue) = mpsc::channel(CHUNKS_MAX);
    let writer = {
        let (disk, finished) = (shared.config.disk.clone(), finished.clone());
        shared.runtime.spawn_blocking(move || write_file(&*disk, queue, &unfinished, &finished))
    };
    let mut failure = None;
    let mut next = Some(start);
    while let Some(chunk) = next {
        if parts.send(Part::Chunk(chunk)).await.is_err() {
            break;
        }
        next = match next_chunk(&mut body).await {
            Ok(chunk) => chunk,
            Err(reason) => {
                failure = Some(reason);
                break;
            }
        };
    }
    if failure.is_none() {
        // A writer that has failed does not listen; its result tells why.
        drop(parts.send(Part::End).await);
    }
    drop(parts);
    let written = writer.await.map_err(|error| error.to_string())?;
    match (failure, written) {
        (Some(reason), _) => Err(reason),
        (None, Ok(bytes)) => Ok((finished, bytes)),
        (None, Err(error)) => Err(ErrorChain(&error).to_string()),
    }
}

/// Writes what comes until the end, then gives the file its name; else removes it.
fn write_file(
    disk: &dyn Disk,
    mut parts: mpsc::Receiver<Part>,
    unfinished: &Path,
    finished: &Path,
) -> io::Result<u64> {
    let result = write_parts(disk, &mut parts, unfinished);
    // Whoever sends must not wait for room any more.
    drop(parts);
    let result = result.and_then(|bytes| disk.rename(unfinished, finished).map(|()| bytes));
    if result.is_err()
        && let Err(error) = disk.remove_file(unfinished)
    {
        tracing::warn!(path = %unfinished.display(), %error, "cannot remove an unfinished snapshot");
    }
    result
}

fn write_parts(disk: &dyn Disk, parts: &mut mpsc::Receiver<Part>, path: &Path) -> io::Result<u64> {
    let file = disk.open(path, Open::CreateNew)?;
    let mut written = 0;
    let mut synced = 0;
    while let Some(part) = parts.blocking_recv() {
        match part {
            Part::Chunk(bytes) => {
                file.write_at(&bytes, written)?;
                written += wide(bytes.len());
                if written - synced >= SYNC_BYTES {
                    file.sync()?;
                    synced = written;
                }
            }
            Part::End => {
                file.sync()?;
                return Ok(written);
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer broke off"))
}
