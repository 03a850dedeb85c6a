//! Reads a bbolt file in key order, checking all it walks over. Hostile content ends in an error,
//! never in a panic, an endless walk or an allocation larger than the file.

mod node;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use disk::{Disk, DiskFile, Open};

use self::node::{Content, Node};
use crate::{
    BoltError,
    format::{BUCKET_BYTES, ELEMENT_BUCKET, HEADER_BYTES, META_BYTES, Meta, u32_at, u64_at},
    format::{PAGE_BYTES, PAGE_BYTES_RANGE},
};

/// Deepest tree that is walked. A tree of etcd's has four levels at some 10^9 keys.
const DEPTH_MAX: usize = 32;

/// An open bbolt file. It must not be written to by another meanwhile.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    meta: Meta,
}

/// Sees a row; `Break` ends the walk.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Sees bucket, key and value of a row; `Break` ends the walk.
pub type VisitAll<'a> = dyn FnMut(&[u8], &[u8], &[u8]) -> ControlFlow<()> + 'a;

/// How a walk goes on: errors are strings until the path is added at the edge.
type Walk = Result<ControlFlow<()>, Stop>;

/// Why a walk cannot go on.
#[derive(Debug)]
enum Stop {
    Read(std::io::Error),
    Damaged(String),
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

impl Reader {
    /// Opens a file and picks its newest valid root. Bytes after the last page (as the checksum
    /// that etcdctl appends to snapshots) are ignored.
    ///
    /// # Errors
    /// `Read`, `Damaged`.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, BoltError> {
        let unreadable = |source| BoltError::Read { path: path.to_owned(), source };
        let file = disk.open(path, Open::Read).map_err(unreadable)?;
        let bytes = file.len().map_err(unreadable)?;
        let meta = newest_meta(&*file).map_err(unreadable)?.ok_or_else(|| BoltError::Damaged {
            path: path.to_owned(),
            what: "neither of the two metas is valid".to_owned(),
        })?;
        let pages = bytes / u64::try_from(meta.page_bytes).unwrap_or(u64::MAX);
        if meta.high_water > pages {
            let what = format!("cut short: {} pages are used, {pages} are there", meta.high_water);
            return Err(BoltError::Damaged { path: path.to_owned(), what });
        }
        Ok(Self { path: path.to_owned(), file, meta })
    }

    /// The names of all buckets, ascending.
    ///
    /// # Errors
    /// `Read`, `Damaged`.
    pub fn buckets(&self) -> Result<Vec<Vec<u8>>, BoltError> {
        let mut names = Vec::new();
        let walk = self.walk_root(&mut |name, _| {
            names.push(name.to_vec());
            Ok(ControlFlow::Continue(()))
        });
        self.outcome(walk)?;
        Ok(names)
    }

    /// Visits the rows of a bucket in key order; returns whether the bucket exists.
    ///
    /// # Errors
    /// `Read`, `Damaged`; rows visited before are then not to be trusted either.
    pub fn scan(&self, bucket: &[u8], visit: &mut Visit<'_>) -> Result<bool, BoltError> {
        let mut found = false;
        let walk = self.walk_root(&mut |name, value| {
            if name < bucket {
                return Ok(ControlFlow::Continue(()));
            }
            if name == bucket {
                found = true;
                self.walk_bucket(value, visit)?.is_break();
            }
            Ok(ControlFlow::Break(()))
        });
        self.outcome(walk)?;
        Ok(found)
    }

    /// Visits all rows of all buckets: bucket by bucket, in key order.
    ///
    /// # Errors
    /// `Read`, `Damaged`.
    pub fn scan_all(&self, visit: &mut VisitAll<'_>) -> Result<(), BoltError> {
        let walk = self.walk_root(&mut |name, value| {
            self.walk_bucket(value, &mut |key, value| visit(name, key, value))
        });
        self.outcome(walk)
    }

    fn outcome(&self, walk: Walk) -> Result<(), BoltError> {
        let path = self.path.clone();
        match walk {
            Ok(_) => Ok(()),
            Err(Stop::Read(source)) => Err(BoltError::Read { path, source }),
            Err(Stop::Damaged(what)) => Err(BoltError::Damaged { path, what }),
        }
    }

    /// Visits name and value of each bucket.
    fn walk_root(&self, visit: &mut dyn FnMut(&[u8], &[u8]) -> Walk) -> Walk {
        let mut tree = Tree { reader: self, last: None, visit, holds_buckets: true };
        tree.walk_page(self.meta.root, &[], 0)
    }

    /// Visits the rows of the bucket with that value.
    fn walk_bucket(&self, value: &[u8], visit: &mut Visit<'_>) -> Walk {
        let root = u64_at(value, 0).ok_or_else(|| "a bucket's value is too short".to_owned())?;
        let mut visit = |key: &[u8], value: &[u8]| Ok(visit(key, value));
        let mut tree = Tree { reader: self, last: None, visit: &mut visit, holds_buckets: false };
        if root != 0 {
            return tree.walk_page(root, &[], 0);
        }
        let inline = value.get(BUCKET_BYTES..).unwrap_or_default();
        let node = Node::parse(inline, 0)?;
        tree.walk_node(&node, &[], 0)
    }

    /// Reads a page with its overflow.
    fn read_page(&self, page: u64) -> Result<Vec<u8>, Stop> {
        if page < 2 || page >= self.meta.high_water {
            return Err(format!("page {page} is outside the file").into());
        }
        let mut start = [0; HEADER_BYTES];
        self.read_exact(page, &mut start)?;
        let overflow = u64::from(u32_at(&start, 12).unwrap_or_default());
        if page + overflow >= self.meta.high_water {
            return Err(format!("page {page} reaches beyond the file").into());
        }
        let pages = usize::try_from(overflow + 1).unwrap_or(usize::MAX);
        let mut bytes = vec![0; pages.saturating_mul(self.meta.page_bytes)];
        self.read_exact(page, &mut bytes)?;
        Ok(bytes)
    }

    fn read_exact(&self, page: u64, buffer: &mut [u8]) -> Result<(), Stop> {
        let page_bytes = u64::try_from(self.meta.page_bytes).unwrap_or(u64::MAX);
        let count =
            self.file.read_at(buffer, page.saturating_mul(page_bytes)).map_err(Stop::Read)?;
        if count < buffer.len() {
            return Err(format!("the file ends within page {page}").into());
        }
        Ok(())
    }
}

/// One walk through one tree.
struct Tree<'a> {
    reader: &'a Reader,
    /// The key visited last. Keys must ascend over the whole tree: so no page is met twice.
    last: Option<Vec<u8>>,
    visit: &'a mut dyn FnMut(&[u8], &[u8]) -> Walk,
    holds_buckets: bool,
}

impl Tree<'_> {
    /// Walks a page whose keys must not be below `floor`.
    fn walk_page(&mut self, page: u64, floor: &[u8], depth: usize) -> Walk {
        if depth >= DEPTH_MAX {
            return Err(format!("page {page} lies deeper than {DEPTH_MAX} levels").into());
        }
        let bytes = self.reader.read_page(page)?;
        let node = Node::parse(&bytes, page)?;
        // Empty nodes below the root would allow endless walks without a key.
        if depth > 0 && node.count() == 0 {
            return Err(format!("page {page} is empty").into());
        }
        self.walk_node(&node, floor, depth)
    }

    fn walk_node(&mut self, node: &Node<'_>, floor: &[u8], depth: usize) -> Walk {
        let mut least = floor;
        for position in 0..node.count() {
            let (key, content) = node.element(position)?;
            if key < least {
                return Err(node.complain(position, "its key is below its place in the tree"));
            }
            least = key;
            if self.last.as_deref().is_some_and(|last| key <= last) {
                return Err(node.complain(position, "its key does not ascend"));
            }
            let step = match content {
                Content::Child(page) => self.walk_page(page, key, depth + 1)?,
                Content::Value { flags, value } => {
                    if (flags == ELEMENT_BUCKET) != self.holds_buckets || flags > ELEMENT_BUCKET {
                        return Err(node.complain(position, "its flags are not etcd's"));
                    }
                    let last = self.last.get_or_insert_default();
                    last.clear();
                    last.extend_from_slice(key);
                    (self.visit)(key, value)?
                }
            };
            if step.is_break() {
                return Ok(step);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The valid meta with the larger transaction. The second one's place depends on the page size;
/// where the first is damaged, all sizes are tried.
fn newest_meta(file: &dyn DiskFile) -> std::io::Result<Option<Meta>> {
    let first = read_meta(file, 0)?;
    let mut second = read_meta(file, first.map_or(PAGE_BYTES, |first| first.page_bytes))?;
    let mut page_bytes = *PAGE_BYTES_RANGE.start();
    while first.is_none() && second.is_none() && page_bytes <= *PAGE_BYTES_RANGE.end() {
        second = read_meta(file, page_bytes)?;
        page_bytes *= 2;
    }
    Ok(first.into_iter().chain(second).max_by_key(|meta| meta.transaction))
}

fn read_meta(file: &dyn DiskFile, offset: usize) -> std::io::Result<Option<Meta>> {
    let mut bytes = [0; META_BYTES];
    let start = u64::try_from(offset + HEADER_BYTES).map_err(std::io::Error::other)?;
    if file.read_at(&mut bytes, start)? < bytes.len() {
        return Ok(None);
    }
    let is_in_place = |meta: &Meta| offset == 0 || meta.page_bytes == offset;
    Ok(Meta::decode(&bytes).filter(is_in_place))
}
