//! Notes on one file's content: for each write or new length, what was there before. A note is a
//! header (where its first record lies, up to where they are settled, where they end) and records.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
};

use rand::{Rng, RngExt};

const SECTOR_BYTES: u64 = 512;
const HEADER_BYTES: u64 = 24;
const RECORD_HEAD_BYTES: usize = 40;

/// Positions count all bytes of records that were ever noted, so that they stay true when settled
/// ones are dropped.
#[derive(Debug, Clone, Copy, Default)]
struct Header {
    first: u64,
    settled: u64,
    end: u64,
}

/// What was done, and what was there before.
#[derive(Debug)]
struct Record {
    kind: Kind,
    len_before: u64,
    /// The bytes it took the place of.
    before: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Write { offset: u64, bytes: u64 },
    SetLen(u64),
}

/// A change that may come back after a cut.
#[derive(Debug)]
enum Redo {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).expect("lengths fit in 64 bits")
}

fn to_usize(len: u64) -> usize {
    usize::try_from(len).expect("a length in memory")
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl Header {
    fn read(note: &File) -> io::Result<Self> {
        let mut bytes = [0; 24];
        match note.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Self::default()),
            read => read?,
        }
        Ok(Self { first: number(&bytes, 0), settled: number(&bytes, 8), end: number(&bytes, 16) })
    }

    fn write(self, note: &File) -> io::Result<()> {
        let words = [self.first, self.settled, self.end].map(u64::to_le_bytes);
        note.write_all_at(&words.concat(), 0)
    }
}

/// Before a write of `bytes` at `offset`.
pub(crate) fn note_write(note: &Path, file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    let len_before = file.metadata()?.len();
    let before = read(file, offset, bytes)?;
    append(note, &Record { kind: Kind::Write { offset, bytes }, len_before, before })
}

/// Before the length is set.
pub(crate) fn note_len(note: &Path, file: &File, bytes: u64) -> io::Result<()> {
    let len_before = file.metadata()?.len();
    let before = read(file, bytes, len_before.saturating_sub(bytes))?;
    append(note, &Record { kind: Kind::SetLen(bytes), len_before, before })
}

/// Up to `bytes` at `offset`, as far as there are any.
fn read(file: &File, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let there = file.metadata()?.len().saturating_sub(offset).min(bytes);
    let mut content = vec![0; to_usize(there)];
    file.read_exact_at(&mut content, offset)?;
    Ok(content)
}

/// The record counts once the header says so: a process may be killed anywhere in here.
fn append(note: &Path, record: &Record) -> io::Result<()> {
    let note = File::options().read(true).write(true).create(true).truncate(false).open(note)?;
    let mut header = Header::read(&note)?;
    let bytes = record.encode();
    note.write_all_at(&bytes, HEADER_BYTES + header.end - header.first)?;
    header.end += to_u64(bytes.len());
    header.write(&note)
}

/// Where the records end now.
pub(crate) fn end(note: &Path) -> io::Result<u64> {
    match File::open(note) {
        Ok(note) => Ok(Header::read(&note)?.end),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// What was noted before `position` is durable.
pub(crate) fn settle(note: &Path, position: u64) -> io::Result<()> {
    let note = match File::options().read(true).write(true).open(note) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut header = Header::read(&note)?;
    header.settled = header.settled.max(position);
    if header.settled == header.end {
        header.first = header.end;
        header.write(&note)?;
        return note.set_len(HEADER_BYTES);
    }
    header.write(&note)
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let (kind, offset, bytes) = match self.kind {
            Kind::Write { offset, bytes } => (0, offset, bytes),
            Kind::SetLen(len) => (1, len, 0),
        };
        let head = [kind, offset, bytes, self.len_before, to_u64(self.before.len())];
        let mut encoded = head.map(u64::to_le_bytes).concat();
        encoded.extend_from_slice(&self.before);
        encoded
    }

    /// Decodes the first record, and how long it is.
    fn decode(bytes: &[u8]) -> (Self, usize) {
        let offset = number(bytes, 8);
        let kind = match number(bytes, 0) {
            0 => Kind::Write { offset, bytes: number(bytes, 16) },
            _ => Kind::SetLen(offset),
        };
        let end = RECORD_HEAD_BYTES + to_usize(number(bytes, 32));
        let before = bytes[RECORD_HEAD_BYTES..end].to_vec();
        (Self { kind, len_before: number(bytes, 24), before }, end)
    }

    /// Undoes the change; what it had brought is returned.
    fn undo(&self, file: &File) -> io::Result<Redo> {
        let redo = match self.kind {
            Kind::Write { offset, bytes } => {
                let redo = Redo::Write { offset, bytes: read(file, offset, bytes)? };
                file.write_all_at(&self.before, offset)?;
                redo
            }
            Kind::SetLen(len) => {
                file.write_all_at(&self.before, len)?;
                Redo::SetLen(len)
            }
        };
        file.set_len(self.len_before)?;
        Ok(redo)
    }
}

/// Undoes what was not settled, and lets a random part come back: each sector with the
/// probability `keep`; lengths up to some change. Returns sectors at stake, and sectors lost.
pub(crate) fn lose(
    note: &Path,
    file: &File,
    keep: f64,
    random: &mut impl Rng,
) -> io::Result<(u64, u64)> {
    let records = records(note)?;
    let mut redos =
        records.iter().rev().map(|record| record.undo(file)).collect::<io::Result<Vec<_>>>()?;
    redos.reverse();
    let lengths_kept = match keep {
        0.0 => 0,
        _ => random.random_range(0..=redos.len()),
    };
    let mut len = file.metadata()?.len();
    let (mut at_stake, mut lost) = (0, 0);
    for (position, redo) in redos.into_iter().enumerate() {
        let len_kept = position < lengths_kept;
        match redo {
            Redo::Write { offset, bytes } => {
                for (start, sector) in sectors(offset, &bytes) {
                    at_stake += 1;
                    if random.random_bool(keep) {
                        file.write_all_at(sector, start)?;
                    } else {
                        lost += 1;
                    }
                }
                if len_kept {
                    len = len.max(offset + to_u64(bytes.len()));
                }
            }
            Redo::SetLen(bytes) if len_kept => {
                file.set_len(bytes)?;
                len = bytes;
            }
            Redo::SetLen(_) => {}
        }
    }
    file.set_len(len)?;
    Ok((at_stake, lost))
}

/// The records that are not settled.
fn records(note: &Path) -> io::Result<Vec<Record>> {
    let bytes = fs::read(note)?;
    let header = Header::read(&File::open(note)?)?;
    let place = |position| to_usize(HEADER_BYTES + position - header.first);
    let mut records = Vec::new();
    if header.end == header.first {
        return Ok(records);
    }
    let mut rest = &bytes[place(header.settled.max(header.first))..place(header.end)];
    while !rest.is_empty() {
        let (record, len) = Record::decode(rest);
        records.push(record);
        rest = &rest[len..];
    }
    Ok(records)
}

/// Cuts a write at the disk's sector borders.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let first = to_usize(SECTOR_BYTES - offset % SECTOR_BYTES).min(bytes.len());
    let (head, rest) = bytes.split_at(first);
    let behind = offset + to_u64(first);
    let tail = rest
        .chunks(to_usize(SECTOR_BYTES))
        .zip(0_u64..)
        .map(move |(sector, number)| (behind + number * SECTOR_BYTES, sector));
    std::iter::once((offset, head)).filter(|(_, head)| !head.is_empty()).chain(tail)
}
