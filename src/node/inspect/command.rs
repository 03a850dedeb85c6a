//! `etcd-node inspect [--json] [--wal-dir DIR] DIR` on the command line, and what it ends with.

use std::{path::PathBuf, sync::Arc};

use base::ErrorChain;
use disk::{Disk, RealDisk};

use super::{InspectError, Verdict, inspect, table};

/// How the command is called.
pub const USAGE: &str = "\
Usage:

  etcd-node inspect [--json] [--wal-dir DIR] DATA-DIR
    Say what a stopped member's data dir knows and how whole it is. Changes nothing.

  --json     one JSON object (docs/inspect-json.md) instead of a table
  --wal-dir  where the log is, if not in DATA-DIR/member/wal

Exit status: 0 sound (a torn last write counts as sound: a start repairs it), 1 it cannot be read,
2 wrong command line, 3 a node runs on it, 4 something is damaged (the report says what).
";

/// What is to be printed, and the exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub err: String,
    /// Exit status.
    pub exit: u8,
}

impl Outcome {
    fn wrong(text: &str) -> Self {
        Self { out: String::new(), err: format!("{text}\n{USAGE}"), exit: 2 }
    }

    fn failed(text: String, exit: u8) -> Self {
        Self { out: String::new(), err: text, exit }
    }
}

/// Runs the command with the arguments behind `inspect`.
#[must_use]
pub fn run(arguments: &[String]) -> Outcome {
    let mut json = false;
    let mut wal_dir = None;
    let mut data_dir = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--json" | "-json" => json = true,
            "--help" | "-h" => {
                return Outcome { out: USAGE.to_owned(), err: String::new(), exit: 0 };
            }
            "--wal-dir" | "-wal-dir" => match rest.next() {
                Some(dir) => wal_dir = Some(PathBuf::from(dir)),
                None => return Outcome::wrong("--wal-dir needs a folder"),
            },
            other => match other.strip_prefix("--wal-dir=") {
                Some(dir) => wal_dir = Some(PathBuf::from(dir)),
                None if other.starts_with('-') => {
                    return Outcome::wrong(&format!("there is no option {other}"));
                }
                None if data_dir.is_some() => return Outcome::wrong("one data dir at a time"),
                None => data_dir = Some(PathBuf::from(other)),
            },
        }
    }
    let Some(data_dir) = data_dir else { return Outcome::wrong("which data dir?") };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    match inspect(&disk, &data_dir, wal_dir.as_deref()) {
        Ok(report) => {
            let out = if json {
                match serde_json::to_string_pretty(&report) {
                    Ok(text) => text + "\n",
                    Err(error) => return Outcome::failed(error.to_string(), 1),
                }
            } else {
                table(&report)
            };
            let exit = if report.verdict == Verdict::Damaged { 4 } else { 0 };
            Outcome { out, err: String::new(), exit }
        }
        Err(error @ InspectError::InUse { .. }) => {
            Outcome::failed(format!("{}; stop the node first", ErrorChain(&error)), 3)
        }
        Err(error) => Outcome::failed(ErrorChain(&error).to_string(), 1),
    }
}
