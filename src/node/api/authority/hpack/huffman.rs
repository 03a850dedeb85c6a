//! HPACK's Huffman code (RFC 7541, appendix B), decoding only.
//! The code is canonical: codes of one length follow one another and the longer ones continue from them, so that the
//! number of codes of each length and the order of the symbols say everything.

use super::HpackError;

/// How many codes there are of each length in bits.
pub(super) const COUNTS: [usize; 31] = [
    0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19,
    29, 0, 4,
];
/// The symbols in the order of their codes; the one after the last is the end-of-string mark, which no string may hold.
pub(super) const SYMBOLS: [u8; 256] = [
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, 32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57,
    61, 65, 95, 98, 100, 102, 103, 104, 108, 109, 110, 112, 114, 117, 58, 66, 67, 68, 69, 70, 71,
    72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 89, 106, 107, 113, 118, 119,
    120, 121, 122, 38, 42, 44, 59, 88, 90, 33, 34, 40, 41, 63, 39, 43, 124, 35, 62, 0, 36, 64, 91,
    93, 126, 94, 125, 60, 96, 123, 92, 195, 208, 128, 130, 131, 162, 184, 194, 224, 226, 153, 161,
    167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154, 156,
    160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233, 1,
    135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174,
    175, 180, 182, 183, 188, 191, 197, 231, 239, 9, 142, 144, 145, 148, 159, 171, 206, 215, 225,
    236, 237, 199, 207, 234, 235, 192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242,
    243, 255, 203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252,
    253, 254, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 127, 220, 249, 10, 13, 22,
];
/// A string's last octet is filled with at most so many bits of the end-of-string mark, which are ones.
const FILL_BITS_MAX: usize = 7;

/// The octets that `coded` stands for.
pub(super) fn decode(coded: &[u8]) -> Result<Vec<u8>, HpackError> {
    let mut plain = Vec::with_capacity(coded.len() * 8 / 5);
    let mut walk = Walk::default();
    for octet in coded {
        for shift in (0..8).rev() {
            if let Some(place) = walk.step(usize::from(octet >> shift & 1)) {
                plain.push(*SYMBOLS.get(place).ok_or(HpackError::Huffman)?);
                walk = Walk::default();
            }
        }
    }
    let filled = walk.bits <= FILL_BITS_MAX && walk.all_ones();
    if filled { Ok(plain) } else { Err(HpackError::Huffman) }
}

/// The way down the code's tree since the last symbol.
#[derive(Debug, Default)]
struct Walk {
    /// Bits taken.
    bits: usize,
    /// Their value.
    code: usize,
    /// The least code of the length `bits` …
    first: usize,
    /// … and the place of its symbol.
    place: usize,
}

impl Walk {
    /// Takes a bit; gives the symbol's place once the code is complete, at 30 bits at the latest: the code has no gaps.
    fn step(&mut self, bit: usize) -> Option<usize> {
        let shorter = COUNTS[self.bits];
        self.place += shorter;
        self.first = (self.first + shorter) << 1;
        self.code = self.code << 1 | bit;
        self.bits += 1;
        let above = self.code.checked_sub(self.first)?;
        (above < COUNTS[self.bits]).then_some(self.place + above)
    }

    fn all_ones(&self) -> bool {
        self.code + 1 == 1 << self.bits
    }
}
