//! Writes a bbolt file in one pass from rows that come in order. Memory: the write buffer and two
//! nodes a level, however large the file.

mod pages;
mod tree;

use std::path::{Path, PathBuf};

use disk::{Disk, Open};

use self::{pages::Pages, tree::Tree};
use crate::{
    BoltError,
    format::{
        BUCKET_BYTES, ELEMENT_BUCKET, FLAG_FREELIST, KEY_BYTES_MAX, Meta, PAGE_BYTES,
        VALUE_BYTES_MAX,
    },
};

/// Largest image of a bucket that lies in its parent instead of on pages of its own.
const INLINE_BYTES_MAX: usize = PAGE_BYTES / 4;

/// A bbolt file being written. Until [`Writer::finish`] returned the file is not valid.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    pages: Pages,
    /// The tree of buckets.
    root: Tree,
    /// The bucket being filled.
    open: Option<OpenBucket>,
}

#[derive(Debug)]
struct OpenBucket {
    name: Vec<u8>,
    tree: Tree,
}

impl Writer {
    /// Makes the file; an existing one is overwritten.
    ///
    /// # Errors
    /// `Write`.
    pub fn create(disk: &dyn Disk, path: &Path) -> Result<Self, BoltError> {
        let failed = |source| BoltError::Write { path: path.to_owned(), source };
        let file = disk.open(path, Open::Create).map_err(failed)?;
        file.set_len(0).map_err(failed)?;
        let root = Tree::new(ELEMENT_BUCKET);
        Ok(Self { path: path.to_owned(), pages: Pages::new(file), root, open: None })
    }

    /// Begins a bucket (and ends the one before). Names must ascend.
    ///
    /// # Errors
    /// `Order`, `Write`.
    pub fn bucket(&mut self, name: &[u8]) -> Result<(), BoltError> {
        self.close_bucket()?;
        if !self.root.takes(name) || !is_legal_key(name) {
            return Err(order("bucket", name));
        }
        self.open = Some(OpenBucket { name: name.to_vec(), tree: Tree::new(0) });
        Ok(())
    }

    /// Appends a row to the bucket begun last. Keys must ascend.
    ///
    /// # Errors
    /// `Order` (also without a bucket), `Write`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoltError> {
        let open = self.open.as_mut().ok_or_else(|| order("a row without bucket", key))?;
        if !open.tree.takes(key) || !is_legal_key(key) || value.len() > VALUE_BYTES_MAX {
            return Err(order("key", key));
        }
        let written = open.tree.put(key, value, &mut self.pages);
        written.map_err(|source| failed_write(&self.path, source))
    }

    /// Ends the file and makes its content durable; returns its length in bytes.
    ///
    /// # Errors
    /// `Order`, `Write`.
    pub fn finish(mut self) -> Result<u64, BoltError> {
        self.close_bucket()?;
        let Self { path, mut pages, root, .. } = self;
        let end = || {
            let root = root.finish(&mut pages)?;
            let freelist = pages.write_node(FLAG_FREELIST, 0, Vec::new())?;
            let high_water = pages.next_page();
            let metas = [0, 1].map(|transaction| Meta {
                page_bytes: PAGE_BYTES,
                root,
                freelist,
                high_water,
                transaction,
            });
            pages.finish(metas)
        };
        end().map_err(|source| failed_write(&path, source))
    }

    fn close_bucket(&mut self) -> Result<(), BoltError> {
        let Some(OpenBucket { name, tree }) = self.open.take() else { return Ok(()) };
        let close = || {
            let mut value = Vec::with_capacity(BUCKET_BYTES);
            if let Some(image) = tree.image(INLINE_BYTES_MAX) {
                value.resize(BUCKET_BYTES, 0);
                value.extend_from_slice(&image);
            } else {
                value.extend_from_slice(&tree.finish(&mut self.pages)?.to_le_bytes());
                value.resize(BUCKET_BYTES, 0);
            }
            self.root.put(&name, &value, &mut self.pages)
        };
        close().map_err(|source| failed_write(&self.path, source))
    }
}

fn is_legal_key(key: &[u8]) -> bool {
    !key.is_empty() && key.len() <= KEY_BYTES_MAX
}

fn order(kind: &str, key: &[u8]) -> BoltError {
    BoltError::Order { what: format!("{kind} \"{}\"", key.escape_ascii()) }
}

fn failed_write(path: &Path, source: std::io::Error) -> BoltError {
    BoltError::Write { path: path.to_owned(), source }
}
