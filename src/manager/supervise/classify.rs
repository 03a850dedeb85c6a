//! Why a node ended and whether it may be restarted: one table, first matching row wins. Pure.

use std::fmt;

/// What is known about an end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExitFacts {
    /// Exit code, if it exited.
    pub code: Option<i32>,
    /// Signal, if one ended it.
    pub signal: Option<i32>,
    /// Why it could not even be started.
    pub spawn_error: Option<String>,
    /// Whether we had asked it to stop.
    pub stop_asked: bool,
    /// Whether the kernel's out-of-memory counter rose while it ran.
    pub oom_counter_rose: bool,
    /// Bytes free in the file system of its data dir.
    pub free_bytes: Option<u64>,
    /// Its last lines, oldest first.
    pub tail: Vec<String>,
}

/// Kinds of ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// We asked for it.
    Stopped,
    /// Another member removed it from the cluster.
    Removed,
    /// The binary could not be started.
    CannotStart,
    /// Its arguments or environment are refused.
    BadConfiguration,
    /// An address it listens on is taken.
    PortInUse,
    /// The disk is full.
    DiskFull,
    /// Another process holds its data dir.
    DataDirInUse,
    /// Its log or store is damaged, or older than what it acknowledged.
    DataDirDamaged,
    /// A promise forbids it to run its data dir (R3).
    Fenced,
    /// Its record outside the data dir is missing, damaged, or of another dir (R13).
    RecordUnusable,
    /// Its data dir does not hold what it acknowledged (R2, R17).
    DataLost,
    /// It could not write its record, and so acknowledged nothing more.
    RecordUnwritable,
    /// It may not read or write its data dir.
    DataDirRefused,
    /// The kernel killed it for memory.
    OutOfMemory,
    /// A bug or an impossible state in the node.
    Panicked,
    /// A signal that we did not send.
    Killed,
    /// It exited with success though nobody asked.
    LeftQuietly,
    /// It exited with a failure that no other row explains.
    Failed,
    /// Nobody saw how it ended.
    Unknown,
}

/// What the supervisor does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Stays down until an operator, a new spec or a plan starts it.
    Hold,
    /// Restarts after a pause; does not count towards a crash loop.
    Wait,
    /// Restarts after a pause; too many of these are a crash loop.
    Strike,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// What it is.
    pub cause: Cause,
    /// What follows.
    pub verdict: Verdict,
    /// What a person may do.
    pub remedy: &'static str,
    matches: fn(&ExitFacts) -> bool,
}

/// The table. The order matters: what we asked for first, then what the node says in so many
/// words, then what its exit status says.
pub const TABLE: [Row; 19] = [
    Row {
        cause: Cause::Removed,
        verdict: Verdict::Hold,
        remedy: "it is no member any more: take it out of the spec",
        matches: |facts| {
            facts.code == Some(0) && facts.has_ever_said("permanently removed from the cluster")
        },
    },
    Row {
        cause: Cause::Stopped,
        verdict: Verdict::Hold,
        remedy: "etcd-manager start",
        matches: |facts| facts.stop_asked,
    },
    Row {
        cause: Cause::CannotStart,
        verdict: Verdict::Strike,
        remedy: "check `binary` and `user` in the spec",
        matches: |facts| facts.spawn_error.is_some(),
    },
    // etcd-node's own statuses (docs/exit-codes.md); no Go etcd ends with them.
    Row {
        cause: Cause::Fenced,
        verdict: Verdict::Hold,
        remedy: "leave it down: a recovery took its place, or has promised to (E-NODE-02)",
        matches: |facts| facts.code == Some(8),
    },
    Row {
        cause: Cause::RecordUnusable,
        verdict: Verdict::Hold,
        remedy: "mount the disk of its record, or see E-NODE-03; then etcd-manager start",
        matches: |facts| facts.code == Some(9),
    },
    Row {
        cause: Cause::DataLost,
        verdict: Verdict::Hold,
        remedy: "mount the right disk, or remove the member and add it anew (E-NODE-04)",
        matches: |facts| facts.code == Some(10),
    },
    Row {
        cause: Cause::DiskFull,
        verdict: Verdict::Wait,
        remedy: "free space in the file system of the data dir",
        matches: |facts| {
            facts.says(&["no space left on device", "disk quota exceeded"])
                || facts.free_bytes.is_some_and(|bytes| bytes < FREE_BYTES_MIN)
        },
    },
    Row {
        cause: Cause::RecordUnwritable,
        verdict: Verdict::Hold,
        remedy: "mend the disk of its record, then etcd-manager start",
        matches: |facts| facts.failed() && facts.says(&["the record cannot be written"]),
    },
    Row {
        cause: Cause::PortInUse,
        verdict: Verdict::Wait,
        remedy: "end the process that holds the port, or give the node another",
        matches: |facts| facts.says(&PORT_IN_USE),
    },
    Row {
        cause: Cause::DataDirInUse,
        verdict: Verdict::Wait,
        remedy: "end the process that holds the data dir",
        matches: |facts| {
            facts.says(&["file already locked", "holds the file lock", "data dir is in use"])
        },
    },
    Row {
        cause: Cause::DataDirDamaged,
        verdict: Verdict::Hold,
        remedy: "keep the data dir as it is: beside a quorum etcd-manager apply archives it and adds the member anew",
        matches: |facts| {
            facts.says(&[
                "crc mismatch",
                "is out of range [lastindex",
                "data inconsistency",
                "invalid database",
                "failed to recover v3 backend",
                "found bad file",
                "file corrupt",
                " is corrupt at offset ",
            ])
        },
    },
    Row {
        cause: Cause::DataDirRefused,
        verdict: Verdict::Strike,
        remedy: "let the node's user read and write its data dir",
        matches: |facts| {
            facts.failed() && facts.says(&["permission denied", "read-only file system"])
        },
    },
    Row {
        cause: Cause::BadConfiguration,
        verdict: Verdict::Hold,
        remedy: "correct the flags in the spec and apply it",
        matches: |facts| {
            facts.failed()
                && facts.says(&[
                    "flag provided but not defined",
                    "error verifying flags",
                    "invalid value",
                    "unknown flag",
                    "not supported",
                    "conflicting environment variable",
                    "couldn't find local name",
                    "member count is unequal",
                    "unmatched member while checking peerurls",
                ])
        },
    },
    Row {
        cause: Cause::OutOfMemory,
        verdict: Verdict::Wait,
        remedy: "give the host or its cgroup more memory, or lower quota-backend-bytes",
        matches: |facts| facts.signal == Some(SIGKILL) && facts.oom_counter_rose,
    },
    Row {
        cause: Cause::Panicked,
        verdict: Verdict::Strike,
        remedy: "keep the log and report it",
        matches: |facts| {
            facts.says(&["panic:", "panicked at", "goroutine "]) || facts.signal == Some(SIGABRT)
        },
    },
    Row {
        cause: Cause::Killed,
        verdict: Verdict::Strike,
        remedy: "find out who sent the signal",
        matches: |facts| facts.signal.is_some() || facts.code.is_some_and(|code| code > 128),
    },
    Row {
        cause: Cause::LeftQuietly,
        verdict: Verdict::Strike,
        remedy: "read its log",
        matches: |facts| facts.code == Some(0),
    },
    Row {
        cause: Cause::Failed,
        verdict: Verdict::Strike,
        remedy: "read its log",
        matches: |facts| facts.code.is_some(),
    },
    Row {
        cause: Cause::Unknown,
        verdict: Verdict::Strike,
        remedy: "read its log",
        matches: |_| true,
    },
];

/// Below this many free bytes an end counts as a full disk.
pub const FREE_BYTES_MIN: u64 = 1024 * 1024;
const PORT_IN_USE: [&str; 2] = ["address already in use", "address in use"];
/// Letters of the last words that are repeated in a status.
const WORDS_MAX: usize = 200;
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
/// Lines at the end that count as the node's last words.
const LAST_WORDS: usize = 12;

impl ExitFacts {
    fn says(&self, phrases: &[&str]) -> bool {
        self.line_saying(phrases).is_some()
    }

    fn has_ever_said(&self, phrase: &str) -> bool {
        self.tail.iter().any(|line| line.to_lowercase().contains(phrase))
    }

    fn line_saying(&self, phrases: &[&str]) -> Option<&str> {
        let last = self.tail.iter().rev().take(LAST_WORDS);
        last.map(String::as_str).find(|line| {
            let line = line.to_lowercase();
            phrases.iter().any(|phrase| line.contains(phrase))
        })
    }

    fn failed(&self) -> bool {
        self.code.is_some_and(|code| code != 0)
    }

    /// The port that it could not have, if it names one: the last one before the complaint.
    #[must_use]
    pub fn port_refused(&self) -> Option<u16> {
        let line = self.line_saying(&PORT_IN_USE)?.to_lowercase();
        let complaint = PORT_IN_USE.iter().filter_map(|phrase| line.find(phrase)).min()?;
        line.get(..complaint)?
            .split(|c: char| c.is_whitespace() || c == '"' || c == ',')
            .filter_map(|word| word.trim_end_matches(':').rsplit_once(':'))
            .rev()
            .find_map(|(_, port)| port.trim_end_matches('/').parse().ok())
    }

    /// Its last words, shortened: of a JSON line the message and the error.
    #[must_use]
    pub fn last_words(&self) -> Option<String> {
        let line = self.tail.last()?;
        let field = |name: &str| {
            let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
            Some(rest.split_once('"').map_or(rest, |(value, _)| value))
        };
        let words = match (field("msg"), field("error")) {
            (Some(message), Some(error)) => format!("{message}: {error}"),
            (Some(message), None) => message.to_owned(),
            _ => line.clone(),
        };
        Some(words.chars().take(WORDS_MAX).collect())
    }
}

/// The first row that fits.
#[must_use]
pub fn classify(facts: &ExitFacts) -> &'static Row {
    TABLE
        .iter()
        .find(|row| (row.matches)(facts))
        .expect("the last row of the table matches everything")
}

/// `exit code 1`, `signal 9 (SIGKILL)`, …
#[must_use]
pub fn exit_text(facts: &ExitFacts) -> String {
    if let Some(error) = &facts.spawn_error {
        return error.clone();
    }
    if let Some(signal) = facts.signal {
        let name = nix::sys::signal::Signal::try_from(signal).map_or("unknown", |s| s.as_str());
        return format!("signal {signal} ({name})");
    }
    facts.code.map_or_else(|| "exit status unknown".to_owned(), |code| format!("exit code {code}"))
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::Removed => "removed from the cluster",
            Self::CannotStart => "could not be started",
            Self::BadConfiguration => "refused its configuration",
            Self::PortInUse => "its port is in use",
            Self::DiskFull => "the disk is full",
            Self::DataDirInUse => "its data dir is in use",
            Self::DataDirDamaged => "its data dir is damaged",
            Self::Fenced => "fenced",
            Self::RecordUnusable => "its record cannot be relied on",
            Self::DataLost => "its data dir does not hold what it acknowledged",
            Self::RecordUnwritable => "its record could not be written",
            Self::DataDirRefused => "it may not use its data dir",
            Self::OutOfMemory => "killed for lack of memory (the kernel's OOM counter rose)",
            Self::Panicked => "panicked",
            Self::Killed => "killed by a signal from outside",
            Self::LeftQuietly => "exited without being asked",
            Self::Failed => "failed",
            Self::Unknown => "ended unseen",
        })
    }
}

#[cfg(test)]
mod tests;
