//! The end of a log file, and what is added to it, also after it was rotated away.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::mpsc;
use tonic::Status;
use wire::agentpb::LogChunk;

use crate::supervise::aged;

/// Pause between two looks for more.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);
/// Bytes read at once, and at most looked back for the first lines.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;
const LOOK_BACK_BYTES: u64 = 16 * 1024 * 1024;
/// Most rotations between two looks that lose no line.
const ROTATED_MAX: u32 = 1000;

/// What of it is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Lines to begin with.
    pub(crate) lines: usize,
    /// Whether to go on with what is added.
    pub(crate) follow: bool,
}

/// Sends a file's end to a reader elsewhere, until it is over or nobody reads.
pub(crate) async fn send(
    path: PathBuf,
    wanted: Wanted,
    reader: mpsc::Sender<Result<LogChunk, Status>>,
) {
    if let Err(error) = send_parts(&path, wanted, &reader).await {
        let status = Status::failed_precondition(format!("{}: {error}", path.display()));
        // The reader may have left, and then it needs no reason.
        drop(reader.send(Err(status)).await);
    }
}

async fn send_parts(
    path: &Path,
    wanted: Wanted,
    reader: &mpsc::Sender<Result<LogChunk, Status>>,
) -> io::Result<()> {
    let mut file = match File::open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound && wanted.follow => None,
        Err(error) => return Err(error),
    };
    if let Some(file) = &mut file {
        let start = start_of_last_lines(file, wanted.lines)?;
        file.seek(SeekFrom::Start(start))?;
    }
    loop {
        // Asked first: once it is rotated away nothing is added to it, so this sends all of it.
        let has_newer = file.as_ref().is_none_or(|open| is_replaced(open, path));
        if let Some(open) = &mut file
            && !send_rest(open, reader).await?
        {
            return Ok(());
        }
        if !wanted.follow {
            return Ok(());
        }
        if has_newer {
            for mut next in newer(file.as_ref(), path) {
                if !send_rest(&mut next, reader).await? {
                    return Ok(());
                }
                file = Some(next);
            }
        }
        tokio::select! {
            () = reader.closed() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// False if nobody reads any more.
async fn send_rest(
    file: &mut File,
    reader: &mpsc::Sender<Result<LogChunk, Status>>,
) -> io::Result<bool> {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(true);
        }
        chunk.truncate(count);
        if reader.send(Ok(LogChunk { text: chunk.into() })).await.is_err() {
            return Ok(false);
        }
    }
}

/// The files that came after this one (all, if there was none), oldest first: it may have been rotated more than once since the last look.
pub(crate) fn newer(file: Option<&File>, path: &Path) -> Vec<File> {
    let identity = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino())).ok();
    let mut found: Vec<File> = File::open(path).into_iter().collect();
    for number in 1..=ROTATED_MAX {
        let Ok(older) = File::open(aged(path, number)) else { break };
        if file.is_some_and(|file| identity(&older) == identity(file)) {
            break;
        }
        // Rotated between two opens: the same file under its next name.
        if found.last().is_none_or(|last| identity(last) != identity(&older)) {
            found.push(older);
        }
    }
    found.reverse();
    found
}

pub(crate) fn is_replaced(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() != named.ino() || open.dev() != named.dev(),
        _ => false,
    }
}

/// Where the last `lines` lines begin.
pub(crate) fn start_of_last_lines(file: &mut File, lines: usize) -> io::Result<u64> {
    let end = file.metadata()?.len();
    if lines == 0 {
        return Ok(end);
    }
    let oldest = end.saturating_sub(LOOK_BACK_BYTES);
    let mut at = end;
    let mut left = lines;
    let mut is_end = true;
    while at > oldest {
        let start = at.saturating_sub(CHUNK_BYTES as u64).max(oldest);
        let mut chunk = vec![0; usize::try_from(at - start).unwrap_or(CHUNK_BYTES)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut chunk)?;
        for (offset, byte) in chunk.iter().enumerate().rev() {
            if *byte == b'\n' && !std::mem::take(&mut is_end) {
                left = left.saturating_sub(1);
                if left == 0 {
                    return Ok(start + u64::try_from(offset).unwrap_or(0) + 1);
                }
            }
            is_end = false;
        }
        at = start;
    }
    Ok(oldest)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn last(content: &str, lines: usize) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let start = start_of_last_lines(&mut file, lines).unwrap();
        file.seek(SeekFrom::Start(start)).unwrap();
        io::read_to_string(file).unwrap()
    }

    #[test]
    fn the_last_lines_are_found_with_and_without_an_end_of_line() {
        assert_eq!(last("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last("a\nb\nc", 2), "b\nc");
        assert_eq!(last("a\nb\n", 9), "a\nb\n");
        assert_eq!(last("", 5), "");
        assert_eq!(last("a\nb\n", 0), "");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test rotates a log by hand")]
    fn files_rotated_twice_between_two_looks_are_read_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n1.log");
        std::fs::write(&path, "one").unwrap();
        let open = File::open(&path).unwrap();
        assert!(!is_replaced(&open, &path));
        std::fs::rename(&path, aged(&path, 2)).unwrap();
        std::fs::write(aged(&path, 1), "two").unwrap();
        std::fs::write(&path, "three").unwrap();
        assert!(is_replaced(&open, &path));
        let read: Vec<String> = newer(Some(&open), &path)
            .into_iter()
            .map(|file| io::read_to_string(file).unwrap())
            .collect();
        assert_eq!(read, ["two", "three"]);
    }

    #[test]
    fn lines_are_counted_across_chunks() {
        let line = "x".repeat(CHUNK_BYTES - 3);
        let content = format!("{line}\n{line}\nlast\n");
        assert_eq!(last(&content, 1), "last\n");
        assert_eq!(last(&content, 2), format!("{line}\nlast\n"));
        assert_eq!(last(&content, 3), content);
    }
}
