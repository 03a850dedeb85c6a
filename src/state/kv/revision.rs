//! A position in the key space's history, and its form as a row key of the `key` bucket. Facts: surface F.5.

/// Length of a row key without the tombstone's mark.
pub(crate) const REVISION_BYTES: usize = 17;

/// The `main`-th write, its `sub`-th change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Rev {
    pub(crate) main: i64,
    pub(crate) sub: i64,
}

impl Rev {
    pub(crate) const fn new(main: i64, sub: i64) -> Self {
        Self { main, sub }
    }

    /// `main` and `sub` big-endian with `_` between: byte order is revision order.
    pub(crate) fn encode(self) -> [u8; REVISION_BYTES] {
        let mut bytes = [b'_'; REVISION_BYTES];
        bytes[..8].copy_from_slice(&self.main.to_be_bytes());
        bytes[9..].copy_from_slice(&self.sub.to_be_bytes());
        bytes
    }

    /// A deletion's row key: the revision and a mark.
    pub(crate) fn encode_tombstone(self) -> [u8; REVISION_BYTES + 1] {
        let mut bytes = [b't'; REVISION_BYTES + 1];
        bytes[..REVISION_BYTES].copy_from_slice(&self.encode());
        bytes
    }

    /// Reads a row key; the flag says whether it is a deletion's.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, bool)> {
        let tombstone = match bytes.len() {
            REVISION_BYTES => false,
            18 if bytes[REVISION_BYTES] == b't' => true,
            _ => return None,
        };
        if bytes[8] != b'_' {
            return None;
        }
        let main = i64::from_be_bytes(bytes[..8].try_into().ok()?);
        let sub = i64::from_be_bytes(bytes[9..REVISION_BYTES].try_into().ok()?);
        (main >= 0 && sub >= 0).then_some((Self { main, sub }, tombstone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_keys_are_etcds() {
        let rev = Rev::new(2, 1);
        assert_eq!(rev.encode(), *b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\x01");
        assert_eq!(rev.encode_tombstone(), *b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\x01t");
        assert_eq!(Rev::decode(&rev.encode()), Some((rev, false)));
        assert_eq!(Rev::decode(&rev.encode_tombstone()), Some((rev, true)));
        assert_eq!(Rev::decode(b"short"), None);
        assert_eq!(Rev::decode(&[0xff; 17]), None);
    }

    #[test]
    fn byte_order_is_revision_order() {
        let low = Rev::new(1, 300);
        let high = Rev::new(256, 0);
        assert!(low < high && low.encode() < high.encode());
        assert!(low.encode().as_slice() < low.encode_tombstone().as_slice());
        assert!(low.encode_tombstone().as_slice() < Rev::new(1, 301).encode().as_slice());
    }
}
