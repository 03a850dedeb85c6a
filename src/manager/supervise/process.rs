//! What /proc tells about processes: identity, end, lock holders, port owners, the OOM counter.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// A process that cannot be confused with a later one of the same pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its pid.
    pub pid: i32,
    /// Its start in clock ticks since boot.
    pub start_ticks: u64,
    /// The kernel's boot id, since ticks begin anew with each boot.
    pub boot: String,
}

impl ProcessId {
    /// Who has this pid now.
    ///
    /// # Errors
    /// `NotFound` if nobody has; else the system's.
    pub fn of(pid: i32) -> io::Result<Self> {
        let stat = read_stat(pid)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        Ok(Self { pid, start_ticks: stat.start_ticks, boot })
    }

    /// Whether it still runs. A zombie has ended.
    ///
    /// # Errors
    /// If that cannot be told, which is not "no".
    pub fn is_alive(&self) -> io::Result<bool> {
        match read_stat(self.pid) {
            Ok(stat) if matches!(stat.state, 'Z' | 'X') => Ok(false),
            Ok(_) => Ok(Self::of(self.pid)? == *self),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How long it has been running, by the kernel's clock.
    #[must_use]
    pub fn uptime(&self) -> Option<Duration> {
        let text = fs::read_to_string("/proc/uptime").ok()?;
        let since_boot: f64 = text.split_whitespace().next()?.parse().ok()?;
        let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
        let start = Duration::from_millis(
            self.start_ticks.checked_mul(1000)?.checked_div(u64::try_from(ticks).ok()?)?,
        );
        Duration::try_from_secs_f64(since_boot).ok()?.checked_sub(start)
    }

    /// Sends it a signal, if it is still this process.
    ///
    /// # Errors
    /// `NotFound` if it has ended; else the system's.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if !self.is_alive()? {
            return Err(io::ErrorKind::NotFound.into());
        }
        kill(Pid::from_raw(self.pid), signal).map_err(io::Error::from)
    }

    /// Sends a signal to its process group, which it leads.
    ///
    /// # Errors
    /// The system's.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        killpg(Pid::from_raw(self.pid), signal).map_err(io::Error::from)
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32)
}

struct Stat {
    state: char,
    start_ticks: u64,
}

fn read_stat(pid: i32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not understood")))
}

/// The command's name may hold spaces and brackets: fields count from the last bracket.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_ticks = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, start_ticks })
}

/// A process that holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its pid.
    pub pid: i32,
    /// Its command's name.
    pub command: String,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {})", self.command, self.pid)
    }
}

/// Who listens on a TCP port. None if nobody, or if we may not see it.
#[must_use]
pub fn port_owner(port: u16) -> Option<Owner> {
    let inodes: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    let wanted: Vec<PathBuf> =
        inodes.iter().map(|inode| PathBuf::from(format!("socket:[{inode}]"))).collect();
    if wanted.is_empty() {
        return None;
    }
    pids()
        .into_iter()
        .find(|pid| has_open(*pid, &|target| wanted.iter().any(|w| w == target)))
        .map(|pid| Owner { pid, command: command_of(pid) })
}

/// Inodes of the sockets that listen on `port`, from a table like /proc/net/tcp.
fn listening_inodes(table: &str, port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let same = u16::from_str_radix(local_port, 16).ok()? == port;
        (same && *fields.get(3)? == LISTEN).then(|| fields.get(9)?.parse().ok())?
    });
    rows.collect()
}

/// Who holds a lock on a file below this data dir (its own lock, the WAL's, the store's).
/// None if nobody, or if there is no such dir.
#[must_use]
pub fn data_dir_owner(data_dir: &Path) -> Option<Owner> {
    let member = data_dir.join("member");
    let mut candidates = vec![member.join("lock"), member.join("snap/db")];
    if let Ok(items) = fs::read_dir(member.join("wal")) {
        candidates.extend(items.flatten().map(|item| item.path()));
    }
    let inodes: Vec<u64> = candidates
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|meta| meta.ino())
        .collect();
    let table = fs::read_to_string("/proc/locks").ok()?;
    if !locked_inodes(&table).iter().any(|inode| inodes.contains(inode)) {
        return None;
    }
    // /proc/locks names no pid for locks of open files; whoever has such a file open holds it.
    pids()
        .into_iter()
        .find(|pid| has_open(*pid, &|target| candidates.iter().any(|c| c == target)))
        .map(|pid| Owner { pid, command: command_of(pid) })
}

/// Inodes with a write lock, from a table like /proc/locks.
fn locked_inodes(table: &str) -> Vec<u64> {
    let rows = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let at = fields.iter().position(|field| *field == "WRITE")?;
        fields.get(at + 2)?.rsplit_once(':')?.1.parse().ok()
    });
    rows.collect()
}

fn pids() -> Vec<i32> {
    let Ok(items) = fs::read_dir("/proc") else { return Vec::new() };
    items.flatten().filter_map(|item| item.file_name().to_str()?.parse().ok()).collect()
}

fn has_open(pid: i32, wanted: &dyn Fn(&Path) -> bool) -> bool {
    let Ok(items) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    items.flatten().filter_map(|item| fs::read_link(item.path()).ok()).any(|target| wanted(&target))
}

fn command_of(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim().to_owned()
}

/// How many processes the kernel has killed for memory in this process's cgroup; where there is no
/// such count, in the machine.
#[must_use]
pub fn oom_kills() -> Option<u64> {
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    oom_count_files(&cgroups)
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|text| oom_count(&text))
}

/// Where to look, best first.
fn oom_count_files(cgroups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            files.push(Path::new("/sys/fs/cgroup").join(path).join("memory.events"));
        } else if controllers.split(',').any(|name| name == "memory") {
            files.push(Path::new("/sys/fs/cgroup/memory").join(path).join("memory.oom_control"));
            files.push(PathBuf::from("/sys/fs/cgroup/memory/memory.oom_control"));
        }
    }
    files.push(PathBuf::from("/proc/vmstat"));
    files
}

fn oom_count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Whether a host name or address is this machine's: a loopback address, or one that can be bound.
#[must_use]
pub fn is_local_address(address: IpAddr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || std::net::UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests;
