//! Changes files in a folder and is killed: by the doors of the `disk` crate (`durable`), whose work
//! no power cut may take, or with the standard library and no sync (`careless`).

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use disk::{Disk, Open, RealDisk};
use nix::sys::signal::{Signal, raise};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let mut next = || arguments.next().ok_or(io::ErrorKind::InvalidInput);
    let (way, folder) = (next()?, PathBuf::from(next()?));
    if way == "durable" {
        durable(&folder)?;
    } else {
        careless(&folder)?;
    }
    raise(Signal::SIGKILL)?;
    Ok(())
}

fn durable(folder: &Path) -> io::Result<()> {
    let disk = RealDisk;
    let deep = folder.join("deep/deeper");
    disk.create_dir_all(&deep)?;
    for content in ["first", "second"] {
        disk::replace(&disk, &deep.join("replaced"), content.as_bytes())?;
    }
    disk::copy(&disk, &deep.join("replaced"), &folder.join("copied"))?;
    let file = disk.open(&folder.join("file"), Open::CreateNew)?;
    disk.sync_dir(folder)?;
    file.write_at(&[1; 4096], 0)?;
    file.set_len(1000)?;
    file.sync()?;
    disk::replace(&disk, &folder.join("removed"), b"1")?;
    disk.remove_file(&folder.join("removed"))?;
    disk::replace(&disk, &folder.join("moved"), b"1")?;
    disk.rename(&folder.join("moved"), &deep.join("moved"))?;
    disk.create_dir_all(&folder.join("old"))?;
    disk::replace(&disk, &folder.join("old/kept"), b"1")?;
    disk::archive(&disk, &folder.join("old"), &folder.join("archive"), "label")?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "what the product must not do is done here")]
fn careless(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("whole"), "new")?;
    let mut appended = File::options().append(true).open(folder.join("appended"))?;
    appended.write_all(b" and more")?;
    let file = File::options().write(true).open(folder.join("in-place"))?;
    file.write_all_at(b"new", 0)?;
    fs::rename(folder.join("from"), folder.join("to"))?;
    fs::remove_file(folder.join("removed"))?;
    fs::create_dir_all(folder.join("folder"))
}
