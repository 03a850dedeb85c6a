//! The document that an inspection ends in; docs/inspect-json.md describes every field.

use serde::Serialize;
use wal::Judgement;

/// Version of the document.
pub const INSPECT_SCHEMA: u32 = 1;

/// A stopped member's data dir.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of this document.
    pub schema: u32,
    /// The data dir.
    pub data_dir: String,
    /// Where its log is.
    pub wal_dir: String,
    /// What the dir is.
    pub kind: Kind,
    /// The worst of `wal`, `snapshots`, `backend` and their contradictions.
    pub verdict: Verdict,
    /// Who wrote the log.
    pub member_id: Option<String>,
    /// Of which cluster.
    pub cluster_id: Option<String>,
    /// Of a dir that a manager owns: what its marker says.
    pub managed: Option<Managed>,
    /// The last entry.
    pub last: Option<Position>,
    /// Term, vote and commit index as the log says.
    pub hard_state: Option<HardState>,
    /// Index up to which the backend has applied the log.
    pub applied: Option<u64>,
    /// The snapshot that a start begins from.
    pub start: Option<Position>,
    /// Members at `applied`.
    pub membership: Option<Membership>,
    /// Every configuration from the one of `start` on, uncommitted ones too.
    pub configurations: Vec<Configuration>,
    /// Configuration changes above `applied`.
    pub pending: Vec<PendingChange>,
    /// The log.
    pub wal: Log,
    /// The `.snap` files.
    pub snapshots: Snapshots,
    /// The key space.
    pub backend: Store,
    /// What does not fit together, and what else a human should know.
    pub findings: Vec<String>,
}

/// What a dir is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// There is no such folder.
    Absent,
    /// No member ever ran here.
    Empty,
    /// Ours.
    EtcdNode,
    /// Of a Go etcd.
    GoEtcd,
    /// Of a v2 proxy.
    Proxy,
    /// Both `member/` and `proxy/`: every etcd refuses it.
    Tombstone,
    /// Something else is in it.
    Unknown,
}

/// How whole the dir is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing to complain of.
    Intact,
    /// The log's last write did not end: a start repairs that, and nothing acknowledged is lost.
    Torn,
    /// Something that was acknowledged may be missing.
    Damaged,
}

/// The marker of a dir that a manager owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Managed {
    /// The record's folder.
    pub record: String,
    /// What ties dir and record together.
    pub claim: String,
    /// The cluster's UUID.
    pub cluster_uuid: String,
    /// Epoch of the lineage.
    pub epoch: u64,
    /// Token of the lineage.
    pub token: String,
}

/// A log position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Term of the entry.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// raft's hard state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HardState {
    /// Current term.
    pub term: u64,
    /// Who got the vote in it.
    pub vote: Option<String>,
    /// What was known to be committed.
    pub commit: u64,
}

/// Members, as the backend has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Membership {
    /// Where it was read: `backend`, or `log` if that cannot be read.
    pub source: &'static str,
    /// The cluster version.
    pub cluster_version: Option<String>,
    /// All members.
    pub members: Vec<Member>,
    /// Ids that are never used again.
    pub removed: Vec<String>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Empty until it has started.
    pub name: String,
    /// Where its peers reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it has no vote.
    pub is_learner: bool,
}

/// Who votes from an entry on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// Term of the entry that makes it.
    pub term: u64,
    /// Its index.
    pub index: u64,
    /// `applied`, `committed` or `uncommitted`.
    pub state: &'static str,
    /// Members that vote.
    pub voters: Vec<String>,
    /// Members that do not.
    pub learners: Vec<String>,
}

/// A configuration change that was not applied yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingChange {
    /// Term of its entry.
    pub term: u64,
    /// Its index.
    pub index: u64,
    /// Whether it is known to be committed.
    pub committed: bool,
    /// `add`, `add-learner`, `promote`, `remove`, `update` or `unknown`.
    pub change: &'static str,
    /// Whom it changes.
    pub member_id: String,
    /// The peer URLs it names.
    pub peer_urls: Vec<String>,
}

/// What a part is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Integrity {
    /// `intact`, `torn`, `corrupt`, `absent` or `unreadable`.
    pub state: &'static str,
    /// The damaged file.
    pub path: Option<String>,
    /// Where in it, in bytes.
    pub offset: Option<u64>,
    /// Of a torn tail: what a start would cut off, in bytes.
    pub cut_bytes: Option<u64>,
    /// What does not fit.
    pub what: Option<String>,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Whether it is whole.
    pub integrity: Integrity,
    /// Index of its first entry.
    pub first_index: Option<u64>,
    /// Snapshot marks in it.
    pub marks: Vec<Position>,
    /// Its files, oldest first.
    pub segments: Vec<Segment>,
    /// What else is in the folder.
    pub other_files: Vec<OtherFile>,
}

/// A file of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// Index that its name says.
    pub first_index: u64,
    /// Its length.
    pub bytes: Option<u64>,
    /// Where its last sound record ends; zeroes follow.
    pub used_bytes: u64,
    /// Sound records in it.
    pub records: u64,
    /// The CRC-32C chain behind the last of them, hexadecimal.
    pub crc: String,
}

/// A file that is no part of the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherFile {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// What it is.
    pub what: &'static str,
}

/// The `.snap` files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshots {
    /// The worst of those that a start might want.
    pub integrity: Integrity,
    /// All, oldest first.
    pub files: Vec<SnapFile>,
    /// What else is in the folder.
    pub other_files: Vec<OtherFile>,
}

/// A `.snap` file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapFile {
    /// Its name.
    pub name: String,
    /// Its term.
    pub term: u64,
    /// Its index.
    pub index: u64,
    /// Its length.
    pub bytes: u64,
    /// Whether the log confirms it.
    pub marked: bool,
    /// Whether it is whole.
    pub integrity: Integrity,
}

/// The backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Store {
    /// Whether it is whole.
    pub integrity: Integrity,
    /// `redb` or `bbolt`.
    pub engine: &'static str,
    /// Its file.
    pub path: String,
    /// Length of the file.
    pub bytes: Option<u64>,
    /// Of these, what the rows need.
    pub in_use_bytes: Option<u64>,
    /// Whether the next start rebuilds its page accounts.
    pub needs_repair: Option<bool>,
    /// The entry applied last.
    pub consistent_index: Option<u64>,
    /// Its term.
    pub term: Option<u64>,
    /// Revision of the key space.
    pub revision: Option<i64>,
    /// Up to where the history was compacted.
    pub compacted_revision: Option<i64>,
    /// Rows in the `key` bucket: versions of keys and deletions.
    pub key_rows: Option<u64>,
    /// Alarms that are raised.
    pub alarms: Vec<Alarm>,
}

/// A raised alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// Who raised it.
    pub member_id: String,
    /// `NOSPACE`, `CORRUPT`.
    pub kind: String,
}

impl Integrity {
    /// All checks passed.
    pub(super) const INTACT: Self =
        Self { state: "intact", path: None, offset: None, cut_bytes: None, what: None };
    /// Nothing is there.
    pub(super) const ABSENT: Self = Self { state: "absent", ..Self::INTACT };

    pub(super) fn corrupt(path: &std::path::Path, what: String) -> Self {
        let path = Some(path.display().to_string());
        Self { state: "corrupt", path, what: Some(what), ..Self::INTACT }
    }

    pub(super) fn unreadable(what: String) -> Self {
        Self { state: "unreadable", what: Some(what), ..Self::INTACT }
    }

    pub(super) fn of(judgement: &Judgement) -> Self {
        match judgement {
            Judgement::Intact => Self::INTACT,
            Judgement::Absent => Self::ABSENT,
            Judgement::Torn { path, offset, cut_bytes } => Self {
                state: "torn",
                path: Some(path.display().to_string()),
                offset: Some(*offset),
                cut_bytes: Some(*cut_bytes),
                what: Some("the last write did not end; a start cuts it off".to_owned()),
            },
            Judgement::Corrupt { path, offset, what } => {
                Self { offset: *offset, ..Self::corrupt(path, what.clone()) }
            }
            Judgement::Unreadable { what } => Self::unreadable(what.clone()),
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.state {
            "intact" | "absent" => Verdict::Intact,
            "torn" => Verdict::Torn,
            _ => Verdict::Damaged,
        }
    }
}
