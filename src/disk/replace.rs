//! Whole files, read and replaced so that a reader finds the old or the new content, never a mix.

use std::{
    ffi::OsString,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::{Disk, Open};

/// First word of the header line of a checked file; the number is the format's version.
const CHECKED_MAGIC: &str = "checked-1";
/// A header line is shorter than this.
const HEADER_BYTES_MAX: usize = 64;
const COPY_CHUNK_BYTES: usize = 256 * 1024;

/// A checked file that is there but cannot be relied on: never to be taken for "absent" (R13).
#[derive(Debug, thiserror::Error)]
pub enum CheckedError {
    /// Retry, or see to the disk.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is not what was written; a human must look.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
}

/// Reads a whole file.
///
/// # Errors
/// `NotFound` if it is absent; else the system's.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Open::Read)?;
    let mut content = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    let count = file.read_at(&mut content, 0)?;
    content.truncate(count);
    Ok(content)
}

/// Copies a file to a new or replaced one, and makes it and its name durable.
///
/// # Errors
/// The system's; then a part of the copy may be there.
pub fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    let source = disk.open(from, Open::Read)?;
    let target = disk.open(to, Open::Create)?;
    target.set_len(0)?;
    let mut chunk = vec![0; COPY_CHUNK_BYTES];
    let mut offset = 0;
    loop {
        let count = source.read_at(&mut chunk, offset)?;
        if count == 0 {
            break;
        }
        target.write_at(&chunk[..count], offset)?;
        offset += u64::try_from(count).map_err(io::Error::other)?;
    }
    target.sync()?;
    disk.sync_dir(folder_of(to)?)
}

/// Replaces a file's content durably: a `.tmp` beside it is written, synced and renamed over it.
/// After a crash the old or the new content is there in full (R13). One writer at a time.
///
/// # Errors
/// The system's; then the old content is there, or the new one.
pub fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = OsString::from(path.file_name().ok_or(ErrorKind::InvalidInput)?);
    name.push(".tmp");
    let draft = path.with_file_name(name);
    let file = disk.open(&draft, Open::Create)?;
    file.set_len(0)?;
    file.write_at(content, 0)?;
    file.sync()?;
    drop(file);
    disk.rename(&draft, path)
}

/// As [`replace`], with a header line that carries length and CRC-32C of the content.
///
/// # Errors
/// As [`replace`].
pub fn replace_checked(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut framed = header(content).into_bytes();
    framed.extend_from_slice(content);
    replace(disk, path, &framed)
}

/// Reads what [`replace_checked`] wrote; `None` only if there is certainly no such file (R13).
///
/// # Errors
/// [`CheckedError`] if it cannot be read or is not what was written.
pub fn read_checked(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, CheckedError> {
    let mut framed = match read(disk, path) {
        Ok(framed) => framed,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CheckedError::Read { path: path.to_owned(), source }),
    };
    let damaged = |what| CheckedError::Damaged { path: path.to_owned(), what };
    let end = framed
        .iter()
        .take(HEADER_BYTES_MAX)
        .position(|&byte| byte == b'\n')
        .ok_or_else(|| damaged("it has no header line"))?;
    let content = framed.split_off(end + 1);
    if !framed.starts_with(CHECKED_MAGIC.as_bytes()) {
        return Err(damaged("its header line is not of this format"));
    }
    if framed != header(&content).as_bytes() {
        return Err(damaged("its content does not match its checksum"));
    }
    Ok(Some(content))
}

fn header(content: &[u8]) -> String {
    format!("{CHECKED_MAGIC} crc32c={:08x} bytes={}\n", crc32c::crc32c(content), content.len())
}

fn folder_of(path: &Path) -> io::Result<&Path> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    Ok(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}
