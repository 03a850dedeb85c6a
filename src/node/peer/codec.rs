//! The two framings of raft messages on streams. `message`: a length and the message. `msgappv2`
//! ([`appends`]): append messages, shortened by what both ends know from the message before.

pub(crate) mod appends;

use base::limits::PEER_MESSAGE_BYTES_MAX;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use wire::raftpb;

use self::appends::{AppendDecoder, AppendEncoder};

/// Bytes of a length field.
pub(crate) const LENGTH_BYTES: usize = 8;

/// Which of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// `msgappv2`.
    Appends,
    /// `message`.
    Messages,
}

impl StreamKind {
    /// Its part of the path.
    pub(crate) const fn segment(self) -> &'static str {
        match self {
            Self::Appends => "msgapp",
            Self::Messages => "message",
        }
    }
}

/// Bytes that are no frame. The connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {bytes} bytes is over the limit of {PEER_MESSAGE_BYTES_MAX}")]
    TooLong { bytes: u64 },
    #[error("{count} entries in one message are too many")]
    TooManyEntries { count: u64 },
    #[error("frame type {found} is unknown")]
    UnknownType { found: u8 },
    #[error("a frame holds no valid message")]
    Malformed(#[source] prost::DecodeError),
}

/// What one frame held.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "handed on at once, one at a time")]
pub(crate) enum Frame {
    /// Only proof of life, not for raft.
    LinkHeartbeat,
    /// A message for raft.
    Message(raftpb::Message),
}

/// Appends frames to a buffer. One per connection: `msgappv2` has state.
#[derive(Debug)]
pub(crate) enum Encoder {
    Appends(AppendEncoder),
    Messages,
}

impl Encoder {
    pub(crate) fn encode(&mut self, message: &raftpb::Message, out: &mut BytesMut) {
        match self {
            Self::Appends(encoder) => encoder.encode(message, out),
            Self::Messages => put_framed(message, out),
        }
    }

    pub(crate) fn link_heartbeat(&self, out: &mut BytesMut) {
        match self {
            Self::Appends(_) => out.put_u8(appends::LINK_HEARTBEAT),
            Self::Messages => put_framed(&link_heartbeat_message(), out),
        }
    }
}

/// Takes frames from the front of a buffer. One per connection.
#[derive(Debug)]
pub(crate) enum Decoder {
    Appends(AppendDecoder),
    Messages,
}

impl Decoder {
    /// The next frame; none until more bytes are there.
    pub(crate) fn decode(&mut self, from: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let message = match self {
            Self::Appends(decoder) => return decoder.decode(from),
            Self::Messages => take_framed::<raftpb::Message>(from)?,
        };
        Ok(message.map(|message| match is_link_heartbeat(&message) {
            true => Frame::LinkHeartbeat,
            false => Frame::Message(message),
        }))
    }
}

/// Writes a message behind its length.
pub(crate) fn put_framed(message: &impl Message, out: &mut BytesMut) {
    let start = out.len();
    out.put_u64(0);
    message.encode(out).expect("a BytesMut grows as needed");
    let end = out.len();
    let length = wide(end - start - LENGTH_BYTES);
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
}

/// Takes a message behind its length; none until it is whole.
pub(crate) fn take_framed<M: Message + Default>(
    from: &mut BytesMut,
) -> Result<Option<M>, FrameError> {
    let Some(frame) = take_length_prefixed(from)? else { return Ok(None) };
    M::decode(frame).map(Some).map_err(FrameError::Malformed)
}

fn take_length_prefixed(from: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(bytes) = peek_u64(from, 0) else { return Ok(None) };
    let length = checked_length(bytes)?;
    if from.len() - LENGTH_BYTES < length {
        return Ok(None);
    }
    from.advance(LENGTH_BYTES);
    Ok(Some(from.split_to(length).freeze()))
}

pub(crate) fn checked_length(bytes: u64) -> Result<usize, FrameError> {
    usize::try_from(bytes)
        .ok()
        .filter(|_| bytes <= PEER_MESSAGE_BYTES_MAX)
        .ok_or(FrameError::TooLong { bytes })
}

/// A length or count in memory, in the width it has on the wire.
pub(crate) fn wide(length: usize) -> u64 {
    u64::try_from(length).expect("no memory is larger than 64 bits tell")
}

fn peek_u64(from: &[u8], at: usize) -> Option<u64> {
    let field = from.get(at..at + LENGTH_BYTES)?;
    Some(u64::from_be_bytes(field.try_into().expect("eight bytes were taken")))
}

/// The `message` stream's proof of life: a heartbeat from nobody to nobody.
fn link_heartbeat_message() -> raftpb::Message {
    raftpb::Message {
        r#type: i32::from(raftpb::MessageType::MsgHeartbeat),
        ..raftpb::Message::default()
    }
}

/// Such a message must never reach raft: it would pass for a leader's heartbeat.
pub(crate) fn is_link_heartbeat(message: &raftpb::Message) -> bool {
    message.r#type == i32::from(raftpb::MessageType::MsgHeartbeat)
        && message.from == 0
        && message.to == 0
}

#[cfg(test)]
mod tests;
