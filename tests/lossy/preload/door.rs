//! Between the C functions and `lossy`: system calls, file handles and `errno`.

use std::{
    ffi::c_int,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use lossy::UndoLog;

/// What a sync of a good disk takes. In this time a process may be killed.
const SYNC_TAKES: Duration = Duration::from_millis(1);

/// A system call, past the functions that this library stands in front of.
macro_rules! kernel {
    ($number:expr, $($argument:expr),+) => {
        // SAFETY: number and arguments are those of the C function we stand in for, whose caller
        // keeps its promises.
        $crate::door::outcome(unsafe { libc::syscall($number, $($argument),+) })
    };
}
pub(crate) use kernel;

/// What a system call returned, with `errno` in the error.
pub(crate) fn outcome(returned: i64) -> io::Result<i64> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

/// What the C function returns, with `errno` as the call had left it.
pub(crate) fn answer<T: TryFrom<i64>>(outcome: io::Result<i64>) -> T {
    let returned = outcome.unwrap_or_else(|error| {
        let number = error.raw_os_error().unwrap_or(libc::EIO);
        // SAFETY: it has no conditions.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: the C library's pointer to this thread's own errno is good.
        unsafe { *errno = number };
        -1
    });
    T::try_from(returned).unwrap_or_else(|_| unreachable!("it is what the kernel returned"))
}

/// Counts a change or sync in the tree; the process ends here if it is the one it was told.
pub(crate) fn count() {
    static LEFT: OnceLock<AtomicI64> = OnceLock::new();
    let left = LEFT.get_or_init(|| {
        let text = std::env::var_os(lossy::KILL_AT);
        let number = text.and_then(|text| text.to_str()?.parse().ok());
        AtomicI64::new(number.unwrap_or(i64::MAX))
    });
    if left.fetch_sub(1, Ordering::Relaxed) == 1 || is_ordered() {
        // SAFETY: it has no conditions.
        let own = unsafe { libc::getpid() };
        // SAFETY: it has no conditions.
        unsafe { libc::kill(own, libc::SIGKILL) };
    }
}

/// Whether this is the change at which the file of [`lossy::KILL_ORDER`] wants the process to end.
fn is_ordered() -> bool {
    static ORDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    static DONE: AtomicI64 = AtomicI64::new(0);
    let order = ORDER.get_or_init(|| std::env::var_os(lossy::KILL_ORDER).map(PathBuf::from));
    let Some(order) = order else { return false };
    let text = fs::read_to_string(order).ok();
    let Some(number) = text.and_then(|text| text.trim().parse::<i64>().ok()) else {
        DONE.store(0, Ordering::Relaxed);
        return false;
    };
    DONE.fetch_add(1, Ordering::Relaxed) + 1 >= number
}

/// Stands for the sync of a file or folder.
#[expect(clippy::disallowed_methods, reason = "a disk takes real time")]
#[expect(clippy::unnecessary_wraps, reason = "as a system call")]
pub(crate) fn sync_takes_its_time() -> io::Result<i64> {
    std::thread::sleep(SYNC_TAKES);
    Ok(0)
}

/// The watched tree, if the environment names one.
pub(crate) fn tree() -> Option<&'static UndoLog> {
    static TREE: OnceLock<Option<UndoLog>> = OnceLock::new();
    let tree = TREE.get_or_init(|| {
        let root = PathBuf::from(std::env::var_os(lossy::ROOT)?);
        Some(UndoLog::new(root, PathBuf::from(std::env::var_os(lossy::NOTES)?)))
    });
    tree.as_ref()
}

fn handle(fd: c_int) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{fd}"))
}

/// The open file again, for reading, if it is a plain one of the watched tree.
pub(crate) fn watched_file(fd: c_int) -> Option<File> {
    let handle = handle(fd);
    if !tree()?.holds(&fs::read_link(&handle).ok()?) || !fs::metadata(&handle).ok()?.is_file() {
        return None;
    }
    count();
    Some(File::open(&handle).expect("a file of the watched tree can be read"))
}

/// The path of an open folder of the watched tree.
pub(crate) fn folder_of_watched(fd: c_int) -> Option<PathBuf> {
    let handle = handle(fd);
    let path = fs::read_link(&handle).ok()?;
    let is_folder = tree()?.holds(&path) && fs::metadata(&handle).ok()?.is_dir();
    if !is_folder {
        return None;
    }
    count();
    Some(path)
}

/// Where the next write goes; absent for the end of the file.
pub(crate) fn position(fd: c_int) -> Option<u64> {
    // SAFETY: it only asks for the handle's flags.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if flags & libc::O_APPEND != 0 {
        return None;
    }
    // SAFETY: it moves nothing.
    let position = unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) };
    u64::try_from(position).ok()
}

/// A length as `lossy` counts it.
pub(crate) fn len(count: usize) -> u64 {
    u64::try_from(count).expect("lengths fit in 64 bits")
}
