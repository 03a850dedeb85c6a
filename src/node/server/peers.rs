//! What the transport asks of the server.

use std::{path::PathBuf, sync::Arc};

use base::MemberId;
use futures::future::BoxFuture;
use wire::raftpb;

use super::{Server, snapshot, stop::StopReason};
use crate::peer::{OutgoingSnapshot, PeerEvents, SnapshotError};

/// The transport's handle to the server.
#[derive(Debug, Clone)]
pub(super) struct Events(pub(super) Arc<Server>);

impl PeerEvents for Events {
    fn step(&self, message: raftpb::Message) {
        if let Err(busy) = self.0.raft.step(message) {
            // Raft sends again.
            tracing::debug!(%busy, "a peer's message was dropped");
        }
    }

    fn is_removed(&self, id: MemberId) -> bool {
        self.0.membership.is_removed(id)
    }

    fn report_unreachable(&self, id: MemberId) {
        self.0.raft.report_unreachable(id);
    }

    fn report_snapshot(&self, id: MemberId, ok: bool) {
        self.0.raft.report_snapshot(id, ok);
    }

    fn removed_from_cluster(&self) {
        StopReason::Removed.set(&self.0.stop);
    }

    fn snapshot_for(
        &self,
        to: MemberId,
        request: raftpb::Message,
    ) -> BoxFuture<'static, Result<OutgoingSnapshot, SnapshotError>> {
        let server = Arc::clone(&self.0);
        Box::pin(async move { snapshot::outgoing(server, to, request).await })
    }

    fn receive_snapshot(
        &self,
        message: raftpb::Message,
        _db: PathBuf,
    ) -> BoxFuture<'static, Result<(), SnapshotError>> {
        // The file lies where the apply thread will look for it by the message's index.
        let stepped = self.0.raft.step(message);
        Box::pin(async move {
            stepped.map_err(|busy| SnapshotError::new(format!("raft did not take it: {busy}")))
        })
    }
}
