//! Reads a log from segment to segment: checks the CRC chain and hands over decoded records.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use disk::Disk;
use prost::Message;
use wire::{raftpb, walpb};

use crate::{
    encode::Kind,
    error::{WalError, io_error},
    evidence,
    frames::{Bad, Frame, Frames, RawRecord},
    name::SegmentName,
};

/// A record with a meaning outside the log's own bookkeeping.
#[derive(Debug)]
pub(crate) enum Record {
    Entry(raftpb::Entry),
    State(raftpb::HardState),
    Mark(walpb::Snapshot),
}

/// How and where a log ends.
#[derive(Debug)]
pub(crate) struct LogEnd {
    /// Metadata as it stands in each segment.
    pub(crate) metadata: Bytes,
    /// Value of the CRC chain behind the last record.
    pub(crate) crc: u32,
    /// Where the last record of the last segment ends.
    pub(crate) offset: u64,
    /// Length of the last segment.
    pub(crate) len: u64,
    pub(crate) tail: Tail,
}

/// What lies behind the last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeroes.
    Zero,
    /// Remains of an unsynced write behind a zero length.
    Remains,
    /// A record whose write did not end.
    Torn,
}

/// Where and how to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    /// Segments in order; at least one.
    pub(crate) segments: &'a [SegmentName],
    /// Whether the writer synced as it should, so that lost records show.
    pub(crate) synced: bool,
}

/// Reads all records; an error text of `visit` becomes [`WalError::Corrupt`] at that record.
pub(crate) fn read(
    source: Source<'_>,
    visit: &mut dyn FnMut(Record) -> Result<(), String>,
) -> Result<LogEnd, WalError> {
    read_noting(source, &mut Vec::new(), visit)
}

/// How far a segment was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Records that passed their check.
    pub(crate) records: u64,
    /// Where the last of them ends.
    pub(crate) used_bytes: u64,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// Value of the CRC chain behind it.
    pub(crate) crc: u32,
}

/// As [`read`], noting how far each segment was read, also if reading fails.
pub(crate) fn read_noting(
    source: Source<'_>,
    progress: &mut Vec<Progress>,
    visit: &mut dyn FnMut(Record) -> Result<(), String>,
) -> Result<LogEnd, WalError> {
    let mut reader = Reader { source, crc: None, metadata: None, records: 0 };
    let mut end = None;
    for (position, name) in source.segments.iter().enumerate() {
        let mut segment = Segment::open(source, *name)?;
        reader.records = 0;
        let outcome = reader.read_segment(&mut segment, visit);
        progress.push(Progress {
            records: reader.records,
            used_bytes: segment.frames.offset(),
            bytes: segment.frames.len(),
            crc: reader.crc.unwrap_or_default(),
        });
        outcome?;
        if position + 1 < source.segments.len() {
            segment.check_whole()?;
        } else {
            end = Some((segment.tail(source.synced)?, segment));
        }
    }
    let (tail, segment) = end.ok_or_else(|| WalError::Missing { dir: source.dir.to_owned() })?;
    let offset = segment.frames.offset();
    let len = segment.frames.len();
    let (Some(crc), Some(metadata)) = (reader.crc, reader.metadata) else {
        return Err(segment.corrupt(offset, "it has no checksum record or no metadata"));
    };
    Ok(LogEnd { metadata, crc, offset, len, tail })
}

struct Reader<'a> {
    source: Source<'a>,
    /// `None` until the first segment said where the chain stands.
    crc: Option<u32>,
    metadata: Option<Bytes>,
    /// Of the segment being read, and belonging to the chain.
    records: u64,
}

/// A segment and why reading it stopped.
struct Segment {
    path: PathBuf,
    frames: Frames,
    bad: Option<Bad>,
}

impl Reader<'_> {
    fn read_segment(
        &mut self,
        segment: &mut Segment,
        visit: &mut dyn FnMut(Record) -> Result<(), String>,
    ) -> Result<(), WalError> {
        let mut headed = false;
        loop {
            let record = match segment.frames.next().map_err(io_error("read", &segment.path))? {
                Frame::Record(record) => record,
                Frame::End => break,
                Frame::Bad(bad) => {
                    segment.bad = Some(bad);
                    break;
                }
            };
            if !headed && record.kind != Kind::Crc {
                return Err(segment.corrupt(0, "it does not begin with a checksum record"));
            }
            headed = true;
            if !self.chain(&record, segment)? {
                let bad = segment.frames.reject().map_err(io_error("read", &segment.path))?;
                segment.bad = Some(bad);
                break;
            }
            self.records += 1;
            let at = segment.frames.previous();
            self.dispatch(record, visit).map_err(|what| segment.corrupt(at, what))?;
        }
        if !headed && segment.bad.is_none() {
            return Err(segment.corrupt(0, "it is empty"));
        }
        Ok(())
    }

    /// Whether the record belongs to the chain; if so it is now the chain's last.
    fn chain(&mut self, record: &RawRecord, segment: &Segment) -> Result<bool, WalError> {
        if record.kind == Kind::Crc {
            if self.crc.is_some_and(|crc| crc != record.crc) {
                let what = "its checksum does not continue that of the segment before";
                return Err(segment.corrupt(segment.frames.previous(), what));
            }
            self.crc = Some(record.crc);
            return Ok(true);
        }
        let crc = crc32c::crc32c_append(self.crc.unwrap_or_default(), &record.payload);
        if crc == record.crc {
            self.crc = Some(crc);
        }
        Ok(crc == record.crc)
    }

    fn dispatch(
        &mut self,
        record: RawRecord,
        visit: &mut dyn FnMut(Record) -> Result<(), String>,
    ) -> Result<(), String> {
        let what = |error: prost::DecodeError| format!("its payload does not decode: {error}");
        let payload = record.payload;
        match record.kind {
            Kind::Crc => Ok(()),
            Kind::Metadata => match &self.metadata {
                Some(before) if *before != payload => {
                    Err(format!("its metadata differs from that of {}", self.source.segments[0]))
                }
                Some(_) => Ok(()),
                None => {
                    self.metadata = Some(payload);
                    Ok(())
                }
            },
            Kind::Entry => visit(Record::Entry(Message::decode(payload).map_err(what)?)),
            Kind::State => visit(Record::State(Message::decode(payload).map_err(what)?)),
            Kind::Snapshot => visit(Record::Mark(Message::decode(payload).map_err(what)?)),
        }
    }
}

impl Segment {
    fn open(source: Source<'_>, name: SegmentName) -> Result<Self, WalError> {
        let path = source.dir.join(name.to_string());
        let frames = Frames::open(source.disk, &path)?;
        Ok(Self { path, frames, bad: None })
    }

    fn corrupt(&self, offset: u64, what: impl Into<String>) -> WalError {
        WalError::Corrupt { path: self.path.clone(), offset, what: what.into() }
    }

    /// A segment with another behind it was synced before that one was made. Whether records are
    /// missing at its end, the checksum record of the next one tells.
    fn check_whole(&self) -> Result<(), WalError> {
        match self.bad {
            Some(bad) => Err(self.corrupt(self.frames.offset(), bad.what)),
            None => Ok(()),
        }
    }

    /// Judges what is behind the last record of the last segment.
    fn tail(&mut self, synced: bool) -> Result<Tail, WalError> {
        let failed = |error| io_error("read", &self.path)(error);
        let offset = self.frames.offset();
        let tail = match self.bad {
            Some(bad) if !bad.torn => return Err(self.corrupt(offset, bad.what)),
            Some(_) => Tail::Torn,
            None if self.frames.is_zero_from(offset).map_err(failed)? => return Ok(Tail::Zero),
            None => Tail::Remains,
        };
        if synced {
            let later = evidence::written_later(&mut self.frames, offset).map_err(failed)?;
            self.frames.seek(offset);
            if let Some(later) = later {
                let what = format!(
                    "records are lost here: the one at {later} was written after they were synced"
                );
                return Err(self.corrupt(offset, what));
            }
        }
        Ok(tail)
    }
}
