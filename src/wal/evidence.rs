//! Tells a torn tail from other damage, in the last segment.
//!
//! A crash loses sectors of the last write only: everything before was synced. The disk writes
//! sectors of 512 bytes whole or not at all, and the segment was zero before. So a torn record has
//! its length, and a sector of zeroes; and no record can follow it that was written after the next
//! sync. Whatever else is found was acknowledged once, and must not be cut off in silence.

use std::io;

use crate::{
    encode::{Kind, widen},
    frames::{Frame, Frames, RawRecord, split_length},
};

const SECTOR_BYTES: u64 = 512;

/// Whether a record that does not decode may be one whose write did not end.
pub(crate) fn looks_torn(body: &[u8], body_at: u64, record_len: u64) -> bool {
    length_is_plausible(body, body_at, record_len)
        && sectors(body, body_at).any(|sector| sector.iter().all(|byte| *byte == 0))
}

/// Whether the length in the frame agrees with the length inside the record. Says yes if that
/// cannot be seen for certain: only the sector that holds the frame's length surely arrived.
pub(crate) fn length_is_plausible(body: &[u8], body_at: u64, record_len: u64) -> bool {
    let first = sectors(body, body_at).next().unwrap_or_default();
    inner_length(first).is_none_or(|inner| inner == record_len)
}

/// The length of a whole record as told by the length of its payload.
fn inner_length(record: &[u8]) -> Option<u64> {
    let rest = record.strip_prefix(&[0x08])?;
    let (_, rest) = varint(rest)?;
    let (_, rest) = varint(rest.strip_prefix(&[0x10])?)?;
    let (payload_len, rest) = varint(rest.strip_prefix(&[0x1a])?)?;
    widen(record.len() - rest.len()).checked_add(payload_len)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = bytes;
    let value = prost::encoding::decode_varint(&mut rest).ok()?;
    Some((value, rest))
}

fn sectors(bytes: &[u8], offset: u64) -> impl Iterator<Item = &[u8]> {
    let first = usize::try_from(SECTOR_BYTES - offset % SECTOR_BYTES).unwrap_or(bytes.len());
    let (head, rest) = bytes.split_at(first.min(bytes.len()));
    let whole = usize::try_from(SECTOR_BYTES).unwrap_or(usize::MAX);
    std::iter::once(head).filter(|head| !head.is_empty()).chain(rest.chunks(whole))
}

/// Where a record lies that was written after a sync of what is missing at `offset`: the proof
/// that acknowledged records are lost. One write holds states, then entries, then a state.
pub(crate) fn written_later(frames: &mut Frames, offset: u64) -> io::Result<Option<u64>> {
    let mut order = WriteOrder::default();
    let mut last: Option<RawRecord> = None;
    let mut at = offset + 8;
    loop {
        // Frames begin at multiples of 8; a whole page of zeroes is stepped over at once.
        let Some(nonzero) = frames.next_nonzero(at)? else { return Ok(None) };
        at = nonzero - nonzero % 8;
        let Some(record) = plausible_record(frames, at)? else {
            last = None;
            at += 8;
            continue;
        };
        let chained = last.as_ref().is_some_and(|before| follows(&record, before));
        // A lone record may be the payload of another that looks like one: pairs count.
        if chained {
            let before = last.as_ref().map_or(record.kind, |before| before.kind);
            if order.contradicted_by(before) || order.contradicted_by(record.kind) {
                return Ok(Some(at));
            }
        }
        at = frames.offset();
        last = Some(record);
    }
}

fn plausible_record(frames: &mut Frames, at: u64) -> io::Result<Option<RawRecord>> {
    let length = frames.bytes(at, 8)?;
    let Ok(length) = <[u8; 8]>::try_from(length) else { return Ok(None) };
    let Some((_, padded_len)) = split_length(u64::from_le_bytes(length)) else {
        return Ok(None);
    };
    if padded_len > frames.len() - at - 8 || frames.bytes(at + 8, 1)? != [0x08] {
        return Ok(None);
    }
    frames.seek(at);
    match frames.next()? {
        Frame::Record(record) => Ok(Some(record)),
        Frame::End | Frame::Bad(_) => Ok(None),
    }
}

fn follows(record: &RawRecord, before: &RawRecord) -> bool {
    record.kind != Kind::Crc && crc32c::crc32c_append(before.crc, &record.payload) == record.crc
}

/// Watches for an order of records that one unsynced write cannot have.
#[derive(Debug, Default)]
struct WriteOrder {
    entry_seen: bool,
    state_after_entry: bool,
}

impl WriteOrder {
    fn contradicted_by(&mut self, kind: Kind) -> bool {
        match kind {
            Kind::Entry => {
                self.entry_seen = true;
                self.state_after_entry
            }
            Kind::State => {
                self.state_after_entry = self.entry_seen;
                false
            }
            // A mark is synced alone; what came before it in its write are states.
            Kind::Snapshot => self.entry_seen,
            Kind::Metadata | Kind::Crc => true,
        }
    }
}
