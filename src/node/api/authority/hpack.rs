//! Finds the `:authority` in a block of compressed headers and mends it in place. Facts: RFC 7541,
//! sections 5 and 6 and the codes of appendix B.

/// Index of `:authority` in the table that all connections begin with.
const AUTHORITY: usize = 1;

/// Mends the `:authority`, if it stands in this block in full. Malformed blocks are left to whoever
/// decodes them.
pub(super) fn mend_authority(block: &mut [u8]) {
    let mut at = 0;
    while let Some(next) = mend_field(block, at) {
        at = next;
    }
}

/// Goes over one field; where the next begins.
fn mend_field(block: &mut [u8], at: usize) -> Option<usize> {
    let first = *block.get(at)?;
    if first & 0x80 != 0 {
        return integer(block, at, 7).map(|(_, next)| next);
    }
    if first & 0xe0 == 0x20 {
        // A new size of the table.
        return integer(block, at, 5).map(|(_, next)| next);
    }
    let bits = if first & 0x40 != 0 { 6 } else { 4 };
    let (index, mut next) = integer(block, at, bits)?;
    let mut is_authority = index == AUTHORITY;
    if index == 0 {
        let (name, end) = string(block, next)?;
        is_authority = block.get(name..end)? == b":authority";
        next = end;
    }
    let compressed = *block.get(next)? & 0x80 != 0;
    let (value, end) = string(block, next)?;
    if is_authority {
        mend(block.get_mut(value..end)?, compressed);
    }
    Some(end)
}

/// A number whose first `bits` stand at the end of the byte at `at`, and where it ends.
fn integer(block: &[u8], at: usize, bits: u32) -> Option<(usize, usize)> {
    let mask = (1_usize << bits) - 1;
    let prefix = usize::from(*block.get(at)?) & mask;
    let mut next = at + 1;
    if prefix < mask {
        return Some((prefix, next));
    }
    let mut number = prefix;
    // Four more bytes hold any length that fits into a frame.
    for shift in [0, 7, 14, 21] {
        let byte = *block.get(next)?;
        next += 1;
        number += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number, next));
        }
    }
    None
}

/// Begin and end of the bytes of the string whose length stands at `at`.
fn string(block: &[u8], at: usize) -> Option<(usize, usize)> {
    let (length, start) = integer(block, at, 7)?;
    let end = start.checked_add(length).filter(|end| *end <= block.len())?;
    Some((start, end))
}

/// Beginnings that are no part of an authority, and what they become.
const MENDED: [(&[u8], &[u8]); 2] = [(b"http://", b"httpx--"), (b"https://", b"httpsx--")];

fn mend(value: &mut [u8], compressed: bool) {
    for (wrong, right) in MENDED {
        if compressed {
            let (wrong, right) = (encode(wrong), encode(right));
            let start = leading_u64(value);
            if start & wrong.mask == wrong.code {
                let mended = start ^ wrong.code ^ right.code;
                for (byte, new) in value.iter_mut().zip(mended.to_be_bytes()) {
                    *byte = new;
                }
                return;
            }
        } else if let Some(start) = value.get_mut(..wrong.len())
            && start == wrong
        {
            start.copy_from_slice(right);
            return;
        }
    }
}

/// The first eight bytes; zeroes where there are fewer (no letter's code is all zeroes).
fn leading_u64(value: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (byte, from) in bytes.iter_mut().zip(value) {
        *byte = *from;
    }
    u64::from_be_bytes(bytes)
}

/// A text's code from the highest bit down, and ones where it has bits.
#[derive(Debug, Clone, Copy)]
struct Encoded {
    code: u64,
    mask: u64,
}

/// Codes and their lengths in bits, of the letters that [`MENDED`] needs. Each wrong letter has a
/// code as long as the right one's.
const CODES: [(u8, u64, u32); 8] = [
    (b'h', 0b10_0111, 6),
    (b't', 0b0_1001, 5),
    (b'p', 0b10_1011, 6),
    (b's', 0b0_1000, 5),
    (b':', 0b101_1100, 7),
    (b'x', 0b111_1001, 7),
    (b'/', 0b01_1000, 6),
    (b'-', 0b01_0110, 6),
];

fn encode(text: &[u8]) -> Encoded {
    let mut left = 64;
    let mut code = 0;
    for letter in text {
        let (_, bits, length) = CODES
            .into_iter()
            .find(|(known, ..)| known == letter)
            .expect("the table has every letter of MENDED: a test encodes them all");
        left -= length;
        code |= bits << left;
    }
    Encoded { code, mask: u64::MAX << left }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A whole value in compressed form, its last byte filled up with ones.
    pub(in crate::api::authority) fn compressed(text: &str) -> Vec<u8> {
        let digits = [(b'1', 0b0_0001, 5), (b'.', 0b01_0111, 6), (b'a', 0b0_0011, 5)];
        let mut bits = String::new();
        for letter in text.bytes() {
            let codes = CODES.into_iter().chain(digits);
            let (_, code, length) = codes.into_iter().find(|(known, ..)| *known == letter).unwrap();
            bits.push_str(&format!("{code:0width$b}", width = usize::try_from(length).unwrap()));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        let bytes = bits.as_bytes().chunks(8);
        bytes.map(|byte| u8::from_str_radix(str::from_utf8(byte).unwrap(), 2).unwrap()).collect()
    }

    fn mended(block: &[u8]) -> Vec<u8> {
        let mut block = block.to_vec();
        mend_authority(&mut block);
        block
    }

    fn literal(first: u8, value: &[u8]) -> Vec<u8> {
        [&[0x82, first, u8::try_from(value.len()).unwrap()], value].concat()
    }

    #[test]
    fn a_url_in_the_authority_is_mended_plain_and_compressed() {
        for (given, wanted) in [
            ("http://a:1", "httpx--a:1"),
            ("https://a.a:11", "httpsx--a.a:11"),
            ("http://", "httpx--"),
            ("a:1", "a:1"),
            ("httpx:", "httpx:"),
        ] {
            // With and without a place in the table, and by name.
            for first in [0x41, 0x01, 0x11] {
                let block = mended(&literal(first, given.as_bytes()));
                assert_eq!(block, literal(first, wanted.as_bytes()), "{given}");
            }
            let value = |text| {
                let value = compressed(text);
                let length = 0x80 | u8::try_from(value.len()).unwrap();
                [&[0x41, length][..], &value, &[0x86]].concat()
            };
            assert_eq!(mended(&value(given)), value(wanted), "{given}");
        }
        let named = |value: &[u8]| [&b"\x40\x0a:authority\x07"[..], value].concat();
        assert_eq!(mended(&named(b"http://")), named(b"httpx--"));
    }

    #[test]
    fn other_headers_stay_whatever_they_say() {
        for block in [
            literal(0x44, b"http://a:1"),
            [&b"\x00\x01a\x07http://"[..], &literal(0x45, b"https://a")].concat(),
        ] {
            assert_eq!(mended(&block), block);
        }
    }

    #[test]
    fn malformed_blocks_are_left_alone() {
        for block in [
            &[0x41][..],
            &[0x41, 0x05, b'h'],
            &[0x41, 0xff],
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x41, 0x7f, 0xff, 0xff, 0xff, 0x7f],
            &[0x00, 0x82],
        ] {
            assert_eq!(mended(block), block);
        }
    }

    #[test]
    fn a_block_after_a_table_size_and_long_values_is_found() {
        let long = vec![b'a'; 300];
        let head = [&[0x3f, 0xe1, 0x1f, 0x44, 0x7f, 0xad, 0x01][..], &long].concat();
        let block = [&head, &literal(0x41, b"http://a")[..]].concat();
        assert_eq!(mended(&block), [&head, &literal(0x41, b"httpx--a")[..]].concat());
    }
}
