//! Turns messages into framed records of one CRC chain, in one buffer that is reused.
//!
//! Frame: a little-endian length (low 56 bits; top byte 0x80|padding if there is padding), the
//! record, padding to 8 bytes. A length thus never spans two sectors of the disk.

use bytes::BufMut;
use prost::{
    Message,
    encoding::{encode_varint, encoded_len_varint, int32, uint64},
};
use wire::raftpb::Entry;

/// Bytes of a frame's length field.
pub(crate) const LENGTH_BYTES: usize = 8;
/// The low bits of the length field that hold the record's length.
pub(crate) const LENGTH_MASK: u64 = (1 << 56) - 1;
/// A buffer that grew beyond this is given back after its batch.
const BUFFER_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Types of records, as numbered on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Metadata,
    Entry,
    State,
    Crc,
    Snapshot,
}

impl Kind {
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        [Self::Metadata, Self::Entry, Self::State, Self::Crc, Self::Snapshot]
            .into_iter()
            .find(|kind| i64::from(kind.number()) == number)
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Metadata => 1,
            Self::Entry => 2,
            Self::State => 3,
            Self::Crc => 4,
            Self::Snapshot => 5,
        }
    }
}

/// Appends records to a buffer, each with the CRC of all payloads so far.
#[derive(Debug)]
pub(crate) struct Encoder {
    crc: u32,
    out: Vec<u8>,
    /// Everything of an entry but its payload's bytes; kept for its allocation.
    head: Vec<u8>,
}

impl Encoder {
    /// Continues a chain.
    pub(crate) fn new(crc: u32) -> Self {
        Self { crc, out: Vec::new(), head: Vec::new() }
    }

    /// What was encoded since the last [`Encoder::clear`].
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.out
    }

    pub(crate) fn clear(&mut self) {
        self.out.clear();
        self.out.shrink_to(BUFFER_KEPT_BYTES);
    }

    /// The record that begins a segment: it carries the chain's value so far.
    pub(crate) fn chain(&mut self) {
        self.frame(Kind::Crc, None);
    }

    pub(crate) fn message(&mut self, kind: Kind, message: &impl Message) {
        self.payload(kind, &message.encode_to_vec());
    }

    pub(crate) fn payload(&mut self, kind: Kind, payload: &[u8]) {
        self.frame(kind, Some([payload, &[]]));
    }

    /// An entry, whose bytes are copied once.
    pub(crate) fn entry(&mut self, entry: &Entry) {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        int32::encode(1, &entry.r#type, &mut head);
        uint64::encode(2, &entry.term, &mut head);
        uint64::encode(3, &entry.index, &mut head);
        let body = entry.data.as_deref().unwrap_or_default();
        if entry.data.is_some() {
            head.put_u8(0x22);
            encode_varint(widen(body.len()), &mut head);
        }
        self.frame(Kind::Entry, Some([&head, body]));
        self.head = head;
    }

    fn frame(&mut self, kind: Kind, payload: Option<[&[u8]; 2]>) {
        let [head, body] = payload.unwrap_or_default();
        self.crc = crc32c::crc32c_append(crc32c::crc32c_append(self.crc, head), body);
        let payload_len = widen(head.len() + body.len());
        let crc = u64::from(self.crc);
        let mut record_len = widen(1 + 1 + 1 + encoded_len_varint(crc));
        if payload.is_some() {
            record_len += widen(1 + encoded_len_varint(payload_len)) + payload_len;
        }
        let padding = (8 - record_len % 8) % 8;
        let mark = if padding == 0 { 0 } else { (0x80 | padding) << 56 };
        self.out.put_u64_le(record_len | mark);
        self.out.put_slice(&[0x08, kind.number(), 0x10]);
        encode_varint(crc, &mut self.out);
        if payload.is_some() {
            self.out.put_u8(0x1a);
            encode_varint(payload_len, &mut self.out);
            self.out.put_slice(head);
            self.out.put_slice(body);
        }
        self.out.put_bytes(0, usize::try_from(padding).expect("less than 8"));
    }
}

/// Lengths of slices always fit in 64 bits.
pub(crate) fn widen(len: usize) -> u64 {
    u64::try_from(len).expect("a length fits in 64 bits")
}

#[cfg(test)]
mod tests;
