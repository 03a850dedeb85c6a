//! Numbers pages and writes them in order, in large pieces.

use std::io;

use disk::DiskFile;

use crate::format::{HEADER_BYTES, Meta, PAGE_BYTES, header};

/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 1 << 20;

/// The file's pages, from page 2 on.
#[derive(Debug)]
pub(super) struct Pages {
    file: Box<dyn DiskFile>,
    /// Pages not yet written.
    buffer: Vec<u8>,
    /// Where the buffer belongs.
    offset: u64,
    next_page: u64,
}

impl Pages {
    pub(super) fn new(file: Box<dyn DiskFile>) -> Self {
        let offset = 2 * u64::try_from(PAGE_BYTES).expect("a page size is small");
        Self { file, buffer: Vec::new(), offset, next_page: 2 }
    }

    /// Number of the page to be written next.
    pub(super) const fn next_page(&self) -> u64 {
        self.next_page
    }

    /// Writes a node on as many pages as it needs; returns the number of the first.
    pub(super) fn write_node(&mut self, flags: u16, count: u16, body: Vec<u8>) -> io::Result<u64> {
        let page = self.next_page;
        let pages = (HEADER_BYTES + body.len()).div_ceil(PAGE_BYTES);
        let overflow = u32::try_from(pages - 1).map_err(io::Error::other)?;
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&header(page, flags, count, overflow));
        self.buffer.extend_from_slice(&body);
        drop(body);
        self.buffer.resize(start + pages * PAGE_BYTES, 0);
        self.next_page += u64::from(overflow) + 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_buffer()?;
        }
        Ok(page)
    }

    /// Writes what is left and the metas, and syncs; returns the length of the file.
    pub(super) fn finish(mut self, metas: [Meta; 2]) -> io::Result<u64> {
        self.write_buffer()?;
        self.file.write_at(&metas.map(|meta| meta.encode_page()).concat(), 0)?;
        self.file.sync()?;
        Ok(self.offset)
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.offset)?;
        self.offset += u64::try_from(self.buffer.len()).map_err(io::Error::other)?;
        self.buffer.clear();
        self.buffer.shrink_to(2 * BUFFER_BYTES);
        Ok(())
    }
}
