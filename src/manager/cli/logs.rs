//! `logs NODE [-f]`: the end of a node's log file, and what is added to it. No agent is needed.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use super::{
    arguments::Logs,
    generated,
    outcome::{Failure, Outcome},
    screen::Screen,
};
use crate::{report, spec, supervise::aged};

/// Pause between two looks for more.
const PAUSE: Duration = Duration::from_millis(200);
/// Bytes read at once, and at most looked back for the first lines.
const CHUNK_BYTES: usize = 64 * 1024;
/// Most rotations between two looks that lose no line.
const ROTATED_MAX: u32 = 1000;
const LOOK_BACK_BYTES: u64 = 16 * 1024 * 1024;

pub(super) async fn logs(logs: &Logs, screen: &mut Screen) -> Result<Outcome, Failure> {
    let spec = spec::load(logs.spec_file())?.spec;
    generated::node(&spec, &logs.node)?;
    let path = report::log_path(&spec, &logs.node);
    let mut file = match File::open(&path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound && logs.follow => None,
        Err(error) => return Err(Failure::failed(format!("{}: {error}", path.display()))),
    };
    if let Some(file) = &mut file {
        let start = start_of_last_lines(file, logs.lines)?;
        file.seek(SeekFrom::Start(start))?;
        if !copy_rest(file, screen)? {
            return Ok(Outcome::Done);
        }
    }
    if logs.follow {
        follow(file, &path, screen).await?;
    }
    Ok(Outcome::Done)
}

/// Copies what is added, until Ctrl-C or until nobody reads any more.
async fn follow(mut file: Option<File>, path: &Path, screen: &mut Screen) -> io::Result<()> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = interrupts.recv() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
        // Asked first: once it is rotated away nothing is added to it, so this copies all of it.
        let has_newer = file.as_ref().is_none_or(|open| is_replaced(open, path));
        if let Some(open) = &mut file
            && !copy_rest(open, screen)?
        {
            return Ok(());
        }
        if !has_newer {
            continue;
        }
        for mut next in newer(file.as_ref(), path) {
            if !copy_rest(&mut next, screen)? {
                return Ok(());
            }
            file = Some(next);
        }
    }
}

/// The files that came after this one (all, if there was none), oldest first: it may have been rotated more than once since the last look.
fn newer(file: Option<&File>, path: &Path) -> Vec<File> {
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

/// False if nobody reads our output any more.
fn copy_rest(file: &mut File, screen: &mut Screen) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(true);
        }
        if !screen.copy(&chunk[..count]) {
            return Ok(false);
        }
    }
}

fn is_replaced(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() != named.ino() || open.dev() != named.dev(),
        _ => false,
    }
}

/// Where the last `lines` lines begin.
fn start_of_last_lines(file: &mut File, lines: usize) -> io::Result<u64> {
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
