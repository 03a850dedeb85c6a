//! Waits for the end of a process that need not be our child.

use std::{io, os::fd::OwnedFd, time::Duration};

use tokio::io::{Interest, unix::AsyncFd};

use super::process::ProcessId;

/// How often the process is looked for where the kernel gives no pidfd.
const POLL_WITHOUT_PIDFD: Duration = Duration::from_millis(100);

/// A watched process.
#[derive(Debug)]
pub(super) struct ProcessWatch {
    process: ProcessId,
    pidfd: Option<AsyncFd<OwnedFd>>,
}

impl ProcessWatch {
    /// Watches a process; one that has ended already is fine.
    pub(super) fn new(process: ProcessId) -> Self {
        let pidfd = open_pidfd(process.pid).ok();
        Self { process, pidfd }
    }

    /// Returns when the process has ended. May be dropped and called again.
    pub(super) async fn ended(&self) {
        // Checked after the pidfd was opened: the pid may belong to somebody else by now.
        while self.process.is_alive().unwrap_or(true) {
            match &self.pidfd {
                Some(pidfd) => {
                    if pidfd.readable().await.is_ok() {
                        return;
                    }
                }
                None => tokio::time::sleep(POLL_WITHOUT_PIDFD).await,
            }
        }
    }
}

#[expect(unsafe_code, reason = "tokio's safe constructor is deprecated")]
fn open_pidfd(pid: i32) -> io::Result<AsyncFd<OwnedFd>> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    // SAFETY: an OwnedFd is valid and open until it is dropped, and always names the same file.
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    watched.map_err(Into::into)
}
