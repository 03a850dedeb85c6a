//! Loaded into a process under test (`LD_PRELOAD`) in front of the C library: calls that change or
//! sync what lies in the watched tree are noted by `lossy` and then done; all others only done.
//!
//! Only what Rust's standard library uses is caught: what comes another way would be kept by a cut,
//! which makes the tests weaker, and the tests that must lose something say so.
#![expect(unsafe_code, reason = "it takes the place of C functions")]

mod door;

use std::{
    ffi::{CStr, OsStr, c_char, c_int, c_void},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use libc::{AT_FDCWD, mode_t, off64_t, size_t, ssize_t};

use crate::door::{answer, folder_of_watched, kernel, tree, watched_file};

/// A path argument.
///
/// # Safety
/// It must be a C string.
unsafe fn path_of<'a>(path: *const c_char) -> &'a Path {
    // SAFETY: the caller of the C function handed in a C string.
    let path = unsafe { CStr::from_ptr(path) };
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

/// Where in the watched tree a name is made, changed or removed, if it is there.
fn watched(path: &Path) -> Option<PathBuf> {
    let place = tree()?.watched(path)?;
    door::count();
    Some(place)
}

/// `open(2)`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let call = || kernel!(libc::SYS_openat, AT_FDCWD, path, flags, mode);
    if flags & (libc::O_CREAT | libc::O_TRUNC) == 0 {
        return answer(call());
    }
    // SAFETY: as promised to us.
    let name = unsafe { path_of(path) };
    let (Some(tree), Some(place)) = (tree(), watched(name)) else { return answer(call()) };
    let truncated = std::fs::File::open(&place).ok().filter(|_| flags & libc::O_TRUNC != 0);
    answer(match truncated {
        Some(file) => tree.set_len(&file, 0, call),
        None => tree.create(&place, call),
    })
}

/// `open(2)`, by its other name.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the same promises.
    unsafe { open64(path, flags, mode) }
}

/// `write(2)`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    let call = || kernel!(libc::SYS_write, fd, bytes, count);
    answer(match (tree(), watched_file(fd)) {
        (Some(tree), Some(file)) => tree.write(&file, door::position(fd), door::len(count), call),
        _ => call(),
    })
}

/// `writev(2)`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, parts: *const libc::iovec, count: c_int) -> ssize_t {
    let call = || kernel!(libc::SYS_writev, fd, parts, count);
    let (Some(tree), Some(file)) = (tree(), watched_file(fd)) else { return answer(call()) };
    let parts_len = usize::try_from(count).unwrap_or_default();
    // SAFETY: the caller of the C function handed in so many parts.
    let listed = unsafe { std::slice::from_raw_parts(parts, parts_len) };
    let bytes = listed.iter().map(|part| door::len(part.iov_len)).sum();
    answer(tree.write(&file, door::position(fd), bytes, call))
}

/// `pwrite(2)`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    fd: c_int,
    bytes: *const c_void,
    count: size_t,
    offset: off64_t,
) -> ssize_t {
    let call = || kernel!(libc::SYS_pwrite64, fd, bytes, count, offset);
    answer(match (tree(), watched_file(fd)) {
        (Some(tree), Some(file)) => {
            tree.write(&file, u64::try_from(offset).ok(), door::len(count), call)
        }
        _ => call(),
    })
}

/// `ftruncate(2)`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(fd: c_int, bytes: off64_t) -> c_int {
    let call = || kernel!(libc::SYS_ftruncate, fd, bytes);
    answer(match (tree(), watched_file(fd), u64::try_from(bytes)) {
        (Some(tree), Some(file), Ok(bytes)) => tree.set_len(&file, bytes, call),
        _ => call(),
    })
}

/// In the watched tree a sync takes its time and does nothing else: whatever the kernel holds is as
/// good as on the disk, until a cut says otherwise. So tests share one real disk without queueing for it.
fn sync(fd: c_int, call: impl FnOnce() -> io::Result<i64>) -> c_int {
    let Some(tree) = tree() else { return answer(call()) };
    if let Some(folder) = folder_of_watched(fd) {
        return answer(tree.sync_folder(&folder, door::sync_takes_its_time));
    }
    answer(match watched_file(fd) {
        Some(file) => tree.sync_file(&file, door::sync_takes_its_time),
        None => call(),
    })
}

/// `fsync(2)`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    sync(fd, || kernel!(libc::SYS_fsync, fd))
}

/// `fdatasync(2)`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(fd, || kernel!(libc::SYS_fdatasync, fd))
}

/// `rename(2)`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let call = || kernel!(libc::SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    // SAFETY: as promised to us.
    let old = watched(unsafe { path_of(from) });
    // SAFETY: as promised to us.
    let new = watched(unsafe { path_of(to) });
    answer(match (tree(), old, new) {
        (Some(tree), Some(old), Some(new)) => tree.rename(&old, &new, call),
        (_, None, None) => call(),
        _ => unreachable!("a rename over the edge of the watched tree is not modelled"),
    })
}

/// `unlink(2)`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    let call = || kernel!(libc::SYS_unlinkat, AT_FDCWD, path, 0);
    // SAFETY: as promised to us.
    let place = watched(unsafe { path_of(path) });
    answer(match (tree(), place) {
        (Some(tree), Some(place)) => tree.remove(&place, call),
        _ => call(),
    })
}

/// `mkdir(2)`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    let call = || kernel!(libc::SYS_mkdirat, AT_FDCWD, path, mode);
    // SAFETY: as promised to us.
    let place = watched(unsafe { path_of(path) });
    answer(match (tree(), place) {
        (Some(tree), Some(place)) => tree.make_folder(&place, call),
        _ => call(),
    })
}
