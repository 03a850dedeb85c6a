//! etcd's peer protocol: raft messages to and from the other members over HTTP/1.1.
//!
//! ```text
//!            raft thread                             PeerEvents (the server)
//!                | send                                   ^ step
//!   append -> slot msgapp  ---+                           |
//!   others -> slot message ---+-> bodies of the    reader tasks: the bodies of the
//!   no stream -> pipeline      |   streams that     streams that we dialled at peers
//!   snapshot -> own task       v   peers dialled          |
//!                        hyper connections          raw sockets
//! ```
//!
//! Each member dials both streams of every other and only reads from them; it writes into the
//! responses of those dialled by the others.

mod chunked;
mod codec;
mod connect;
mod dial;
mod directory;
pub mod events;
pub mod fetch;
mod link;
pub mod metrics;
mod outgoing;
mod pipeline;
mod probe;
mod reader;
mod receive_snapshot;
mod rfc3339;
mod router;
mod send_snapshot;
mod serve;
mod status;
pub mod urls;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use base::MemberId;
use parking_lot::Mutex;
use wire::raftpb;

pub use self::{
    connect::Connector,
    events::{OutgoingSnapshot, PeerEvents, SnapshotError},
    link::TransportConfig,
    metrics::PeerCounters,
    serve::serve,
};
use self::{
    directory::{Directory, Peer, Remote},
    link::Shared,
    urls::{PeerUrl, PeerUrlError},
};

/// Members that are not known here but may be answered.
const REMOTES_MAX: usize = 64;
/// How long tasks may take to end on stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// This member's end of the peer protocol. A cheap handle.
#[derive(Debug, Clone)]
pub struct Transport {
    inner: Arc<Inner>,
}

/// What the transport's handles share.
struct Inner {
    shared: Arc<Shared>,
    /// Read without a lock on every send.
    directory: ArcSwap<Directory>,
    /// Held while the directory is changed.
    changes: Mutex<()>,
}

impl Transport {
    /// A transport without peers. Must be called inside a tokio runtime, where its tasks will run.
    ///
    /// # Errors
    /// One of this member's own URLs is not `http://host:port` or `https://host:port`.
    pub fn new(config: TransportConfig, events: Arc<dyn PeerEvents>) -> Result<Self, PeerUrlError> {
        for url in &config.urls {
            PeerUrl::parse(url)?;
        }
        let shared = Arc::new(Shared::new(config, events));
        let directory = ArcSwap::default();
        Ok(Self { inner: Arc::new(Inner { shared, directory, changes: Mutex::new(()) }) })
    }

    /// The routes `/raft` and below, for the peer listeners.
    pub fn router(&self) -> axum::Router {
        router::router(self.inner.clone())
    }

    /// Sends messages, each to the member it names. Never blocks: what has no room is dropped and
    /// reported as unreachable. Snapshots are built by [`PeerEvents::snapshot_for`] first.
    pub fn send(&self, messages: Vec<raftpb::Message>) {
        let directory = self.inner.directory.load();
        for message in messages {
            let to = MemberId::new(message.to);
            if let Some(peer) = directory.peer(to) {
                peer.send(&self.inner.shared, message);
            } else if let Some(remote) = directory.remote(to) {
                remote.send(&self.inner.shared, message);
            } else if message.to != 0 {
                tracing::debug!(%to, kind = message.r#type, "dropped a message to an unknown member");
            }
        }
    }

    /// Starts to talk to a member. Nothing happens if it is a peer already.
    pub fn add_peer(&self, id: MemberId, urls: &[String]) {
        self.inner.add_peer(id, urls);
    }

    /// Starts to answer a member that the log does not know yet, by posts only.
    pub fn add_remote(&self, id: MemberId, urls: &[String]) {
        self.inner.add_remote(id, urls);
    }

    /// Changes where a peer is reached.
    pub fn update_peer(&self, id: MemberId, urls: &[String]) {
        if let Some(peer) = self.inner.directory.load().peer(id) {
            peer.link.urls.update(usable_urls(id, urls));
        }
    }

    /// Stops to talk to a member.
    pub fn remove_peer(&self, id: MemberId) {
        self.inner.change(|directory| directory.remove(id));
    }

    /// Stops to talk to all members; to be followed by adding those of a new membership.
    pub fn remove_all_peers(&self) {
        self.inner.change(|directory| {
            directory.close();
            *directory = Directory::default();
        });
    }

    /// Since when a peer is active; none if it is not, or is no peer.
    #[must_use]
    pub fn active_since(&self, id: MemberId) -> Option<Instant> {
        self.inner.directory.load().peer(id)?.link.status.active_since()
    }

    /// For how long a peer has been active; none if it is not, or is no peer.
    #[must_use]
    pub fn active_for(&self, id: MemberId) -> Option<Duration> {
        self.inner.directory.load().peer(id)?.link.status.active_for()
    }

    /// The counters of every member met so far; those of senders without an id under 0.
    #[must_use]
    pub fn counters(&self) -> Vec<(MemberId, Arc<PeerCounters>)> {
        self.inner.shared.all_counters()
    }

    /// Ends all streams and tasks. The transport is of no further use.
    pub async fn stop(&self) {
        self.inner.shared.cancel.cancel();
        self.remove_all_peers();
        let tasks = &self.inner.shared.tasks;
        tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, tasks.wait()).await.is_err() {
            tracing::warn!(left = tasks.len(), "tasks of the peer transport did not end in time");
        }
    }
}

impl Inner {
    fn add_peer(&self, id: MemberId, urls: &[String]) {
        self.change(|directory| {
            if directory.peer(id).is_some() || self.shared.cancel.is_cancelled() {
                return;
            }
            directory.remove(id);
            directory.peers.push(Arc::new(Peer::start(&self.shared, id, usable_urls(id, urls))));
            tracing::info!(peer = %id, ?urls, "added a peer");
        });
    }

    fn add_remote(&self, id: MemberId, urls: &[String]) {
        self.change(|directory| {
            let stopped = self.shared.cancel.is_cancelled();
            if directory.knows(id) || id == self.shared.config.member || stopped {
                return;
            }
            if directory.remotes.len() >= REMOTES_MAX {
                tracing::warn!(remote = %id, "too many unknown members call: this one gets no answer");
                return;
            }
            let urls = usable_urls(id, urls);
            if urls.is_empty() {
                return;
            }
            directory.remotes.push(Arc::new(Remote::start(&self.shared, id, urls)));
            tracing::info!(remote = %id, "answering a member that is not known here yet");
        });
    }

    fn change(&self, edit: impl FnOnce(&mut Directory)) {
        let _held = self.changes.lock();
        let mut directory = Directory::clone(&self.directory.load());
        edit(&mut directory);
        self.directory.store(Arc::new(directory));
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("shared", &self.shared)
            .field("directory", &self.directory.load())
            .finish_non_exhaustive()
    }
}

/// The URLs that can be dialled; the others are logged.
fn usable_urls(id: MemberId, urls: &[String]) -> Vec<PeerUrl> {
    let parse = |url: &String| match PeerUrl::parse(url) {
        Ok(url) => Some(url),
        Err(error) => {
            tracing::error!(peer = %id, %error, "a peer's URL cannot be used");
            None
        }
    };
    urls.iter().filter_map(parse).collect()
}

#[cfg(test)]
mod tests;
