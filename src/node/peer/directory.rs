//! Whom messages can be sent to, and by which channel: full peers with streams, and remotes that
//! the log does not know yet, which are posted to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base::MemberId;
use tokio::sync::mpsc;
use wire::raftpb::{self, MessageType};

use super::{
    codec::StreamKind,
    link::{Link, Shared},
    outgoing::{Refused, Slot},
    pipeline::{self, PIPELINE_QUEUE_MAX},
    probe, reader, send_snapshot,
    urls::PeerUrl,
};

/// Whom messages can be sent to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    pub(crate) peers: Vec<Arc<Peer>>,
    pub(crate) remotes: Vec<Arc<Remote>>,
}

/// A member of the cluster.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: Arc<Link>,
    appends: Arc<Slot>,
    messages: Arc<Slot>,
    pipeline: mpsc::Sender<raftpb::Message>,
    /// Whether a snapshot is on its way.
    snapshot: Arc<AtomicBool>,
}

/// A member that the log does not know yet; it can only be posted to.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) link: Arc<Link>,
    pipeline: mpsc::Sender<raftpb::Message>,
}

impl Directory {
    pub(crate) fn peer(&self, id: MemberId) -> Option<&Arc<Peer>> {
        self.peers.iter().find(|peer| peer.link.id == id)
    }

    pub(crate) fn remote(&self, id: MemberId) -> Option<&Arc<Remote>> {
        self.remotes.iter().find(|remote| remote.link.id == id)
    }

    pub(crate) fn knows(&self, id: MemberId) -> bool {
        self.peer(id).is_some() || self.remote(id).is_some()
    }

    pub(crate) fn remove(&mut self, id: MemberId) {
        if let Some(peer) = self.peer(id) {
            peer.close();
            tracing::info!(peer = %id, "removed a peer");
        }
        if let Some(remote) = self.remote(id) {
            remote.link.cancel.cancel();
        }
        self.peers.retain(|peer| peer.link.id != id);
        self.remotes.retain(|remote| remote.link.id != id);
    }

    pub(crate) fn close(&self) {
        for peer in &self.peers {
            peer.close();
        }
        for remote in &self.remotes {
            remote.link.cancel.cancel();
        }
    }
}

impl Peer {
    pub(crate) fn start(shared: &Arc<Shared>, id: MemberId, urls: Vec<PeerUrl>) -> Self {
        let link = Arc::new(Link::new(shared, id, urls));
        for kind in [StreamKind::Appends, StreamKind::Messages] {
            let task = reader::run(shared.clone(), link.clone(), kind);
            shared.tasks.spawn_on(task, &shared.runtime);
        }
        shared.tasks.spawn_on(probe::run(shared.clone(), link.clone()), &shared.runtime);
        let pipeline = start_pipeline(shared, &link);
        Self {
            link,
            appends: Arc::default(),
            messages: Arc::default(),
            pipeline,
            snapshot: Arc::default(),
        }
    }

    pub(crate) fn slot(&self, kind: StreamKind) -> &Arc<Slot> {
        match kind {
            StreamKind::Appends => &self.appends,
            StreamKind::Messages => &self.messages,
        }
    }

    fn close(&self) {
        self.link.cancel.cancel();
        self.appends.close();
        self.messages.close();
        self.link.status.deactivate("remove", &"no peer any more");
    }

    /// Chooses the channel: snapshots go their own way, appends by `msgappv2` if it is attached,
    /// all else by `message` if it is attached, and what is left by single posts.
    pub(crate) fn send(&self, shared: &Arc<Shared>, mut message: raftpb::Message) {
        if message.r#type == i32::from(MessageType::MsgSnap) {
            return self.send_snapshot(shared, message);
        }
        let is_append = message.r#type == i32::from(MessageType::MsgApp);
        for slot in [is_append.then_some(&self.appends), Some(&self.messages)].into_iter().flatten()
        {
            match slot.try_send(message) {
                Ok(()) => return,
                Err(Refused::Full(lost)) => return self.link.dropped(shared, &lost),
                Err(Refused::Detached(back)) => message = *back,
            }
        }
        post(shared, &self.link, &self.pipeline, message);
    }

    fn send_snapshot(&self, shared: &Arc<Shared>, request: raftpb::Message) {
        if self.snapshot.swap(true, Ordering::AcqRel) {
            // Its end will be reported, and raft asks again if that was not enough.
            tracing::debug!(peer = %self.link.id, "a snapshot is on its way already");
            return;
        }
        let busy = Busy(self.snapshot.clone());
        let (task_shared, link) = (shared.clone(), self.link.clone());
        let task = async move {
            send_snapshot::run(task_shared, link, request).await;
            drop(busy);
        };
        shared.tasks.spawn_on(task, &shared.runtime);
    }
}

impl Remote {
    pub(crate) fn start(shared: &Arc<Shared>, id: MemberId, urls: Vec<PeerUrl>) -> Self {
        let link = Arc::new(Link::new(shared, id, urls));
        let pipeline = start_pipeline(shared, &link);
        Self { link, pipeline }
    }

    pub(crate) fn send(&self, shared: &Shared, message: raftpb::Message) {
        post(shared, &self.link, &self.pipeline, message);
    }
}

/// Clears the flag when the task ends, however it does.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn start_pipeline(shared: &Arc<Shared>, link: &Arc<Link>) -> mpsc::Sender<raftpb::Message> {
    let (sender, queue) = mpsc::channel(PIPELINE_QUEUE_MAX);
    shared.tasks.spawn_on(pipeline::run(shared.clone(), link.clone(), queue), &shared.runtime);
    sender
}

fn post(
    shared: &Shared,
    link: &Link,
    pipeline: &mpsc::Sender<raftpb::Message>,
    message: raftpb::Message,
) {
    if let Err(refused) = pipeline.try_send(message) {
        link.dropped(shared, &refused.into_inner());
    }
}
