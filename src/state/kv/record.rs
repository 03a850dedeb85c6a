//! The value of a row: `mvccpb.KeyValue` exactly as Go encodes it, since hashes are taken over the bytes.

use bytes::Bytes;
use prost::{Message, encoding::decode_varint};
use wire::mvccpb::KeyValue;

/// Encodes once, into a buffer of exactly the right size. Zero fields are left out, in both languages.
pub(crate) fn encode(record: &KeyValue) -> Bytes {
    Bytes::from(record.encode_to_vec())
}

/// Decodes without copying: key and value are slices of `row`.
pub(crate) fn decode(row: Bytes) -> Option<KeyValue> {
    KeyValue::decode(row).ok()
}

/// What the index needs of a row, read without touching its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outline<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) created: i64,
    pub(crate) version: i64,
    pub(crate) lease: i64,
}

impl<'a> Outline<'a> {
    /// None if the bytes are no `KeyValue`.
    pub(crate) fn read(row: &'a [u8]) -> Option<Self> {
        let mut outline = Self::default();
        let mut rest = row;
        while !rest.is_empty() {
            let tag = decode_varint(&mut rest).ok()?;
            match (tag >> 3, tag & 7) {
                (field, 0) => {
                    let number = decode_varint(&mut rest).ok()?.cast_signed();
                    match field {
                        2 => outline.created = number,
                        4 => outline.version = number,
                        6 => outline.lease = number,
                        _ => {}
                    }
                }
                (field, 2) => {
                    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                    let (content, after) = rest.split_at_checked(length)?;
                    rest = after;
                    if field == 1 {
                        outline.key = content;
                    }
                }
                _ => return None,
            }
        }
        Some(outline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> KeyValue {
        KeyValue {
            key: Bytes::from_static(b"foo"),
            create_revision: 2,
            mod_revision: 300,
            version: 1,
            value: Bytes::from_static(b"bar"),
            lease: -1,
        }
    }

    #[test]
    fn bytes_equal_go_s() {
        let plain = KeyValue { mod_revision: 2, lease: 0, ..sample() };
        assert_eq!(encode(&plain), b"\x0a\x03foo\x10\x02\x18\x02\x20\x01\x2a\x03bar".as_slice());
        let tombstone = KeyValue { key: "foo".into(), ..KeyValue::default() };
        assert_eq!(encode(&tombstone), b"\x0a\x03foo".as_slice());
        assert_eq!(decode(encode(&sample())), Some(sample()));
    }

    #[test]
    fn an_outline_agrees_with_the_whole() {
        let row = encode(&sample());
        let expected = Outline { key: b"foo", created: 2, version: 1, lease: -1 };
        assert_eq!(Outline::read(&row), Some(expected));
        assert_eq!(Outline::read(&row[..row.len() - 1]), None);
        assert_eq!(Outline::read(b"\x0a\xff"), None);
    }
}
