//! Numbers of the file format: page headers, metas, checksum. All little-endian.

/// Page size of files written here, and of nearly all others.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Page sizes that a reader accepts: those of the machines etcd runs on.
pub(crate) const PAGE_BYTES_RANGE: std::ops::RangeInclusive<usize> = 1024..=65536;
/// Every page starts with its number (u64), flags (u16), count (u16) and overflow (u32).
pub(crate) const HEADER_BYTES: usize = 16;
/// Size of an element's fixed part, in branches and in leaves.
pub(crate) const ELEMENT_BYTES: usize = 16;
/// A bucket's value starts with its root page (u64) and a sequence number (u64).
pub(crate) const BUCKET_BYTES: usize = 16;
/// Longest key that bbolt takes.
pub(crate) const KEY_BYTES_MAX: usize = 32768;
/// Longest value that bbolt takes.
pub(crate) const VALUE_BYTES_MAX: usize = (1 << 31) - 2;

pub(crate) const FLAG_BRANCH: u16 = 1;
pub(crate) const FLAG_LEAF: u16 = 2;
pub(crate) const FLAG_META: u16 = 4;
pub(crate) const FLAG_FREELIST: u16 = 0x10;
/// Marks a leaf element whose value is a bucket.
pub(crate) const ELEMENT_BUCKET: u32 = 1;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// A meta: 56 bytes and their checksum.
pub(crate) const META_BYTES: usize = 64;
const META_CHECKED_BYTES: usize = 56;

/// One of the two roots of a file; the valid one with the larger transaction counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) page_bytes: usize,
    /// Page of the tree of buckets.
    pub(crate) root: u64,
    pub(crate) freelist: u64,
    /// First page never used.
    pub(crate) high_water: u64,
    pub(crate) transaction: u64,
}

impl Meta {
    /// Reads a meta (without its page's header), if it is whole and of a known version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < META_BYTES
            || u32_at(bytes, 0)? != MAGIC
            || u32_at(bytes, 4)? != VERSION
            || u64_at(bytes, META_CHECKED_BYTES)? != fnv1a(&bytes[..META_CHECKED_BYTES])
        {
            return None;
        }
        let page_bytes = usize::try_from(u32_at(bytes, 8)?).ok()?;
        let valid = page_bytes.is_power_of_two() && PAGE_BYTES_RANGE.contains(&page_bytes);
        valid.then_some(Self {
            page_bytes,
            root: u64_at(bytes, 16)?,
            freelist: u64_at(bytes, 32)?,
            high_water: u64_at(bytes, 40)?,
            transaction: u64_at(bytes, 48)?,
        })
    }

    /// A whole meta page.
    pub(crate) fn encode_page(&self) -> Vec<u8> {
        let mut page = header(self.transaction % 2, FLAG_META, 0, 0);
        let start = page.len();
        page.extend_from_slice(&MAGIC.to_le_bytes());
        page.extend_from_slice(&VERSION.to_le_bytes());
        let page_bytes = u32::try_from(self.page_bytes).expect("a page size is at most 64 KiB");
        page.extend_from_slice(&page_bytes.to_le_bytes());
        page.extend_from_slice(&0u32.to_le_bytes());
        for number in [self.root, 0, self.freelist, self.high_water, self.transaction] {
            page.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = fnv1a(&page[start..]);
        page.extend_from_slice(&checksum.to_le_bytes());
        page.resize(self.page_bytes, 0);
        page
    }
}

/// A page's header.
pub(crate) fn header(page: u64, flags: u16, count: u16, overflow: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PAGE_BYTES);
    bytes.extend_from_slice(&page.to_le_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&overflow.to_le_bytes());
    bytes
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
