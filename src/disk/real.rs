//! The machine's own file system behind [`Disk`].

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

use crate::{DirItem, Disk, DiskFile, DiskLock, Open};

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The real disk. Stateless: any number of them may be used side by side.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(open_file(path, how)?)))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirItem>> {
        let mut items = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let attributes = match entry.metadata() {
                Ok(attributes) => attributes,
                // Removed by another since the listing began.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let is_dir = attributes.is_dir();
            items.push(DirItem {
                path: entry.path(),
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir,
                len: if is_dir { 0 } else { attributes.len() },
            });
        }
        items.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(items)
    }

    fn create_dir_all(&self, folder: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = folder
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.is_dir())
            .collect();
        for path in missing.into_iter().rev() {
            match DirBuilder::new().mode(FOLDER_MODE).create(path) {
                Ok(()) => {}
                // Made by another in the meantime.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
                Err(error) => return Err(error),
            }
            sync_parent(path)?;
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match fs::symlink_metadata(to) {
            Ok(there) if there.is_dir() => return Err(ErrorKind::AlreadyExists.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::rename(from, to)?;
        sync_parent(to)?;
        if parent(from) != parent(to) {
            sync_parent(from)?;
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)?;
        sync_parent(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        lock_file(path, open_file(path, Open::Create)?, libc::F_WRLCK)
    }

    fn lock_shared(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        lock_file(path, open_file(path, Open::Read)?, libc::F_RDLCK)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = nix::sys::statvfs::statvfs(path)?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }
}

fn open_file(path: &Path, how: Open) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).mode(FILE_MODE);
    match how {
        Open::Read => &mut options,
        Open::Write => options.write(true),
        Open::Create => options.write(true).create(true).truncate(false),
        Open::CreateNew => options.write(true).create_new(true),
    };
    options.open(path)
}

fn lock_file(path: &Path, file: File, kind: libc::c_int) -> io::Result<Box<dyn DiskLock>> {
    let whole_file = libc::flock {
        l_type: short(kind)?,
        l_whence: short(libc::SEEK_SET)?,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file)) {
        Ok(_) => Ok(Box::new(RealLock { path: path.to_owned(), _file: file })),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(ErrorKind::WouldBlock.into()),
        Err(error) => Err(error.into()),
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    RealDisk.sync_dir(parent(path))
}

fn short(constant: libc::c_int) -> io::Result<libc::c_short> {
    constant.try_into().map_err(io::Error::other)
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let position = offset.saturating_add(u64::try_from(filled).map_err(io::Error::other)?);
            match self.0.read_at(&mut buffer[filled..], position) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocated_bytes(&self) -> io::Result<u64> {
        // stat counts in blocks of 512 bytes, whatever the file system's own are.
        Ok(self.0.metadata()?.blocks().saturating_mul(512))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[derive(Debug)]
struct RealLock {
    path: PathBuf,
    /// Closing it releases the lock.
    _file: File,
}

impl DiskLock for RealLock {
    fn path(&self) -> &Path {
        &self.path
    }
}
