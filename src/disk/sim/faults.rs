//! When and how the simulated disk fails.

use std::io::{self, ErrorKind};

use nix::errno::Errno;

use super::random::Random;

/// Bytes free without a limit: a terabyte.
const FREE_BYTES_UNLIMITED: u64 = 1 << 40;

/// The error of an injected failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device failed.
    Eio,
    /// The disk is full.
    Enospc,
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Eio => Errno::EIO.into(),
            Fault::Enospc => Errno::ENOSPC.into(),
        }
    }
}

/// Failures to come, and the counters that trigger them.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Decides how much of a failing operation happens.
    pub(super) random: Random,
    pub(super) limit_bytes: Option<u64>,
    operations: u64,
    power_off_at: Option<u64>,
    writes: u64,
    failing_write: Option<(u64, Fault)>,
    syncs: u64,
    failing_sync: Option<(u64, Fault)>,
}

impl Faults {
    pub(super) fn fail_write(&mut self, nth: u64, fault: Fault) {
        self.failing_write = Some((self.writes + nth, fault));
    }

    pub(super) fn fail_sync(&mut self, nth: u64, fault: Fault) {
        self.failing_sync = Some((self.syncs + nth, fault));
    }

    pub(super) fn power_off_after(&mut self, operations: u64) {
        self.power_off_at = Some(self.operations + operations);
        self.random = Random::new(self.operations ^ operations);
    }

    pub(super) fn operations(&self) -> u64 {
        self.operations
    }

    pub(super) fn powered(&self) -> io::Result<()> {
        match self.power_off_at {
            Some(end) if self.operations > end => Err(power_is_off()),
            _ => Ok(()),
        }
    }

    /// Counts a changing operation; the one that meets the end of power fails.
    pub(super) fn change(&mut self) -> io::Result<()> {
        self.operations += 1;
        self.powered()
    }

    /// Decides a write: how many of its bytes are written, and what the caller is told.
    pub(super) fn write(
        &mut self,
        bytes: usize,
        grows: usize,
        used: u64,
    ) -> (usize, io::Result<()>) {
        let powered_before = self.powered().is_ok();
        if let Err(error) = self.change() {
            let count = if powered_before { self.random.up_to(bytes) } else { 0 };
            return (count, Err(error));
        }
        self.writes += 1;
        if let Some((at, fault)) = self.failing_write
            && at == self.writes
        {
            return (self.random.up_to(bytes), Err(fault.into()));
        }
        match self.grow(grows, used) {
            Ok(()) => (bytes, Ok(())),
            Err(error) => {
                let room = usize::try_from(self.free_bytes(used)).unwrap_or(bytes);
                ((bytes - grows).saturating_add(room).min(bytes), Err(error))
            }
        }
    }

    /// Whether the disk has room for that many bytes more.
    pub(super) fn grow(&self, bytes: usize, used: u64) -> io::Result<()> {
        let fits = u64::try_from(bytes).is_ok_and(|bytes| bytes <= self.free_bytes(used));
        if bytes == 0 || fits { Ok(()) } else { Err(Fault::Enospc.into()) }
    }

    pub(super) fn free_bytes(&self, used: u64) -> u64 {
        self.limit_bytes.unwrap_or(FREE_BYTES_UNLIMITED).saturating_sub(used)
    }

    /// Counts a sync of a file; a fault if it has to fail.
    pub(super) fn sync(&mut self) -> Option<Fault> {
        self.syncs += 1;
        self.failing_sync.filter(|(at, _)| *at == self.syncs).map(|(_, fault)| fault)
    }
}

fn power_is_off() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the simulated machine has no power")
}
