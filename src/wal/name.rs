//! Names of the files in a WAL folder.

use std::{
    fmt,
    io::{self, ErrorKind},
    path::Path,
};

use disk::Disk;

use crate::error::{WalError, io_error};

const SUFFIX: &str = ".wal";

/// A segment's name: `SEQUENCE-FIRSTINDEX.wal`, both in 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    /// Counts segments from 0.
    pub(crate) sequence: u64,
    /// All entries of the segments before have lower indices.
    pub(crate) first_index: u64,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}{SUFFIX}", self.sequence, self.first_index)
    }
}

/// Two numbers as `HEX16-HEX16` with that suffix, or `None`.
pub(crate) fn parse_pair(name: &str, suffix: &str) -> Option<(u64, u64)> {
    let (first, second) = name.strip_suffix(suffix)?.split_once('-')?;
    let number = |digits: &str| {
        let all_hex = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        all_hex.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
    };
    Some((number(first)?, number(second)?))
}

/// Whether a folder holds a log. A file ending in `.wal` is enough, as for etcd.
///
/// # Errors
/// Any failure but a missing folder: "cannot tell" is not "no".
pub fn exists(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    match disk.list(dir) {
        Ok(items) => Ok(items.iter().any(|item| item.name.ends_with(SUFFIX))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The segments of a folder in order of their sequence; at least one.
pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<SegmentName>, WalError> {
    let items = match disk.list(dir) {
        Ok(items) => items,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(io_error("list", dir)(error)),
    };
    let mut names = Vec::new();
    for item in items.iter().filter(|item| !item.is_dir) {
        match parse_pair(&item.name, SUFFIX) {
            Some((sequence, first_index)) => names.push(SegmentName { sequence, first_index }),
            None if item.name.ends_with(".tmp") || item.name.ends_with(".broken") => {}
            None => tracing::warn!(path = %item.path.display(), "ignored a file in the WAL folder"),
        }
    }
    names.sort_unstable();
    if names.is_empty() {
        return Err(WalError::Missing { dir: dir.to_owned() });
    }
    Ok(names)
}

/// Segments must follow each other without a gap. (Their first indices may fall: when entries are
/// replaced after a cut.)
pub(crate) fn check_consecutive(dir: &Path, names: &[SegmentName]) -> Result<(), WalError> {
    for pair in names.windows(2) {
        if pair[1].sequence != pair[0].sequence + 1 {
            return Err(WalError::Corrupt {
                path: dir.join(pair[1].to_string()),
                offset: 0,
                what: format!("it does not follow {}: a segment is missing", pair[0]),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_etcds() {
        let name = SegmentName { sequence: 0xab, first_index: 0x1_0000 };
        assert_eq!(name.to_string(), "00000000000000ab-0000000000010000.wal");
        assert_eq!(parse_pair(&name.to_string(), SUFFIX), Some((0xab, 0x1_0000)));
        for bad in [
            "ab-1.wal",
            "00000000000000ab-0000000000010000.wal.broken",
            "0.tmp",
            ".wal",
            "+0000000000000ab-0000000000010000.wal",
        ] {
            assert_eq!(parse_pair(bad, SUFFIX), None, "{bad}");
        }
    }
}
