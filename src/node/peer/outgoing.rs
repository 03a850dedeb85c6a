//! The writing end of a stream: a slot per peer and kind that holds the attached connection, and
//! the response body that hyper pulls batches of encoded messages from.
//!
//! ```text
//! raft thread -> Slot::try_send -> queue -> OutgoingStream::poll_frame -> hyper -> one writev
//! ```
//!
//! The body itself drains the queue and encodes, so a batch costs one wake of the connection's
//! task and nothing more. When the socket is full hyper stops pulling and the queue fills.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use base::limits::PEER_QUEUE_MAX;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use wire::raftpb;

use super::{
    codec::{Encoder, StreamKind, appends::AppendEncoder, wide},
    link::{Link, Shared},
};

/// A third of the reader's deadline.
pub(crate) const LINK_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(5000 / 3);
/// A batch ends when it has reached this size.
const BATCH_BYTES: usize = 64 * 1024;

/// Holds the connection that is attached for one kind of stream, if any.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    /// Counts attachments, so that the end of a replaced one changes nothing.
    generation: u64,
    queue: Option<mpsc::Sender<raftpb::Message>>,
}

/// Why a slot did not take a message. Boxed, as it is the rare way out.
#[derive(Debug)]
pub(crate) enum Refused {
    /// No connection: use another channel.
    Detached(Box<raftpb::Message>),
    /// The queue is full: the message is lost.
    Full(Box<raftpb::Message>),
}

impl Slot {
    /// Queues a message for the attached connection.
    pub(crate) fn try_send(&self, message: raftpb::Message) -> Result<(), Refused> {
        let state = self.state.lock();
        let Some(queue) = &state.queue else { return Err(Refused::Detached(Box::new(message))) };
        queue.try_send(message).map_err(|refused| match refused {
            TrySendError::Full(message) => Refused::Full(Box::new(message)),
            TrySendError::Closed(message) => Refused::Detached(Box::new(message)),
        })
    }

    /// Attaches a new connection; the one before ends.
    fn attach(&self) -> (u64, mpsc::Receiver<raftpb::Message>) {
        let (sender, receiver) = mpsc::channel(PEER_QUEUE_MAX);
        let mut state = self.state.lock();
        state.generation += 1;
        state.queue = Some(sender);
        (state.generation, receiver)
    }

    /// Ends the attached connection.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.generation += 1;
        state.queue = None;
    }

    #[cfg(test)]
    pub(crate) fn is_attached(&self) -> bool {
        self.state.lock().queue.is_some()
    }

    fn is_current(&self, generation: u64) -> bool {
        self.state.lock().generation == generation
    }

    /// Frees the slot unless another connection has taken it; whether it did.
    fn detach(&self, generation: u64) -> bool {
        let mut state = self.state.lock();
        let current = state.generation == generation;
        if current {
            state.queue = None;
        }
        current
    }
}

/// The endless body of a stream's response.
pub(crate) struct OutgoingStream {
    shared: Arc<Shared>,
    link: Arc<Link>,
    slot: Arc<Slot>,
    kind: StreamKind,
    generation: u64,
    queue: mpsc::Receiver<raftpb::Message>,
    encoder: Encoder,
    buffer: BytesMut,
    heartbeat: Interval,
}

impl OutgoingStream {
    /// Attaches a connection to the slot.
    pub(crate) fn attach(
        shared: Arc<Shared>,
        link: Arc<Link>,
        slot: Arc<Slot>,
        kind: StreamKind,
    ) -> Self {
        let (generation, queue) = slot.attach();
        link.status.activate();
        tracing::info!(peer = %link.id, stream = kind.segment(), "peer attached its stream");
        let encoder = match kind {
            StreamKind::Appends => {
                Encoder::Appends(AppendEncoder::new(shared.config.member, link.id))
            }
            StreamKind::Messages => Encoder::Messages,
        };
        let mut heartbeat =
            interval_at(Instant::now() + LINK_HEARTBEAT_INTERVAL, LINK_HEARTBEAT_INTERVAL);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let buffer = BytesMut::new();
        Self { shared, link, slot, kind, generation, queue, encoder, buffer, heartbeat }
    }

    /// Encodes what is queued, up to a batch. False once the slot has let go of this connection.
    fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.slot.is_current(self.generation) {
            return false;
        }
        while self.heartbeat.poll_tick(cx).is_ready() {
            self.encoder.link_heartbeat(&mut self.buffer);
        }
        while self.buffer.len() < BATCH_BYTES {
            match self.queue.poll_recv(cx) {
                Poll::Ready(Some(message)) => self.encoder.encode(&message, &mut self.buffer),
                Poll::Ready(None) => return false,
                Poll::Pending => break,
            }
        }
        true
    }
}

impl Body for OutgoingStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let stream = self.get_mut();
        if !stream.fill(cx) {
            return Poll::Ready(None);
        }
        if stream.buffer.is_empty() {
            return Poll::Pending;
        }
        let batch = stream.buffer.split().freeze();
        stream.link.counters.sent_bytes.add(wide(batch.len()));
        Poll::Ready(Some(Ok(Frame::data(batch))))
    }
}

impl Drop for OutgoingStream {
    fn drop(&mut self) {
        let lost = !self.queue.is_empty();
        let broken = self.slot.detach(self.generation);
        if broken {
            self.link.status.deactivate("write", &"the connection ended");
        }
        if lost {
            self.link.counters.sent_failures.add(1);
        }
        // What the socket had taken may be lost too, so raft has to probe in any case.
        if lost || broken {
            self.shared.events.report_unreachable(self.link.id);
        }
        tracing::info!(peer = %self.link.id, stream = self.kind.segment(), broken, "stream to the peer ended");
    }
}
