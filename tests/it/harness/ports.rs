//! Free loopback ports that no other test process takes while they are held.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process,
};

use anyhow::{Context, Result, bail};

/// Below Linux's range of outgoing ports (32768 and up), so no client connection can sit on one.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that is this process's until dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes a free one.
    ///
    /// # Errors
    /// If none of the range is free.
    pub(crate) fn take() -> Result<Self> {
        let folder = PathBuf::from("/tmp/etcd-manager-test-ports");
        fs::create_dir_all(&folder)?;
        let start = u16::try_from(process::id() % u32::from(COUNT))?;
        for step in 0..COUNT {
            let number = FIRST + (start.wrapping_mul(7) % COUNT + step) % COUNT;
            let lock = File::create(folder.join(number.to_string()))?;
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no free port from {FIRST} on")
    }

    /// Several at once.
    ///
    /// # Errors
    /// As [`Port::take`].
    pub(crate) fn take_many(count: usize) -> Result<Vec<Self>> {
        (0..count).map(|_| Self::take().context("take a port")).collect()
    }

    /// The port's number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.number)
    }
}
