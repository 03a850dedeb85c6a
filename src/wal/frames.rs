//! Reads the frames of one segment, one record in memory at a time.

use std::{io, path::Path};

use bytes::Bytes;
use disk::{Disk, DiskFile, Open};
use prost::Message;
use wire::walpb;

use crate::{
    encode::{Kind, LENGTH_BYTES, LENGTH_MASK, widen},
    error::{WalError, io_error},
    evidence,
};

/// Read from the disk at once, unless a record is longer.
const WINDOW_BYTES: usize = 256 * 1024;
/// A record that the file is too short for is torn; a longer one is damage to its length.
const TORN_RECORD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A record of known kind whose CRC was not looked at yet.
#[derive(Debug)]
pub(crate) struct RawRecord {
    pub(crate) kind: Kind,
    pub(crate) crc: u32,
    pub(crate) payload: Bytes,
}

/// What is found at a position.
#[derive(Debug)]
pub(crate) enum Frame {
    /// A whole record.
    Record(RawRecord),
    /// A zero length, or the end of the file.
    End,
    /// No record.
    Bad(Bad),
}

/// A frame that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) what: &'static str,
    /// Whether a write that did not reach the disk in full looks like this.
    pub(crate) torn: bool,
}

/// A segment being read; forward, mostly.
#[derive(Debug)]
pub(crate) struct Frames {
    file: Box<dyn DiskFile>,
    len: u64,
    /// Where the next frame begins.
    offset: u64,
    /// Where the frame before it began.
    previous: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Frames {
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, WalError> {
        let file = disk.open(path, Open::Read).map_err(io_error("open", path))?;
        let len = file.len().map_err(io_error("read", path))?;
        Ok(Self { file, len, offset: 0, previous: 0, window: Vec::new(), window_at: 0 })
    }

    /// Where the next frame begins: behind the last record that was read.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the last frame that was read begins.
    pub(crate) fn previous(&self) -> u64 {
        self.previous
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Goes on reading elsewhere.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Reads the next frame and steps over it if it is a record.
    pub(crate) fn next(&mut self) -> io::Result<Frame> {
        let start = self.offset;
        let length = self.bytes(start, widen(LENGTH_BYTES))?;
        if length.is_empty() {
            return Ok(Frame::End);
        }
        let Ok(length) = <[u8; LENGTH_BYTES]>::try_from(length) else {
            return Ok(bad("its length field is cut off", true));
        };
        let length = u64::from_le_bytes(length);
        if length == 0 {
            return Ok(Frame::End);
        }
        let Some((record_len, padded_len)) = split_length(length) else {
            return Ok(bad("its length field is none", false));
        };
        let body_at = start + widen(LENGTH_BYTES);
        let available = self.len - body_at;
        if padded_len > available {
            let head = self.bytes(body_at, 512.min(available))?;
            let plausible = padded_len <= TORN_RECORD_BYTES_MAX
                && evidence::length_is_plausible(head, body_at, record_len);
            return Ok(bad("the file ends inside it", plausible));
        }
        let body = self.bytes(body_at, padded_len)?;
        let record = &body[..usize::try_from(record_len).map_err(io::Error::other)?];
        let Some(record) = decode(record) else {
            let torn = evidence::looks_torn(body, body_at, record_len);
            return Ok(bad("it is not a record", torn));
        };
        self.previous = start;
        self.offset = body_at + padded_len;
        Ok(Frame::Record(record))
    }

    /// Judges the record read last, whose CRC did not fit, and steps back to it.
    pub(crate) fn reject(&mut self) -> io::Result<Bad> {
        let body_at = self.previous + widen(LENGTH_BYTES);
        let padded_len = self.offset - body_at;
        self.offset = self.previous;
        let length = self.bytes(self.previous, widen(LENGTH_BYTES))?;
        let length = <[u8; LENGTH_BYTES]>::try_from(length).map_err(io::Error::other)?;
        let record_len = u64::from_le_bytes(length) & LENGTH_MASK;
        let body = self.bytes(body_at, padded_len)?;
        let torn = evidence::looks_torn(body, body_at, record_len);
        Ok(Bad { what: "its checksum does not match", torn })
    }

    /// Up to `count` bytes at `offset`; fewer only at the end of the file.
    pub(crate) fn bytes(&mut self, offset: u64, count: u64) -> io::Result<&[u8]> {
        let count = usize::try_from(count.min(self.len.saturating_sub(offset)))
            .map_err(io::Error::other)?;
        let window_end = self.window_at + widen(self.window.len());
        if offset < self.window_at || offset + widen(count) > window_end {
            let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(WINDOW_BYTES);
            self.window.resize(count.max(WINDOW_BYTES.min(left)), 0);
            let filled = self.file.read_at(&mut self.window, offset)?;
            self.window.truncate(filled);
            self.window_at = offset;
        }
        let start = usize::try_from(offset - self.window_at).map_err(io::Error::other)?;
        let end = (start + count).min(self.window.len());
        Ok(&self.window[start.min(end)..end])
    }

    /// Whether there is nothing but zeroes from `offset` on.
    pub(crate) fn is_zero_from(&mut self, offset: u64) -> io::Result<bool> {
        Ok(self.next_nonzero(offset)?.is_none())
    }

    /// Bytes from `offset` to the last one that is not zero, both included.
    pub(crate) fn nonzero_bytes_from(&mut self, offset: u64) -> io::Result<u64> {
        let (mut at, mut end) = (offset, offset);
        loop {
            let chunk = self.bytes(at, widen(WINDOW_BYTES))?;
            if chunk.is_empty() {
                return Ok(end - offset);
            }
            if let Some(position) = chunk.iter().rposition(|byte| *byte != 0) {
                end = at + widen(position) + 1;
            }
            at += widen(chunk.len());
        }
    }

    /// Position of the first byte that is not zero, from `offset` on.
    pub(crate) fn next_nonzero(&mut self, mut offset: u64) -> io::Result<Option<u64>> {
        loop {
            let chunk = self.bytes(offset, widen(WINDOW_BYTES))?;
            if chunk.is_empty() {
                return Ok(None);
            }
            if let Some(position) = chunk.iter().position(|byte| *byte != 0) {
                return Ok(Some(offset + widen(position)));
            }
            offset += widen(chunk.len());
        }
    }
}

fn bad(what: &'static str, torn: bool) -> Frame {
    Frame::Bad(Bad { what, torn })
}

/// Splits a length field into the lengths without and with padding, if it is one.
pub(crate) fn split_length(length: u64) -> Option<(u64, u64)> {
    let record = length & LENGTH_MASK;
    let mark = length >> 56;
    let padding = (8 - record % 8) % 8;
    let expected = if padding == 0 { 0 } else { 0x80 | padding };
    (record > 0 && mark == expected).then_some((record, record + padding))
}

/// A record whose fields are all there and of a known kind.
fn decode(record: &[u8]) -> Option<RawRecord> {
    let record = walpb::Record::decode(Bytes::copy_from_slice(record)).ok()?;
    Some(RawRecord {
        kind: Kind::from_number(record.r#type)?,
        crc: record.crc,
        payload: record.data.unwrap_or_default(),
    })
}
