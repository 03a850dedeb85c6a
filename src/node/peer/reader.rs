//! The reading end of a stream: dials the peer again and again, and hands every message that
//! comes to the server. One task per peer and kind.

use std::{pin::Pin, sync::Arc, time::Duration};

use base::{ErrorChain, MemberId};
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, Sleep, sleep_until},
};
use wire::raftpb::{self, MessageType};

use super::{
    codec::{Decoder, Frame, StreamKind, appends::AppendDecoder, wide},
    dial::{self, OpenStream, READ_DEADLINE, StreamError},
    events::PeerEvents,
    link::{Link, Shared},
};

/// Least time between two dials.
const REDIAL_INTERVAL: Duration = Duration::from_millis(100);
/// The same after the peer said that we are removed: the server is about to stop.
const REDIAL_INTERVAL_REMOVED: Duration = Duration::from_secs(2);
/// Room made for messages at a time; those decoded from it share it.
const CONTENT_BYTES: usize = 16 * 1024;
/// Bytes asked from the socket at a time.
const READ_BYTES: usize = 64 * 1024;

/// Keeps one stream from a peer open until the link is cancelled.
pub(crate) async fn run(shared: Arc<Shared>, link: Arc<Link>, kind: StreamKind) {
    let cancelled = link.cancel.clone();
    let work = async {
        let mut quiet = false;
        loop {
            let dialled = Instant::now();
            let (opened, error) = run_once(&shared, &link, kind).await;
            report(&shared, &link, kind, &error, quiet && !opened);
            quiet = true;
            let pause = match error {
                StreamError::Removed => REDIAL_INTERVAL_REMOVED,
                _ => REDIAL_INTERVAL,
            };
            sleep_until(dialled + pause).await;
        }
    };
    cancelled.run_until_cancelled(work).await;
}

/// One dial and, if it works, one stream to its end. Tells whether it was opened.
async fn run_once(shared: &Shared, link: &Link, kind: StreamKind) -> (bool, StreamError) {
    let Some(url) = link.urls.pick() else { return (false, StreamError::NoUrl) };
    let stream = match dial::dial(shared, link, kind, &url).await {
        Ok(stream) => stream,
        Err(error) => {
            link.urls.unreachable(&url);
            return (false, error);
        }
    };
    link.status.activate();
    tracing::info!(peer = %link.id, stream = kind.segment(), url = url.authority(), "stream from the peer is open");
    let mut decoder = decoder(kind, shared.config.member, link.id);
    let mut gate = Gate::new(shared, link);
    (true, read_stream(stream, &mut decoder, &mut gate).await)
}

fn decoder(kind: StreamKind, local: MemberId, remote: MemberId) -> Decoder {
    match kind {
        StreamKind::Appends => Decoder::Appends(AppendDecoder::new(local, remote)),
        StreamKind::Messages => Decoder::Messages,
    }
}

fn report(shared: &Shared, link: &Link, kind: StreamKind, error: &StreamError, repeated: bool) {
    let stream = kind.segment();
    if repeated {
        tracing::debug!(peer = %link.id, stream, error = %ErrorChain(error), "still no stream from the peer");
    } else {
        tracing::warn!(peer = %link.id, stream, error = %ErrorChain(error), "no stream from the peer");
    }
    match error {
        // The peer ended the stream in good order, perhaps for a newer one.
        StreamError::Closed | StreamError::Unsupported { .. } => {}
        StreamError::Removed => {
            shared.events.removed_from_cluster();
            link.status.deactivate(stream, error);
        }
        _ => link.status.deactivate(stream, error),
    }
}

/// Takes what a stream brought.
pub(crate) trait Sink {
    /// So many bytes of the body came.
    fn received(&mut self, bytes: usize);
    /// A message came.
    fn message(&mut self, message: raftpb::Message);
}

/// Lets through what may reach raft.
#[derive(Debug)]
pub(crate) struct Gate<'a> {
    shared: &'a Shared,
    link: &'a Link,
}

impl<'a> Gate<'a> {
    pub(crate) fn new(shared: &'a Shared, link: &'a Link) -> Self {
        Self { shared, link }
    }
}

impl Sink for Gate<'_> {
    fn received(&mut self, bytes: usize) {
        self.link.counters.received_bytes.add(wide(bytes));
    }

    fn message(&mut self, message: raftpb::Message) {
        let events: &dyn PeerEvents = &*self.shared.events;
        if let Err(reason) =
            check_message(&message, self.shared.config.member, self.link.id, events)
        {
            self.link.counters.received_failures.add(1);
            tracing::warn!(peer = %self.link.id, kind = message.r#type, %reason, "dropped a message from the peer");
            return;
        }
        events.step(message);
    }
}

/// Why a message must not reach raft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Inadmissible {
    #[error("it is for another member")]
    OtherReceiver,
    #[error("its sender is removed from the cluster")]
    RemovedSender,
    #[error("a snapshot comes with its database only")]
    BareSnapshot,
}

/// What is checked of every message but a snapshot's, whatever way it came. `peer` is who is known
/// not to be removed (its link would be gone).
pub(crate) fn check_message(
    message: &raftpb::Message,
    local: MemberId,
    peer: MemberId,
    events: &dyn PeerEvents,
) -> Result<(), Inadmissible> {
    if message.to != local.get() {
        return Err(Inadmissible::OtherReceiver);
    }
    if message.from != peer.get() && events.is_removed(MemberId::new(message.from)) {
        return Err(Inadmissible::RemovedSender);
    }
    if message.r#type == i32::from(MessageType::MsgSnap) {
        return Err(Inadmissible::BareSnapshot);
    }
    Ok(())
}

/// Reads a stream to its end, which always has a reason.
pub(crate) async fn read_stream<R>(
    stream: OpenStream<R>,
    decoder: &mut Decoder,
    sink: &mut impl Sink,
) -> StreamError
where
    R: AsyncRead + Unpin,
{
    let OpenStream { mut io, mut framing, mut raw } = stream;
    let mut content = BytesMut::with_capacity(CONTENT_BYTES);
    let mut silence = SilenceWatch::new();
    loop {
        let ended = match framing.feed(&raw, &mut content) {
            Ok(ended) => ended,
            Err(error) => return error.into(),
        };
        sink.received(raw.len());
        raw.clear();
        raw.reserve(READ_BYTES);
        loop {
            match decoder.decode(&mut content) {
                Ok(Some(Frame::Message(message))) => sink.message(message),
                Ok(Some(Frame::LinkHeartbeat)) => {}
                Ok(None) => break,
                Err(error) => return error.into(),
            }
        }
        if ended {
            return StreamError::Closed;
        }
        tokio::select! {
            biased;
            read = io.read_buf(&mut raw) => match read {
                Ok(0) => return StreamError::Closed,
                Ok(_) => silence.heard(),
                Err(error) => return StreamError::Read(error),
            },
            () = silence.expired() => return StreamError::Silent,
        }
    }
}

/// Notices that nothing came for [`READ_DEADLINE`]. Arms its timer once per deadline, not per read.
struct SilenceWatch {
    heard: Instant,
    timer: Pin<Box<Sleep>>,
}

impl SilenceWatch {
    fn new() -> Self {
        let heard = Instant::now();
        Self { heard, timer: Box::pin(sleep_until(heard + READ_DEADLINE)) }
    }

    fn heard(&mut self) {
        self.heard = Instant::now();
    }

    async fn expired(&mut self) {
        loop {
            self.timer.as_mut().await;
            let deadline = self.heard + READ_DEADLINE;
            if Instant::now() >= deadline {
                return;
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests;
