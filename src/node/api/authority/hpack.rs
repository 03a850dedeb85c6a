//! HPACK (RFC 7541) as far as mending a request's head needs it: decoding with the dynamic table, and encoding each field
//! as a literal that enters no table. Our own, because of the crates there are, one indexes past the end of a truncated
//! block and the others build the Huffman tables anew for every string. [`super::mender`] is its only caller.

mod huffman;
mod table;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use thiserror::Error;

/// What the dynamic table may hold unless the server's SETTINGS say otherwise, and ours do not.
const TABLE_BYTES_MAX: usize = 4096;
/// What the table's size and the list's size count for a field beside its octets.
const FIELD_OVERHEAD_BYTES: usize = 32;
/// Largest list of fields that one block may unfold to; hyper takes 16 KiB.
const LIST_BYTES_MAX: usize = 64 * 1024;
/// Octets of an integer after its prefix; four keep it below 2^29.
const INTEGER_OCTETS_MAX: u32 = 4;

/// Why a block cannot be decoded. The connection is lost then: the tables of both sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum HpackError {
    /// The block ends within a field.
    #[error("the header block ends within a field")]
    Truncated,
    /// An integer of too many octets.
    #[error("an integer in the header block is too long")]
    IntegerTooLong,
    /// An index that neither table has.
    #[error("no header field has index {0}")]
    NoSuchIndex(usize),
    /// A bad fill, or the end-of-string mark within a string.
    #[error("a string in the header block is not in the Huffman code")]
    Huffman,
    /// A size update above the limit or behind a field.
    #[error("the header block may not resize the table so")]
    Resize,
    /// More fields than we take.
    #[error("the header block unfolds to more than {LIST_BYTES_MAX} bytes")]
    ListTooLarge,
}

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// In lower case, a pseudo header's with its colon.
    pub(super) name: Vec<u8>,
    /// Any octets.
    pub(super) value: Vec<u8>,
}

impl Field {
    fn bytes(&self) -> usize {
        self.name.len() + self.value.len() + FIELD_OVERHEAD_BYTES
    }

    /// Appends the field as a literal without indexing, its strings as they are.
    pub(super) fn encode(&self, block: &mut Vec<u8>) {
        block.push(0);
        for string in [&self.name, &self.value] {
            encode_length(string.len(), block);
            block.extend_from_slice(string);
        }
    }
}

/// A string's length with seven bits of prefix and the Huffman bit clear.
fn encode_length(length: usize, block: &mut Vec<u8>) {
    let Some(mut rest) = length.checked_sub(0x7f) else {
        block.push(low_bits(length));
        return;
    };
    block.push(0x7f);
    while rest > 0x7f {
        block.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    block.push(low_bits(rest));
}

fn low_bits(value: usize) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits fit an octet")
}

/// The receiving side of one connection's header compression.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Newest first.
    entries: VecDeque<Field>,
    /// Their size as RFC 7541 counts it.
    bytes: usize,
    /// What the other side last set, within [`TABLE_BYTES_MAX`].
    bytes_max: usize,
}

impl Decoder {
    /// The state at a connection's start.
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max: TABLE_BYTES_MAX }
    }

    /// The fields of one whole block, in order. After an error the decoder is of no more use.
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<Vec<Field>, HpackError> {
        let mut reader = Reader { rest: block };
        let mut fields = Vec::new();
        let mut list_bytes = 0;
        while let Some(&first) = reader.rest.first() {
            let field = match first {
                0x80.. => self.entry(reader.integer(7)?)?,
                0x40..=0x7f => {
                    let field = self.literal(&mut reader, 6)?;
                    self.insert(field.clone());
                    field
                }
                0x20..=0x3f => {
                    self.resize(reader.integer(5)?, fields.is_empty())?;
                    continue;
                }
                0x00..=0x1f => self.literal(&mut reader, 4)?,
            };
            list_bytes += field.bytes();
            if list_bytes > LIST_BYTES_MAX {
                return Err(HpackError::ListTooLarge);
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn literal(&self, reader: &mut Reader<'_>, prefix_bits: u32) -> Result<Field, HpackError> {
        let name = match reader.integer(prefix_bits)? {
            0 => reader.string()?,
            index => self.entry(index)?.name,
        };
        Ok(Field { name, value: reader.string()? })
    }

    fn entry(&self, index: usize) -> Result<Field, HpackError> {
        let place = index.checked_sub(1).ok_or(HpackError::NoSuchIndex(index))?;
        if let Some((name, value)) = table::STATIC.get(place) {
            return Ok(Field { name: name.to_vec(), value: value.to_vec() });
        }
        let entry = self.entries.get(place - table::STATIC.len());
        entry.cloned().ok_or(HpackError::NoSuchIndex(index))
    }

    /// A field larger than the whole table empties it (RFC 7541, 4.4).
    fn insert(&mut self, field: Field) {
        self.bytes += field.bytes();
        self.entries.push_front(field);
        self.evict();
    }

    fn resize(&mut self, bytes_max: usize, before_fields: bool) -> Result<(), HpackError> {
        if bytes_max > TABLE_BYTES_MAX || !before_fields {
            return Err(HpackError::Resize);
        }
        self.bytes_max = bytes_max;
        self.evict();
        Ok(())
    }

    fn evict(&mut self) {
        while self.bytes > self.bytes_max {
            let oldest = self.entries.pop_back().expect("an empty table has no bytes");
            self.bytes -= oldest.bytes();
        }
    }
}

/// What is left of a block.
#[derive(Debug)]
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn octet(&mut self) -> Result<u8, HpackError> {
        let (first, rest) = self.rest.split_first().ok_or(HpackError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn octets(&mut self, length: usize) -> Result<&'a [u8], HpackError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(HpackError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// RFC 7541, 5.1: the prefix' bits of the first octet, then seven bits an octet.
    fn integer(&mut self, prefix_bits: u32) -> Result<usize, HpackError> {
        let prefix_max = (1 << prefix_bits) - 1;
        let mut value = usize::from(self.octet()?) & prefix_max;
        if value < prefix_max {
            return Ok(value);
        }
        for place in 0..INTEGER_OCTETS_MAX {
            let octet = usize::from(self.octet()?);
            value += (octet & 0x7f) << (7 * place);
            if octet & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(HpackError::IntegerTooLong)
    }

    fn string(&mut self) -> Result<Vec<u8>, HpackError> {
        let coded = self.rest.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)?;
        let octets = self.octets(length)?;
        if coded { huffman::decode(octets) } else { Ok(octets.to_vec()) }
    }
}
