//! What the transport asks of the server: where received messages go, and where snapshots come
//! from. Implemented by the server core; called from the transport's tasks.

use std::{any::Any, fmt, path::PathBuf};

use base::MemberId;
use disk::DiskFile;
use futures::future::BoxFuture;
use wire::raftpb;

/// The server behind the transport. Nothing here may block: the callers are tasks that read
/// sockets.
pub trait PeerEvents: Send + Sync + 'static {
    /// Takes a message meant for raft. The cluster, the receiver and the sender's not being
    /// removed are checked already; its content is not. When the raft owner is busy it is dropped.
    fn step(&self, message: raftpb::Message);

    /// Whether a member was removed from the cluster for good. True makes that member stop.
    fn is_removed(&self, id: MemberId) -> bool;

    /// Messages to a peer were lost.
    fn report_unreachable(&self, id: MemberId);

    /// A snapshot reached a peer, or did not.
    fn report_snapshot(&self, id: MemberId, ok: bool);

    /// A peer said that this member is removed for good: the server has to stop. Told again and
    /// again until it does.
    fn removed_from_cluster(&self);

    /// Builds the snapshot that goes to a peer instead of raft's request: the message with the
    /// applied state's position and the v2 store, and a bbolt file of that same state.
    fn snapshot_for(
        &self,
        to: MemberId,
        request: raftpb::Message,
    ) -> BoxFuture<'static, Result<OutgoingSnapshot, SnapshotError>>;

    /// Takes a snapshot whose bbolt file is durable at `db` (`%016x.snap.db`, in hexadecimal the
    /// index); resolves once raft was given the message.
    fn receive_snapshot(
        &self,
        message: raftpb::Message,
        db: PathBuf,
    ) -> BoxFuture<'static, Result<(), SnapshotError>>;
}

/// Why a snapshot could not be built or taken. The sender tries again when raft asks again.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct SnapshotError {
    /// What went wrong, for the log and the peer's answer.
    pub reason: String,
    /// The failure below, if there is one.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SnapshotError {
    /// An error without a cause below it.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), source: None }
    }
}

/// A snapshot ready to be sent.
pub struct OutgoingSnapshot {
    /// The `MsgSnap` with its metadata and the v2 store's JSON as data.
    pub message: raftpb::Message,
    /// The bbolt file.
    pub db: Box<dyn DiskFile>,
    /// Bytes of the file to send.
    pub db_bytes: u64,
    /// Dropped when sending has ended either way; so the server can remove the file then.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for OutgoingSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingSnapshot")
            .field("index", &self.message.snapshot.metadata.index)
            .field("db_bytes", &self.db_bytes)
            .finish_non_exhaustive()
    }
}
