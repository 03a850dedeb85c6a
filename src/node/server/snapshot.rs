//! Snapshots: our own .snap files, what a follower is sent, and what a leader sent us.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use backend::{Backend, Bucket, Options, View, WriteBatch};
use base::{Index, MemberId};
use bytes::Bytes;
use disk::{Disk, Open};
use state::StateError;
use tokio::sync::oneshot;
use wal::snap::SnapDir;
use wire::{raftpb, walpb};

use super::{
    Server,
    apply::{Applier, Input},
};
use crate::peer::{OutgoingSnapshot, SnapshotError};

/// Meta row: index of the last entry whose effect is in the store.
const CONSISTENT_INDEX: &[u8] = b"consistent_index";
/// Rows imported in one batch.
const IMPORT_ROWS: usize = 10_000;

/// A cut of the whole state at one index.
#[derive(Debug)]
pub(super) struct MergedState {
    v2: Vec<u8>,
    metadata: raftpb::SnapshotMetadata,
    view: View,
}

impl Applier {
    fn metadata(&self) -> raftpb::SnapshotMetadata {
        raftpb::SnapshotMetadata {
            conf_state: self.conf_state.clone(),
            index: self.index,
            term: self.term,
        }
    }

    /// A cut of the state as it is now, for a follower.
    pub(super) fn cut(&self) -> Result<MergedState, StateError> {
        Ok(MergedState {
            v2: self.machine.v2_snapshot()?,
            metadata: self.metadata(),
            view: self.server.backend.load().view()?,
        })
    }

    /// A snapshot of the leader replaces the whole state. Its `.snap` and the log's mark are durable already.
    pub(super) fn take_snapshot(&mut self, snapshot: &raftpb::Snapshot) -> Result<(), StateError> {
        let index = snapshot.metadata.index;
        if index <= self.index {
            return Ok(());
        }
        let server = Arc::clone(&self.server);
        tracing::info!(index, "taking the leader's snapshot");
        let received = server.snap_dir.join(format!("{index:016x}.snap.db"));
        let store = server.kv_path();
        // The old store goes last: until the new one has its name, a restart finds one or the other.
        let incoming = store.with_extension("incoming");
        let options = server.settings.backend.clone();
        import_snapshot_db(&server.disk, (&received, index), &incoming, options.clone())?;
        server.backend.load().close()?;
        server.disk.rename(&incoming, &store).map_err(|error| io(&error))?;
        let backend = Backend::open(Arc::clone(&server.disk), &store, options)?;
        server.backend.store(Arc::new(backend.clone()));
        self.machine.reopen(backend)?;
        self.machine.restore(&snapshot.data.clone().unwrap_or_default())?;
        self.index = index;
        self.term = snapshot.metadata.term;
        self.conf_state = snapshot.metadata.conf_state.clone();
        self.snapshot_index = index;
        self.compacted_log = index;
        self.follow_all();
        server.applied.send_replace(index);
        server.snapshot_taken.send_replace(index);
        server.raft.applied(Index::new(index));
        server.disk.remove_file(&received).map_err(|error| io(&error))?;
        tracing::info!(index, revision = server.kv.revision(), "the leader's snapshot is in place");
        Ok(())
    }
}

fn io(error: &std::io::Error) -> StateError {
    StateError::Damaged(format!("replace the store by the leader's snapshot: {error}"))
}

/// Writes a `.snap` at the applied index. The backend is flushed up to it first, so that nothing the log may then
/// forget is missing from the store.
pub(super) fn save(applier: &mut Applier) -> Result<(), StateError> {
    let server = Arc::clone(&applier.server);
    server.backend.load().flush()?;
    let metadata = applier.metadata();
    let mark = walpb::Snapshot {
        index: metadata.index,
        term: metadata.term,
        conf_state: Some(metadata.conf_state.clone()),
    };
    let snapshot = raftpb::Snapshot { data: Some(applier.machine.v2_snapshot()?.into()), metadata };
    let folder = SnapDir::new(Arc::clone(&server.disk), &server.snap_dir);
    folder.save(&snapshot).map_err(|error| {
        StateError::Damaged(format!("write a .snap file: {}", base::ErrorChain(&error)))
    })?;
    applier.snapshot_index = mark.index;
    tracing::info!(index = mark.index, "saved a snapshot");
    // The owner marks it in the log first, then lets go of older files.
    server.raft.snapshot_saved(mark);
    Ok(())
}

/// Builds what a follower is sent: the message with the v2 store, and a bbolt file of the same cut.
pub(super) async fn outgoing(
    server: Arc<Server>,
    to: MemberId,
    mut request: raftpb::Message,
) -> Result<OutgoingSnapshot, SnapshotError> {
    let (reply, cut) = oneshot::channel();
    let ask = Arc::clone(&server);
    tokio::task::spawn_blocking(move || ask.apply.send(Input::Cut(reply)).ok())
        .await
        .ok()
        .flatten()
        .ok_or_else(|| SnapshotError::new("the apply thread has ended"))?;
    let state = cut
        .await
        .map_err(|_gone| SnapshotError::new("the apply thread has ended"))?
        .map_err(|error| failed("take a cut of the state", error))?;
    let name = format!("send-{to}-{:016x}.db", state.metadata.index);
    let path = server.snap_dir.join(format!("tmp-{name}"));
    let (disk, view, file) = (Arc::clone(&server.disk), state.view, path.clone());
    let guard = TemporaryFile { disk: Arc::clone(&disk), path };
    let db = tokio::task::spawn_blocking(move || export(&disk, &view, &file))
        .await
        .map_err(|error| failed("write the snapshot's database", error))?
        .map_err(|error| failed("write the snapshot's database", error))?;
    let db_bytes = db.len().map_err(|error| failed("measure the snapshot's database", error))?;
    request.snapshot = raftpb::Snapshot { data: Some(state.v2.into()), metadata: state.metadata };
    Ok(OutgoingSnapshot { message: request, db, db_bytes, guard: Box::new(guard) })
}

fn failed(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> SnapshotError {
    SnapshotError { reason: what.to_owned(), source: Some(Box::new(error)) }
}

/// Writes a view as a bbolt file, and opens it for reading.
fn export(
    disk: &Arc<dyn Disk>,
    view: &View,
    path: &Path,
) -> Result<Box<dyn disk::DiskFile>, bolt::BoltError> {
    let mut writer = bolt::Writer::create(disk.as_ref(), path)?;
    for bucket in Bucket::ALL {
        writer.bucket(bucket.name().as_bytes())?;
        let mut failure = None;
        view.scan(
            bucket,
            std::ops::Bound::Unbounded,
            std::ops::Bound::Unbounded,
            &mut |key, value| match writer.put(key, value) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            },
        )
        .map_err(|error| unreadable(path, std::io::Error::other(error)))?;
        if let Some(error) = failure {
            return Err(error);
        }
    }
    writer.finish()?;
    disk.open(path, Open::Read).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, source: std::io::Error) -> bolt::BoltError {
    bolt::BoltError::Read { path: path.to_owned(), source }
}

/// Removes its file when dropped.
#[derive(Debug)]
struct TemporaryFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Err(error) = self.disk.remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a sent snapshot's file is left over");
        }
    }
}

/// Makes a store at `store` from the bbolt file a leader sent with its snapshot of that index. Whatever was half-made
/// there before is begun anew. The store's consistent index is at least the snapshot's: a leader of 3.4 moves it with
/// changes of the key space only, and behind the snapshot it would look as if entries were missing.
///
/// # Errors
/// The file is damaged, or the disk fails.
pub fn import_snapshot_db(
    disk: &Arc<dyn Disk>,
    (bolt_file, index): (&Path, u64),
    store: &Path,
    options: Options,
) -> Result<(), StateError> {
    if disk.exists(store).map_err(|error| io(&error))? {
        disk.remove_file(store).map_err(|error| io(&error))?;
    }
    let damaged =
        |error: bolt::BoltError| StateError::Damaged(format!("the leader's snapshot: {error}"));
    let reader = bolt::Reader::open(disk.as_ref(), bolt_file).map_err(damaged)?;
    let backend = Backend::open(Arc::clone(disk), store, options)?;
    for bucket in Bucket::ALL {
        let mut batch = WriteBatch::default();
        let mut failure = None;
        reader
            .scan(bucket.name().as_bytes(), &mut |key, value| {
                batch.put(bucket, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                if batch.len() >= IMPORT_ROWS
                    && let Err(error) = backend.write(std::mem::take(&mut batch))
                {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .map_err(damaged)?;
        if let Some(error) = failure {
            return Err(error.into());
        }
        backend.write(batch)?;
    }
    let consistent = backend.get(Bucket::Meta, CONSISTENT_INDEX)?;
    let consistent = consistent.and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk()?)));
    if consistent.unwrap_or(0) < index {
        let mut batch = WriteBatch::default();
        batch.put(Bucket::Meta, CONSISTENT_INDEX, index.to_be_bytes().to_vec());
        backend.write(batch)?;
    }
    backend.close()?;
    Ok(())
}
