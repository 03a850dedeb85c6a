//! Sends a snapshot to a peer that is behind the log: the message, then the bbolt file straight
//! from the disk. One task per snapshot, at most one per peer; memory is bounded by a few chunks.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base::ErrorChain;
use bytes::{Bytes, BytesMut};
use disk::DiskFile;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use wire::raftpb;

use super::{
    codec::{put_framed, wide},
    events::OutgoingSnapshot,
    link::{Link, Shared},
    pipeline::{PostError, check_answer, post_failed, post_request},
};

/// The body of a snapshot's request.
pub(crate) type SnapshotBody = StreamBody<ReceiverStream<Result<Frame<Bytes>, io::Error>>>;

/// Bytes read from the disk at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks read ahead of the socket.
const CHUNKS_AHEAD: usize = 2;
/// A peer that takes nothing for so long is given up.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the peer may take to make the whole file durable.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// How often progress is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How far the disk's reader has come.
#[derive(Debug, Default)]
struct Progress {
    bytes: AtomicU64,
    total: u64,
}

/// Builds and sends the snapshot raft asked for, and reports how it went.
pub(crate) async fn run(shared: Arc<Shared>, link: Arc<Link>, request: raftpb::Message) {
    let counters = &link.counters.snapshot_send;
    let _in_flight = counters.in_flight.hold();
    let started = Instant::now();
    let work = async {
        let snapshot = match shared.events.snapshot_for(link.id, request).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(peer = %link.id, error = %ErrorChain(&error), "cannot build a snapshot for the peer");
                counters.failures.add(1);
                return false;
            }
        };
        match send(&shared, &link, snapshot).await {
            Ok(()) => {
                counters.success.add(1);
                counters.duration.observe(started.elapsed());
                link.status.activate();
                true
            }
            Err(error) => {
                tracing::warn!(peer = %link.id, error = %ErrorChain(&error), "snapshot did not reach the peer");
                counters.failures.add(1);
                post_failed(&shared, &link, &error);
                false
            }
        }
    };
    let ok = link.cancel.run_until_cancelled(work).await.unwrap_or(false);
    shared.events.report_snapshot(link.id, ok);
}

async fn send(shared: &Shared, link: &Link, snapshot: OutgoingSnapshot) -> Result<(), PostError> {
    let OutgoingSnapshot { message, db, db_bytes, guard } = snapshot;
    let mut prefix = BytesMut::new();
    put_framed(&message, &mut prefix);
    let total = wide(prefix.len()).saturating_add(db_bytes);
    let index = message.snapshot.metadata.index;
    tracing::info!(peer = %link.id, index, bytes = total, "sending a snapshot");

    let progress = Arc::new(Progress { bytes: AtomicU64::new(0), total: db_bytes });
    let (chunks, body) = mpsc::channel(CHUNKS_AHEAD);
    let url = link.urls.pick().ok_or(PostError::NoUrl)?;
    let target = url.join("/raft/snapshot");
    let body = StreamBody::new(ReceiverStream::new(body));
    let request = post_request(&shared.headers, &target, "application/octet-stream", body)?;
    let reader = {
        let (progress, prefix) = (progress.clone(), prefix.freeze());
        shared.runtime.spawn_blocking(move || read_file(&*db, prefix, &chunks, &progress))
    };
    let post = async {
        let response = shared
            .snapshots
            .request(request)
            .await
            .map_err(|source| PostError::Connect { url: target.clone(), source })?;
        check_answer(&target, response).await
    };
    let result = tokio::select! {
        result = post => result,
        error = stalled(&progress) => Err(error),
    };
    // The request is gone, so the reader ends at its next chunk; the file may then be removed.
    if let Err(error) = reader.await {
        tracing::error!(%error, "the reader of a snapshot's file failed");
    }
    drop(guard);
    match &result {
        Ok(()) => link.counters.sent_bytes.add(total),
        Err(_) => link.urls.unreachable(&url),
    }
    result
}

/// Feeds the message and the file to the request's body until it is all taken or dropped.
fn read_file(
    db: &dyn DiskFile,
    prefix: Bytes,
    chunks: &mpsc::Sender<Result<Frame<Bytes>, io::Error>>,
    progress: &Progress,
) {
    if chunks.blocking_send(Ok(Frame::data(prefix))).is_err() {
        return;
    }
    let mut offset = 0;
    while offset < progress.total {
        let chunk = read_chunk(db, offset, progress.total);
        let failed = chunk.is_err();
        offset += chunk.as_ref().map_or(0, |bytes| wide(bytes.len()));
        if chunks.blocking_send(chunk.map(Frame::data)).is_err() || failed {
            return;
        }
        progress.bytes.store(offset, Ordering::Relaxed);
    }
}

fn read_chunk(db: &dyn DiskFile, offset: u64, total: u64) -> Result<Bytes, io::Error> {
    let left = usize::try_from(total - offset).unwrap_or(usize::MAX);
    let mut chunk = vec![0; left.min(CHUNK_BYTES)];
    let read = db.read_at(&mut chunk, offset)?;
    if read == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the snapshot's file is short"));
    }
    chunk.truncate(read);
    Ok(chunk.into())
}

/// Resolves when the peer takes nothing any more.
async fn stalled(progress: &Progress) -> PostError {
    let mut seen = (0, Instant::now());
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let bytes = progress.bytes.load(Ordering::Relaxed);
        if bytes != seen.0 {
            seen = (bytes, Instant::now());
        }
        let limit = if bytes == progress.total { ANSWER_TIMEOUT } else { STALL_TIMEOUT };
        if seen.1.elapsed() >= limit {
            return PostError::Timeout { limit };
        }
    }
}
