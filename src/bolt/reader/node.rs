//! One node of a tree: a page with its overflow, or the image of one inside a bucket's value.

use super::Stop;
use crate::format::{ELEMENT_BYTES, FLAG_BRANCH, FLAG_LEAF, HEADER_BYTES, u16_at, u32_at, u64_at};

/// A node's bytes; elements are checked as they are read.
pub(super) struct Node<'a> {
    bytes: &'a [u8],
    page: u64,
    is_leaf: bool,
    count: usize,
}

/// What stands behind an element's key.
pub(super) enum Content<'a> {
    /// The page of a child (in a branch).
    Child(u64),
    /// A value (in a leaf).
    Value {
        /// 1 if it is a bucket.
        flags: u32,
        value: &'a [u8],
    },
}

impl<'a> Node<'a> {
    /// Checks the header; `page` is 0 for a node inside a value.
    pub(super) fn parse(bytes: &'a [u8], page: u64) -> Result<Self, Stop> {
        let damaged = |what: &str| Stop::Damaged(format!("page {page}: {what}"));
        let fields = || Some((u64_at(bytes, 0)?, u16_at(bytes, 8)?, u16_at(bytes, 10)?));
        let (id, flags, count) = fields().ok_or_else(|| damaged("it has no header"))?;
        if id != page {
            return Err(damaged("it has another page's number"));
        }
        let is_leaf = match flags {
            FLAG_LEAF => true,
            FLAG_BRANCH if page != 0 => false,
            _ => return Err(damaged("it is neither branch nor leaf")),
        };
        let count = usize::from(count);
        if HEADER_BYTES + count * ELEMENT_BYTES > bytes.len() {
            return Err(damaged("it has more elements than room"));
        }
        Ok(Self { bytes, page, is_leaf, count })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The key and content of an element.
    pub(super) fn element(&self, position: usize) -> Result<(&'a [u8], Content<'a>), Stop> {
        let outside = || self.complain(position, "it reaches outside its page");
        let at = HEADER_BYTES + position * ELEMENT_BYTES;
        let number = |offset| u32_at(self.bytes, at + offset).ok_or_else(outside);
        let slice = |start: usize, length: u32| {
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            Some((self.bytes.get(start..end)?, end))
        };
        let (place, length) = if self.is_leaf { (4, 8) } else { (0, 4) };
        let start = usize::try_from(number(place)?)
            .ok()
            .and_then(|place| at.checked_add(place))
            .ok_or_else(outside)?;
        let (key, end) = slice(start, number(length)?).ok_or_else(outside)?;
        let content = if self.is_leaf {
            let (value, _) = slice(end, number(12)?).ok_or_else(outside)?;
            Content::Value { flags: number(0)?, value }
        } else {
            Content::Child(u64_at(self.bytes, at + 8).ok_or_else(outside)?)
        };
        Ok((key, content))
    }

    pub(super) fn complain(&self, position: usize, what: &str) -> Stop {
        Stop::Damaged(format!("element {position} of page {}: {what}", self.page))
    }
}
