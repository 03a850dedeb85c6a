//! The frames of HTTP/2 (RFC 9113, 4.1 and 6.2) that carry a header block.

use super::hpack::Field;

/// Octets before a frame's payload.
pub(super) const HEAD_BYTES: usize = 9;
/// The largest payload every receiver takes.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;
pub(super) const HEADERS: u8 = 1;
pub(super) const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_BYTES: usize = 5;
/// Index 0 stands for nothing, so no decoder takes this block.
const BAD_BLOCK: &[u8] = &[0x80];

/// The nine octets before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Payload's length, at most 2^24 - 1.
    pub(super) length: usize,
    /// Type.
    pub(super) kind: u8,
    flags: u8,
    /// As sent, with the reserved bit.
    pub(super) stream: [u8; 4],
}

impl FrameHead {
    pub(super) fn parse(octets: [u8; HEAD_BYTES]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = octets;
        let length = u32::from_be_bytes([0, high, middle, low]);
        let length = usize::try_from(length).expect("24 bits fit");
        Self { length, kind, flags, stream }
    }

    pub(super) fn ends_block(self) -> bool {
        self.flags & END_HEADERS != 0
    }

    fn write(self, wire: &mut Vec<u8>) {
        let length = u32::try_from(self.length).expect("we write payloads of 16 KiB at most");
        wire.extend_from_slice(&length.to_be_bytes()[1..]);
        wire.extend_from_slice(&[self.kind, self.flags]);
        wire.extend_from_slice(&self.stream);
    }
}

/// A header block and what its HEADERS frame says beside.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: [u8; 4],
    ends_stream: bool,
    priority: Option<[u8; PRIORITY_BYTES]>,
    /// The compressed fields, so far as they came.
    pub(super) fragment: Vec<u8>,
}

impl Block {
    /// A HEADERS frame without its padding; none if the padding or the priority does not fit it.
    pub(super) fn open(head: FrameHead, mut payload: &[u8]) -> Option<Self> {
        if head.flags & PADDED != 0 {
            let (&padding, rest) = payload.split_first()?;
            let kept = rest.len().checked_sub(usize::from(padding))?;
            payload = rest.get(..kept)?;
        }
        let mut priority = None;
        if head.flags & PRIORITY != 0 {
            let (octets, rest) = payload.split_first_chunk()?;
            priority = Some(*octets);
            payload = rest;
        }
        Some(Self {
            stream: head.stream,
            ends_stream: head.flags & END_STREAM != 0,
            priority,
            fragment: payload.to_vec(),
        })
    }

    /// Appends HEADERS and, if they do not fit one frame, CONTINUATIONs that carry `fields`.
    pub(super) fn write(&self, fields: &[Field], wire: &mut Vec<u8>) {
        let mut payload: Vec<u8> = self.priority.iter().flatten().copied().collect();
        for field in fields {
            field.encode(&mut payload);
        }
        self.write_payload(&payload, wire);
    }

    /// Appends a HEADERS frame that ends the connection at whoever decodes it.
    pub(super) fn write_refused(stream: [u8; 4], wire: &mut Vec<u8>) {
        let block = Self { stream, ends_stream: false, priority: None, fragment: Vec::new() };
        block.write_payload(BAD_BLOCK, wire);
    }

    fn write_payload(&self, payload: &[u8], wire: &mut Vec<u8>) {
        let mut rest = payload;
        let mut kind = HEADERS;
        loop {
            let (part, after) = rest.split_at(rest.len().min(PAYLOAD_BYTES_MAX));
            let mut flags = 0;
            if kind == HEADERS {
                flags |= if self.ends_stream { END_STREAM } else { 0 };
                flags |= if self.priority.is_some() { PRIORITY } else { 0 };
            }
            flags |= if after.is_empty() { END_HEADERS } else { 0 };
            FrameHead { length: part.len(), kind, flags, stream: self.stream }.write(wire);
            wire.extend_from_slice(part);
            if after.is_empty() {
                return;
            }
            (rest, kind) = (after, CONTINUATION);
        }
    }
}
