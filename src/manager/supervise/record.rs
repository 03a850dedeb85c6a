//! The files of one node in the state dir: the order to its shim, the record of the run, the record
//! of its end. Each is replaced as a whole and checksummed; an unreadable one is "unknown" (R13).

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use disk::Disk;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{classify::ExitFacts, process::ProcessId, stamp::FileStamp};
use crate::generate::Launch;

/// Version of the three records.
const RECORD_VERSION: u32 = 1;

/// What a shim is told to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimOrder {
    /// Name of the node.
    pub node: String,
    /// Number of the run, counted up for ever: ties the records together.
    pub run: u64,
    /// What to start.
    pub launch: Launch,
    /// Its data dir; made (for the user it runs as) if absent.
    pub data_dir: PathBuf,
    /// Its WAL dir, if outside.
    pub wal_dir: Option<PathBuf>,
    /// Where its output goes.
    pub log: LogFile,
    /// From SIGTERM to SIGKILL, in milliseconds.
    pub stop_timeout_ms: u64,
}

/// A size-rotated log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// The current file; older ones are `PATH.1`, `PATH.2` …
    pub path: PathBuf,
    /// Rotated when it would grow beyond this.
    pub max_bytes: u64,
    /// Rotated files kept.
    pub keep: u32,
}

/// A node that was started. Written by its shim before it looks at anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The order's number.
    pub run: u64,
    /// The shim.
    pub shim: ProcessId,
    /// The node.
    pub process: ProcessId,
    /// What it was started with.
    pub launch: Launch,
    /// Digest of `launch`.
    pub digest: String,
    /// The file its binary was; absent in records of managers that did not keep it.
    #[serde(default)]
    pub binary: Option<FileStamp>,
    /// Its data dir.
    pub data_dir: PathBuf,
    /// Its WAL dir, if outside.
    pub wal_dir: Option<PathBuf>,
    /// Wall time of the start, in milliseconds since 1970. A label, not a measure.
    pub started_at_ms: u64,
}

/// How a run ended. Written by its shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The order's number.
    pub run: u64,
    /// Exit code, if it exited.
    pub code: Option<i32>,
    /// Signal, if one ended it.
    pub signal: Option<i32>,
    /// Why it could not be started.
    pub spawn_error: Option<String>,
    /// Whether the shim had been told to stop it.
    pub stop: StopRecord,
    /// Whether the kernel's out-of-memory counter rose during the run.
    pub oom_counter_rose: bool,
    /// Bytes free in the data dir's file system.
    pub free_bytes: Option<u64>,
    /// How long it ran, in milliseconds.
    pub lasted_ms: u64,
    /// Wall time of the end, in milliseconds since 1970.
    pub ended_at_ms: u64,
    /// Its last lines, oldest first.
    pub tail: Vec<String>,
}

/// How a stop went, as far as it had come when the node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopRecord {
    /// Nobody had asked for one.
    #[default]
    NotAsked,
    /// SIGTERM was enough.
    Graceful,
    /// SIGKILL was needed, after the stop timeout.
    Forced,
}

impl ExitRecord {
    /// What the classification table wants to know.
    #[must_use]
    pub fn facts(&self) -> ExitFacts {
        ExitFacts {
            code: self.code,
            signal: self.signal,
            spawn_error: self.spawn_error.clone(),
            stop_asked: self.stop != StopRecord::NotAsked,
            oom_counter_rose: self.oom_counter_rose,
            free_bytes: self.free_bytes,
            tail: self.tail.clone(),
        }
    }

    /// How long it ran.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        Duration::from_millis(self.lasted_ms)
    }
}

/// A record as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<T> {
    /// There is none.
    Absent,
    /// It is this.
    Known(T),
    /// There is one, and it cannot be read: nothing may be concluded (R13).
    Unreadable(String),
}

/// The folder of one node in the state dir.
#[derive(Debug, Clone)]
pub struct NodeDir {
    root: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    record: T,
}

impl NodeDir {
    /// The folder of a node below a state dir.
    #[must_use]
    pub fn of(state_dir: &Path, node: &str) -> Self {
        Self { root: state_dir.join("nodes").join(node) }
    }

    /// A folder as the shim gets it on its command line.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The pipe between the node's output and its shim. It has a name so that a new shim can take
    /// over from one that died.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.root.join("output")
    }

    /// Held by the shim for its life.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// What a shim says on its own behalf.
    #[must_use]
    pub fn shim_log(&self) -> PathBuf {
        self.root.join("shim.log")
    }

    /// Reads the order.
    #[must_use]
    pub fn order(&self, disk: &dyn Disk) -> Record<ShimOrder> {
        self.read(disk, "order")
    }

    /// Reads the record of the last start.
    #[must_use]
    pub fn run(&self, disk: &dyn Disk) -> Record<RunRecord> {
        self.read(disk, "run")
    }

    /// Reads the record of the last end.
    #[must_use]
    pub fn exit(&self, disk: &dyn Disk) -> Record<ExitRecord> {
        self.read(disk, "exit")
    }

    /// Writes the order.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_order(&self, disk: &dyn Disk, order: &ShimOrder) -> anyhow::Result<()> {
        self.write(disk, "order", order)
    }

    /// Writes the record of a start.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_run(&self, disk: &dyn Disk, run: &RunRecord) -> anyhow::Result<()> {
        self.write(disk, "run", run)
    }

    /// Writes the record of an end.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_exit(&self, disk: &dyn Disk, exit: &ExitRecord) -> anyhow::Result<()> {
        self.write(disk, "exit", exit)
    }

    fn read<T: DeserializeOwned>(&self, disk: &dyn Disk, name: &str) -> Record<T> {
        let path = self.root.join(name);
        let bytes = match disk::read_checked(disk, &path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Record::Absent,
            Err(error) => return Record::Unreadable(format!("{}: {error}", path.display())),
        };
        match serde_json::from_slice::<Versioned<T>>(&bytes) {
            Ok(found) if found.version == RECORD_VERSION => Record::Known(found.record),
            Ok(found) => Record::Unreadable(format!(
                "{}: version {} is not {RECORD_VERSION}",
                path.display(),
                found.version
            )),
            Err(error) => Record::Unreadable(format!("{}: {error}", path.display())),
        }
    }

    fn write<T: Serialize>(&self, disk: &dyn Disk, name: &str, record: &T) -> anyhow::Result<()> {
        let record = Versioned { version: RECORD_VERSION, record };
        let bytes = serde_json::to_vec(&record)?;
        disk::replace_checked(disk, &self.root.join(name), &bytes)?;
        Ok(())
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn wall_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
