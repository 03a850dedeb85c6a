//! `etcd-manager shim DIR`: parent of exactly one node, and owner of its exit status and its log.
//!
//! It reads its order from the folder, starts the node (or, with `--adopt`, takes over one whose
//! shim died), writes the run record, copies output to the log, answers SIGTERM by stopping the
//! node, and ends with the exit record. It outlives the agent. One thread, no runtime.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{fs::OpenOptionsExt, process::ExitStatusExt},
    },
    path::PathBuf,
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use base::Clock;
use disk::Disk;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        stat::Mode,
    },
    unistd::mkfifo,
};

use super::{
    child::{self, Account},
    folders::make_private,
    logfile::RotatingLog,
    process::{ProcessId, oom_kills},
    record::{ExitRecord, NodeDir, Record, RunRecord, ShimOrder, StopRecord, wall_ms},
    stamp::FileStamp,
};

/// How often the end of the node is looked for where the kernel gives no pidfd.
const POLL_WITHOUT_PIDFD: Duration = Duration::from_millis(100);
/// Longest single wait.
const POLL_MAX: Duration = Duration::from_secs(60);
/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// What the shim is asked on its command line.
#[derive(Debug, Clone)]
pub struct ShimArguments {
    /// Folder of the node in the state dir.
    pub dir: PathBuf,
    /// Take over the node of the run record instead of starting one.
    pub adopt: bool,
}

/// Runs until the node has ended and its end is on record.
///
/// # Errors
/// If there is no order, another shim holds the folder, or a record cannot be written.
pub fn run(arguments: ShimArguments, disk: &dyn Disk, clock: &dyn Clock) -> Result<()> {
    let dir = NodeDir::at(arguments.dir);
    let _lock = disk.lock(&dir.lock()).context("another shim holds this node")?;
    let Record::Known(order) = dir.order(disk) else {
        bail!("no readable order in {}", dir.root().display());
    };
    let mut asked = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGPIPE] {
        asked.add(signal);
    }
    asked.thread_block()?;
    let signals = SignalFd::with_flags(&asked, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let log = RotatingLog::open(disk, order.log.clone()).context("open the node's log")?;
    let oom_kills_before = oom_kills();
    let started = clock.now();
    let begun =
        if arguments.adopt { take_over(&dir, disk) } else { start(&dir, &order, disk, clock) };
    let shim = Shim { dir: &dir, order: &order, disk, clock, log, started, oom_kills_before };
    match begun {
        Ok(node) => shim.watch(node, &signals),
        Err(error) if arguments.adopt => Err(error),
        Err(error) => {
            shim.record_end(End { spawn_error: Some(format!("{error:#}")), ..End::default() })
        }
    }
}

/// The running node.
struct Node {
    process: ProcessId,
    /// Absent if another shim started it: then its exit status is lost.
    child: Option<Child>,
    pidfd: Option<OwnedFd>,
    output: Option<File>,
}

fn start(dir: &NodeDir, order: &ShimOrder, disk: &dyn Disk, clock: &dyn Clock) -> Result<Node> {
    let account = order.launch.user.as_deref().map(Account::find).transpose()?;
    prepare_folders(order, disk, account.as_ref())?;
    let pipe = dir.output();
    if disk.exists(&pipe)? {
        disk.remove_file(&pipe)?;
    }
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).context("make the output pipe")?;
    let output = open_reader(dir)?;
    // Opened for both ways, so that the node gets no SIGPIPE should its shim be killed.
    let writer = OpenOptions::new().read(true).write(true).open(&pipe)?;
    // Before the start: a file that is replaced in between is then seen as new, never the other way round.
    let binary = FileStamp::of(&order.launch.binary);
    let child = child::spawn_node(&order.launch, account, &writer)?;
    drop(writer);
    let mut node = Node {
        process: ProcessId::of(i32::try_from(child.id())?)?,
        pidfd: None,
        child: Some(child),
        output: Some(output),
    };
    node.pidfd = open_pidfd(&node.process);
    let recorded = own_process().and_then(|shim| {
        let record = RunRecord {
            run: order.run,
            shim,
            process: node.process.clone(),
            launch: order.launch.clone(),
            digest: order.launch.digest(),
            binary,
            data_dir: order.data_dir.clone(),
            wal_dir: order.wal_dir.clone(),
            started_at_ms: wall_ms(clock.wall()),
        };
        dir.write_run(disk, &record)
    });
    if let Err(error) = recorded {
        // A node that no record knows could be started twice on one data dir: rather none at all.
        node.process.signal_group(Signal::SIGKILL)?;
        return Err(error.context("write the run record"));
    }
    Ok(node)
}

fn own_process() -> Result<ProcessId> {
    Ok(ProcessId::of(i32::try_from(std::process::id())?)?)
}

fn prepare_folders(order: &ShimOrder, disk: &dyn Disk, account: Option<&Account>) -> Result<()> {
    for folder in std::iter::once(&order.data_dir).chain(&order.wal_dir) {
        if disk.exists(folder)? {
            continue;
        }
        make_private(disk, folder).with_context(|| format!("make {}", folder.display()))?;
        if let Some(account) = account.filter(|account| !account.is_own()) {
            nix::unistd::chown(folder, Some(account.uid), Some(account.gid))?;
        }
    }
    Ok(())
}

fn take_over(dir: &NodeDir, disk: &dyn Disk) -> Result<Node> {
    let Record::Known(mut run) = dir.run(disk) else { bail!("no readable run record") };
    let process = run.process.clone();
    if !process.is_alive()? {
        bail!("the node of the run record has ended");
    }
    run.shim = own_process()?;
    dir.write_run(disk, &run)?;
    let output = open_reader(dir).ok();
    let pidfd = open_pidfd(&process);
    Ok(Node { process, child: None, pidfd, output })
}

fn open_reader(dir: &NodeDir) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK);
    options.open(dir.output()).context("open the output pipe")
}

fn open_pidfd(process: &ProcessId) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(process.pid)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

/// What came out, before it is made a record.
#[derive(Debug, Default)]
struct End {
    status: Option<ExitStatus>,
    spawn_error: Option<String>,
    stop: StopRecord,
}

struct Shim<'a> {
    dir: &'a NodeDir,
    order: &'a ShimOrder,
    disk: &'a dyn Disk,
    clock: &'a dyn Clock,
    log: RotatingLog<'a>,
    started: Instant,
    oom_kills_before: Option<u64>,
}

/// Progress of a stop.
#[derive(Debug, Clone, Copy)]
enum Stop {
    NotAsked,
    Until(Instant),
    Forced,
}

impl Shim<'_> {
    fn watch(mut self, mut node: Node, signals: &SignalFd) -> Result<()> {
        let mut stop = Stop::NotAsked;
        loop {
            self.wait(&node, signals, stop)?;
            while let Some(signal) = signals.read_signal()? {
                if signal.ssi_signo != Signal::SIGTERM as u32
                    && signal.ssi_signo != Signal::SIGINT as u32
                {
                    continue;
                }
                if matches!(stop, Stop::NotAsked) {
                    let patience = Duration::from_millis(self.order.stop_timeout_ms);
                    stop = Stop::Until(self.clock.now() + patience);
                    ignore_gone(node.process.signal(Signal::SIGTERM))?;
                }
            }
            if matches!(stop, Stop::Until(deadline) if self.clock.now() >= deadline) {
                stop = Stop::Forced;
                ignore_gone(node.process.signal_group(Signal::SIGKILL))?;
            }
            self.drain(&mut node);
            if let Some(status) = ended(&mut node)? {
                self.drain(&mut node);
                return self.record_end(End {
                    status,
                    spawn_error: None,
                    stop: match stop {
                        Stop::NotAsked => StopRecord::NotAsked,
                        Stop::Until(_) => StopRecord::Graceful,
                        Stop::Forced => StopRecord::Forced,
                    },
                });
            }
        }
    }

    fn wait(&self, node: &Node, signals: &SignalFd, stop: Stop) -> Result<()> {
        let mut patience = POLL_MAX;
        if let Stop::Until(deadline) = stop {
            patience = patience.min(deadline.saturating_duration_since(self.clock.now()));
        }
        if node.pidfd.is_none() {
            patience = patience.min(POLL_WITHOUT_PIDFD);
        }
        // One millisecond more: poll rounds down, and waking early would only spin.
        let millis = u16::try_from(patience.as_millis().saturating_add(1)).unwrap_or(u16::MAX);
        let watched: Vec<BorrowedFd<'_>> = std::iter::once(signals.as_fd())
            .chain(node.pidfd.as_ref().map(AsFd::as_fd))
            .chain(node.output.as_ref().map(AsFd::as_fd))
            .collect();
        let mut watched: Vec<PollFd<'_>> =
            watched.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut watched, PollTimeout::from(millis)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(anyhow!(error).context("wait for the node")),
        }
    }

    /// Copies what has been said so far. A log that cannot be written costs lines, not the node.
    fn drain(&mut self, node: &mut Node) {
        let mut chunk = [0; CHUNK_BYTES];
        while let Some(output) = &mut node.output {
            match output.read(&mut chunk) {
                Ok(0) => node.output = None,
                Ok(count) => drop(self.log.append(&chunk[..count])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn record_end(&self, end: End) -> Result<()> {
        let oom_counter_rose =
            self.oom_kills_before.zip(oom_kills()).is_some_and(|(before, after)| after > before);
        let lasted = self.clock.now().saturating_duration_since(self.started);
        let record = ExitRecord {
            run: self.order.run,
            code: end.status.and_then(|status| status.code()),
            signal: end.status.and_then(|status| status.signal()),
            spawn_error: end.spawn_error,
            stop: end.stop,
            oom_counter_rose,
            free_bytes: self.disk.free_bytes(&self.order.data_dir).ok(),
            lasted_ms: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
            ended_at_ms: wall_ms(self.clock.wall()),
            tail: self.log.tail(),
        };
        self.dir.write_exit(self.disk, &record).context("write the exit record")
    }
}

/// The node's end, if it has come: `Some(None)` if nobody can know its status.
fn ended(node: &mut Node) -> Result<Option<Option<ExitStatus>>> {
    match &mut node.child {
        Some(child) => Ok(child.try_wait().context("ask for the node's exit status")?.map(Some)),
        None => Ok((!node.process.is_alive()?).then_some(None)),
    }
}

fn ignore_gone(sent: io::Result<()>) -> io::Result<()> {
    match sent {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(Errno::ESRCH as i32) =>
        {
            Ok(())
        }
        other => other,
    }
}
