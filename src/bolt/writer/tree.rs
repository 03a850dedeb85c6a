//! A tree that grows at its right edge only: full nodes leave for the file, their first keys rise.

use std::io;

use super::pages::Pages;
use crate::format::{ELEMENT_BYTES, FLAG_BRANCH, FLAG_LEAF, HEADER_BYTES, PAGE_BYTES, header};

/// bbolt never makes a node of fewer, save a root.
const ELEMENTS_MIN: usize = 2;
/// Keeps the count of a node, which is 16 bits wide, clear of 0xFFFF (bbolt's mark for "more").
const ELEMENTS_MAX: usize = 0xFFF0;

/// The levels of a tree, leaves first.
#[derive(Debug)]
pub(super) struct Tree {
    levels: Vec<Level>,
    /// Flags of each leaf element.
    flags: u32,
    last_key: Option<Vec<u8>>,
}

/// The right edge of one level.
#[derive(Debug, Default)]
struct Level {
    /// A full node, held back until the next has enough elements to stand alone.
    full: Option<Node>,
    /// The node being filled.
    open: Node,
}

#[derive(Debug, Default)]
struct Node {
    elements: Vec<Element>,
    bytes: usize,
}

#[derive(Debug)]
struct Element {
    key: Vec<u8>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Value(Vec<u8>),
    Child(u64),
}

impl Tree {
    pub(super) fn new(flags: u32) -> Self {
        Self { levels: vec![Level::default()], flags, last_key: None }
    }

    /// Whether a key may come next.
    pub(super) fn takes(&self, key: &[u8]) -> bool {
        self.last_key.as_deref().is_none_or(|last| last < key)
    }

    /// Appends a row, whose key the tree must take.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8], pages: &mut Pages) -> io::Result<()> {
        let last_key = self.last_key.get_or_insert_default();
        last_key.clear();
        last_key.extend_from_slice(key);
        let content = Content::Value(value.to_vec());
        self.append(0, Element { key: key.to_vec(), content }, pages)
    }

    /// The whole tree as one leaf inside its parent's value, if that has at most `bytes_max`.
    pub(super) fn image(&self, bytes_max: usize) -> Option<Vec<u8>> {
        let [Level { full: None, open }] = self.levels.as_slice() else { return None };
        if HEADER_BYTES + open.bytes > bytes_max {
            return None;
        }
        let (flags, count, body) = open.encode(0, self.flags);
        let mut image = header(0, flags, count, 0);
        image.extend_from_slice(&body);
        Some(image)
    }

    /// Writes what is left; returns the root's page.
    pub(super) fn finish(mut self, pages: &mut Pages) -> io::Result<u64> {
        let mut level = 0;
        loop {
            let Level { full, mut open } = std::mem::take(&mut self.levels[level]);
            if let Some(mut full) = full {
                while open.elements.len() < ELEMENTS_MIN && full.elements.len() > ELEMENTS_MIN {
                    open.take_last_of(&mut full);
                }
                self.write(level, &full, pages)?;
            }
            if level + 1 == self.levels.len() {
                let (flags, count, body) = open.encode(level, self.flags);
                return pages.write_node(flags, count, body);
            }
            self.write(level, &open, pages)?;
            level += 1;
        }
    }

    fn append(&mut self, level: usize, element: Element, pages: &mut Pages) -> io::Result<()> {
        if level == self.levels.len() {
            self.levels.push(Level::default());
        }
        let edge = &mut self.levels[level];
        let mut done = None;
        if edge.open.is_full_for(&element) {
            done = edge.full.replace(std::mem::take(&mut edge.open));
        }
        edge.open.push(element);
        match done {
            Some(node) => self.write(level, &node, pages),
            None => Ok(()),
        }
    }

    /// Writes a node that is not the root, and tells the level above.
    fn write(&mut self, level: usize, node: &Node, pages: &mut Pages) -> io::Result<()> {
        let (flags, count, body) = node.encode(level, self.flags);
        let page = pages.write_node(flags, count, body)?;
        let Some(first) = node.elements.first() else { return Ok(()) };
        let parent = Element { key: first.key.clone(), content: Content::Child(page) };
        self.append(level + 1, parent, pages)
    }
}

impl Node {
    fn is_full_for(&self, element: &Element) -> bool {
        let count = self.elements.len();
        count >= ELEMENTS_MIN
            && (count >= ELEMENTS_MAX || HEADER_BYTES + self.bytes + element.bytes() > PAGE_BYTES)
    }

    fn push(&mut self, element: Element) {
        self.bytes += element.bytes();
        self.elements.push(element);
    }

    /// Moves the last element of the left neighbour to the front.
    fn take_last_of(&mut self, left: &mut Self) {
        if let Some(element) = left.elements.pop() {
            left.bytes -= element.bytes();
            self.bytes += element.bytes();
            self.elements.insert(0, element);
        }
    }

    /// Flags, count and what follows the header. Places are relative to each element's own.
    fn encode(&self, level: usize, value_flags: u32) -> (u16, u16, Vec<u8>) {
        let count = self.elements.len();
        let mut fixed = Vec::with_capacity(self.bytes);
        let mut bodies = Vec::with_capacity(self.bytes - count * ELEMENT_BYTES);
        for (position, Element { key, content }) in self.elements.iter().enumerate() {
            let place = number((count - position) * ELEMENT_BYTES + bodies.len());
            bodies.extend_from_slice(key);
            match content {
                Content::Value(value) => {
                    for field in [value_flags, place, number(key.len()), number(value.len())] {
                        fixed.extend_from_slice(&field.to_le_bytes());
                    }
                    bodies.extend_from_slice(value);
                }
                Content::Child(page) => {
                    for field in [place, number(key.len())] {
                        fixed.extend_from_slice(&field.to_le_bytes());
                    }
                    fixed.extend_from_slice(&page.to_le_bytes());
                }
            }
        }
        fixed.extend_from_slice(&bodies);
        let flags = if level == 0 { FLAG_LEAF } else { FLAG_BRANCH };
        (flags, u16::try_from(count).expect("a node has at most ELEMENTS_MAX elements"), fixed)
    }
}

impl Element {
    fn bytes(&self) -> usize {
        let value = match &self.content {
            Content::Value(value) => value.len(),
            Content::Child(_) => 0,
        };
        ELEMENT_BYTES + self.key.len() + value
    }
}

/// A place or length as the format has it.
fn number(value: usize) -> u32 {
    u32::try_from(value).expect("two values of at most 2 GiB fit in 32 bits")
}
