//! The `msgappv2` framing. Both ends keep the term and the last index of the message before; an
//! append that follows on it is sent as its entries and commit index only.

use base::MemberId;
use bytes::{Buf, BufMut, BytesMut};
use prost::Message;
use wire::raftpb::{self, MessageType};

use super::{Frame, FrameError, peek_u64, put_framed, take_framed, take_length_prefixed, wide};

pub(crate) const LINK_HEARTBEAT: u8 = 0;
const ENTRIES: u8 = 1;
const WHOLE_MESSAGE: u8 = 2;

/// Most entries taken in one message; raft sends at most 1 MiB of them, so far fewer.
const ENTRIES_MAX: u64 = 1 << 20;
/// Room made ahead for entries whose number the peer announced.
const ENTRIES_ROOM: usize = 1024;

/// Where the stream stands; equal at both ends after each frame.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Position {
    term: u64,
    index: u64,
}

impl Position {
    fn after(message: &raftpb::Message) -> Self {
        let index = message.entries.last().map_or(message.index, |entry| entry.index);
        Self { term: message.term, index }
    }
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct AppendEncoder {
    local: MemberId,
    remote: MemberId,
    at: Position,
}

impl AppendEncoder {
    pub(crate) fn new(local: MemberId, remote: MemberId) -> Self {
        Self { local, remote, at: Position::default() }
    }

    pub(crate) fn encode(&mut self, message: &raftpb::Message, out: &mut BytesMut) {
        if !self.follows(message) {
            out.put_u8(WHOLE_MESSAGE);
            put_framed(message, out);
            self.at = Position::after(message);
            return;
        }
        let count = wide(message.entries.len());
        out.put_u8(ENTRIES);
        out.put_u64(count);
        for entry in &message.entries {
            put_framed(entry, out);
        }
        out.put_u64(message.commit);
        self.at.index = self.at.index.wrapping_add(count);
    }

    /// Whether the reader can rebuild the message from its entries and commit index.
    fn follows(&self, message: &raftpb::Message) -> bool {
        self.at == (Position { term: message.log_term, index: message.index })
            && message.log_term == message.term
            && message.r#type == i32::from(MessageType::MsgApp)
            && message.from == self.local.get()
            && message.to == self.remote.get()
            && !message.reject
            && message.reject_hint == 0
            && message.context.is_none()
            && message.snapshot == raftpb::Snapshot::default()
    }
}

/// The reading end. A frame of entries is taken entry by entry as its bytes arrive.
#[derive(Debug)]
pub(crate) struct AppendDecoder {
    local: MemberId,
    remote: MemberId,
    at: Position,
    partial: Option<Partial>,
}

/// A frame of entries of which not all bytes were there.
#[derive(Debug)]
struct Partial {
    missing: u64,
    bytes: u64,
    entries: Vec<raftpb::Entry>,
}

impl AppendDecoder {
    pub(crate) fn new(local: MemberId, remote: MemberId) -> Self {
        Self { local, remote, at: Position::default(), partial: None }
    }

    pub(crate) fn decode(&mut self, from: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if self.partial.is_some() {
            return self.decode_entries(from);
        }
        match from.first() {
            None => Ok(None),
            Some(&LINK_HEARTBEAT) => {
                from.advance(1);
                Ok(Some(Frame::LinkHeartbeat))
            }
            Some(&ENTRIES) => {
                let Some(count) = peek_u64(from, 1) else { return Ok(None) };
                if count > ENTRIES_MAX {
                    return Err(FrameError::TooManyEntries { count });
                }
                from.advance(1 + super::LENGTH_BYTES);
                let room = usize::try_from(count).map_or(ENTRIES_ROOM, |it| it.min(ENTRIES_ROOM));
                let entries = Vec::with_capacity(room);
                self.partial = Some(Partial { missing: count, bytes: 0, entries });
                self.decode_entries(from)
            }
            Some(&WHOLE_MESSAGE) => self.decode_whole(from),
            Some(&found) => Err(FrameError::UnknownType { found }),
        }
    }

    fn decode_whole(&mut self, from: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(bytes) = peek_u64(from, 1) else { return Ok(None) };
        let length = super::checked_length(bytes)?;
        if from.len() - 1 - super::LENGTH_BYTES < length {
            return Ok(None);
        }
        from.advance(1);
        let Some(message) = take_framed::<raftpb::Message>(from)? else { return Ok(None) };
        self.at = Position::after(&message);
        Ok(Some(match super::is_link_heartbeat(&message) {
            true => Frame::LinkHeartbeat,
            false => Frame::Message(message),
        }))
    }

    fn decode_entries(&mut self, from: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let partial = self.partial.as_mut().expect("called only inside a frame of entries");
        while partial.missing > 0 {
            let Some(bytes) = take_length_prefixed(from)? else { return Ok(None) };
            partial.bytes += wide(bytes.len());
            super::checked_length(partial.bytes)?;
            let entry = raftpb::Entry::decode(bytes).map_err(FrameError::Malformed)?;
            partial.entries.push(entry);
            partial.missing -= 1;
        }
        if from.len() < super::LENGTH_BYTES {
            return Ok(None);
        }
        let commit = from.get_u64();
        let entries = std::mem::take(&mut partial.entries);
        self.partial = None;
        let Position { term, index } = self.at;
        let count = wide(entries.len());
        self.at.index = index.wrapping_add(count);
        Ok(Some(Frame::Message(raftpb::Message {
            r#type: i32::from(MessageType::MsgApp),
            to: self.local.get(),
            from: self.remote.get(),
            term,
            log_term: term,
            index,
            entries,
            commit,
            ..raftpb::Message::default()
        })))
    }
}

#[cfg(test)]
impl AppendDecoder {
    /// Room held for entries still to come.
    pub(crate) fn entries_room(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.entries.capacity())
    }
}

#[cfg(test)]
impl AppendEncoder {
    /// Whether both ends stand at the same position.
    pub(crate) fn in_step_with(&self, decoder: &AppendDecoder) -> bool {
        self.at == decoder.at
    }
}
