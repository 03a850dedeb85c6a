//! The only place that starts processes: a node under its shim, a shim under the agent, an agent
//! under the command line, an inspection of a stopped dir. Each gets a session of its own and a clean signal mask.

#![expect(clippy::disallowed_methods, reason = "this is the door to process::Command")]

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{File, OpenOptions},
    io,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{SigSet, Signal, killpg},
    unistd::{Gid, Pid, Uid, User},
};
use tokio::io::AsyncReadExt;

use crate::generate::Launch;

/// Most that is read of what a program says of its version.
const VERSION_BYTES_MAX: u64 = 4096;

/// The account a node runs under.
#[derive(Debug, Clone)]
pub struct Account {
    /// User id.
    pub uid: Uid,
    /// Main group.
    pub gid: Gid,
    groups: Vec<Gid>,
}

impl Account {
    /// Looks a user up.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn find(name: &str) -> io::Result<Self> {
        let missing =
            || io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name:?}"));
        let user = User::from_name(name)?.ok_or_else(missing)?;
        let name = std::ffi::CString::new(name).map_err(io::Error::other)?;
        let groups = nix::unistd::getgrouplist(&name, user.gid)?;
        Ok(Self { uid: user.uid, gid: user.gid, groups })
    }

    /// Whether this process already runs under it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        Uid::effective() == self.uid
    }

    fn assume(&self) -> io::Result<()> {
        nix::unistd::setgroups(&self.groups)?;
        nix::unistd::setgid(self.gid)?;
        nix::unistd::setuid(self.uid)?;
        Ok(())
    }
}

/// Starts a node with exactly the environment of its launch; `output` gets what it says.
///
/// # Errors
/// If it cannot be started; the message names the program or the user.
pub fn spawn_node(launch: &Launch, account: Option<Account>, output: &File) -> io::Result<Child> {
    let mut command = Command::new(&launch.binary);
    command
        .env_clear()
        .envs(&launch.environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?);
    in_own_session(&mut command, account.filter(|account| !account.is_own()));
    command.spawn().map_err(|error| {
        io::Error::new(error.kind(), format!("start {}: {error}", launch.binary.display()))
    })
}

/// Starts `etcd-manager` detached from this terminal and session, its output in `log`.
///
/// # Errors
/// If it cannot be started.
pub fn spawn_manager<S: AsRef<OsStr>>(
    manager: &Path,
    arguments: &[S],
    log: &Path,
) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).mode(0o640).open(log)?;
    let mut command = Command::new(manager);
    command
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    in_own_session(&mut command, None);
    command.spawn().map_err(|error| {
        io::Error::new(error.kind(), format!("start {}: {error}", manager.display()))
    })
}

/// Starts an operator's hook with exactly this environment; `output` gets what it says. Its pid is its process group.
///
/// # Errors
/// If it cannot be started; the message names the program.
pub fn spawn_hook(
    program: &Path,
    environment: &BTreeMap<String, String>,
    output: &Path,
) -> io::Result<tokio::process::Child> {
    let output =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o640).open(output)?;
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    in_own_session(&mut command, None);
    tokio::process::Command::from(command).spawn().map_err(|error| {
        io::Error::new(error.kind(), format!("start {}: {error}", program.display()))
    })
}

/// What `etcd-node inspect --json` says of a stopped dir. It changes nothing there (docs/inspect-json.md).
///
/// # Errors
/// If it cannot be run, or ends without a document.
pub fn inspect(inspector: &Path, data_dir: &Path, wal_dir: Option<&Path>) -> io::Result<Vec<u8>> {
    /// Exit statuses that come with a whole document: sound, damaged.
    const WITH_DOCUMENT: [Option<i32>; 2] = [Some(0), Some(4)];
    let mut command = Command::new(inspector);
    command.args(["inspect", "--json"]);
    if let Some(wal_dir) = wal_dir {
        command.arg("--wal-dir").arg(wal_dir);
    }
    command.arg(data_dir).env_clear().current_dir("/").stdin(Stdio::null());
    in_own_session(&mut command, None);
    let said = command.output()?;
    if WITH_DOCUMENT.contains(&said.status.code()) {
        return Ok(said.stdout);
    }
    Err(io::Error::other(String::from_utf8_lossy(&said.stderr).into_owned()))
}

/// What a program prints for `--version`, within `limit`; it and what it started are ended then. One that takes no
/// flags finds no data dir that it could use.
///
/// # Errors
/// If it cannot be started, or does not end in time.
pub async fn version_text(
    binary: &Path,
    account: Option<Account>,
    limit: Duration,
) -> io::Result<String> {
    let mut command = Command::new(binary);
    command
        .arg("--version")
        .env_clear()
        .env("ETCD_DATA_DIR", "/dev/null/none")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    in_own_session(&mut command, account.filter(|account| !account.is_own()));
    let mut command = tokio::process::Command::from(command);
    let mut child = command.kill_on_drop(true).spawn()?;
    let group = child.id().and_then(|pid| i32::try_from(pid).ok());
    let mut text = String::new();
    let said = match child.stdout.take() {
        Some(out) => {
            let mut out = out.take(VERSION_BYTES_MAX);
            tokio::time::timeout(limit, out.read_to_string(&mut text)).await
        }
        None => Ok(Ok(0)),
    };
    if let Some(group) = group {
        // It is its session's first process, and not waited for yet: the number is its own.
        killpg(Pid::from_raw(group), Signal::SIGKILL).unwrap_or_default();
    }
    drop(child.wait().await);
    match said {
        Ok(read) => read.map(|_| text),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {limit:?}"))),
    }
}

#[expect(
    unsafe_code,
    reason = "session, signal mask and groups can only be set between fork and exec"
)]
fn in_own_session(command: &mut Command, account: Option<Account>) {
    let prepare = move || {
        nix::unistd::setsid()?;
        SigSet::empty().thread_set_mask()?;
        account.as_ref().map_or(Ok(()), Account::assume)
    };
    // SAFETY: between fork and exec the closure makes only system calls (setsid, sigprocmask,
    // setgroups, setgid, setuid) on values made before the fork; it does not allocate.
    unsafe {
        command.pre_exec(prepare);
    }
}
