//! `etcd-node inspect`: what a stopped member's data dir knows and how whole it is. Opens nothing for writing and repairs
//! nothing; log, snapshots and backend are judged apart. Reads the dirs of a Go etcd, too.

pub mod command;
mod history;
mod log;
mod report;
mod store;
mod table;
#[cfg(test)]
mod tests;

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use disk::{Disk, DiskLock};
use records::Marker;
use wal::WalError;

use self::{history::Reach, log::Found, store::Facts};
pub use self::{
    report::{
        Alarm, Configuration, HardState, INSPECT_SCHEMA, Integrity, Kind, Log, Managed, Member,
        Membership, OtherFile, PendingChange, Position, Report, Segment, SnapFile, Snapshots,
        Store, Verdict,
    },
    table::table,
};
use crate::startup::Layout;

/// Why a dir is not inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// A node runs on it. Stop it first.
    #[error("the data dir is in use: a process holds the lock of {}", path.display())]
    InUse {
        /// The locked file.
        path: PathBuf,
    },
    /// The disk does not let itself be read.
    #[error("cannot {what} {}", path.display())]
    Unreadable {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The segments of the log cannot be locked.
    #[error("lock the log")]
    Lock(#[source] WalError),
}

/// Looks into a data dir. `wal_dir` is `member/wal` in it unless the log is elsewhere.
///
/// # Errors
/// See [`InspectError`]; damage is none, but stands in the report.
pub fn inspect(
    disk: &Arc<dyn Disk>,
    data_dir: &Path,
    wal_dir: Option<&Path>,
) -> Result<Report, InspectError> {
    let own_wal = data_dir.join("member").join("wal");
    let layout = Layout::new(data_dir, wal_dir.unwrap_or(&own_wal));
    let _locks = lock(&**disk, &layout)?;
    let kind = kind(&**disk, &layout)?;
    let found = log::look(disk, &layout.wal, &layout.snap);
    let (backend, facts) = match kind {
        Kind::GoEtcd => store::look_bolt(&**disk, &layout.guard),
        _ => store::look_redb(&**disk, &layout.store),
    };
    let mut report = put_together(&layout, kind, found, (backend, facts));
    match Marker::read(&**disk, data_dir) {
        Ok(marker) => report.managed = marker.map(managed),
        Err(error) => {
            // R13
            let text = base::ErrorChain(&error).to_string();
            report.findings.insert(0, format!("the marker of a managed dir is of no use: {text}"));
            report.verdict = Verdict::Damaged;
        }
    }
    Ok(report)
}

fn managed(marker: Marker) -> Managed {
    Managed {
        record: marker.record.display().to_string(),
        claim: marker.claim.to_string(),
        cluster_uuid: marker.identity.cluster.to_string(),
        epoch: marker.identity.epoch.get(),
        token: marker.identity.token,
    }
}

/// Keeps members from starting meanwhile. A Go etcd locks the segments of its log, ours `member/lock` as well.
fn lock(disk: &dyn Disk, layout: &Layout) -> Result<Vec<Box<dyn DiskLock>>, InspectError> {
    let mut held = match disk.lock_shared(&layout.lock) {
        Ok(lock) => vec![lock],
        Err(error) => match error.kind() {
            ErrorKind::NotFound => Vec::new(),
            ErrorKind::WouldBlock => return Err(InspectError::InUse { path: layout.lock.clone() }),
            _ => return Err(unreadable("lock", &layout.lock)(error)),
        },
    };
    held.extend(wal::lock_shared(disk, &layout.wal).map_err(|error| match error {
        WalError::Locked { path } => InspectError::InUse { path },
        error => InspectError::Lock(error),
    })?);
    Ok(held)
}

fn kind(disk: &dyn Disk, layout: &Layout) -> Result<Kind, InspectError> {
    let exists = |path: &Path| disk.exists(path).map_err(unreadable("look for", path));
    let (member, proxy) = (exists(&layout.member)?, exists(&layout.data.join("proxy"))?);
    let formed = wal::exists(disk, &layout.wal).map_err(unreadable("list", &layout.wal))?;
    if proxy {
        return Ok(if member { Kind::Tombstone } else { Kind::Proxy });
    }
    if !exists(&layout.data)? && !formed {
        return Ok(Kind::Absent);
    }
    let guard = layout.guard(disk).map_err(unreadable("read", &layout.guard))?;
    let has_store = exists(&layout.store)?;
    Ok(match guard {
        Some(true) => Kind::EtcdNode,
        Some(false) => Kind::GoEtcd,
        None if has_store => Kind::EtcdNode,
        None if formed => Kind::GoEtcd,
        None if member => Kind::Empty,
        None => {
            let items = disk.list(&layout.data).map_err(unreadable("list", &layout.data))?;
            if items.is_empty() { Kind::Empty } else { Kind::Unknown }
        }
    })
}

fn put_together(
    layout: &Layout,
    kind: Kind,
    found: Found,
    (backend, facts): (Store, Option<Facts>),
) -> Report {
    let Found { examined, log, snapshots, start } = found;
    let commit = examined.hard_state.as_ref().map_or(0, |state| state.commit);
    let applied = facts.as_ref().and_then(Facts::consistent_index);
    let history = history::follow(&examined, start.as_ref(), Reach { applied, commit });
    let mut report = Report {
        schema: INSPECT_SCHEMA,
        data_dir: layout.data.display().to_string(),
        wal_dir: layout.wal.display().to_string(),
        kind,
        verdict: Verdict::Intact,
        member_id: examined.metadata.map(|by| base::MemberId::new(by.node_id).to_string()),
        cluster_id: examined.metadata.map(|by| base::ClusterId::new(by.cluster_id).to_string()),
        managed: None,
        last: (examined.last_index > 0)
            .then_some(Position { term: examined.last_term, index: examined.last_index }),
        hard_state: log::hard_state(&examined),
        applied,
        start: start.map(|snapshot| Position { term: snapshot.term, index: snapshot.index }),
        membership: facts.map(Facts::membership).or(history.membership),
        configurations: history.configurations,
        pending: history.pending,
        wal: log,
        snapshots,
        backend,
        findings: history.findings,
    };
    let contradictions = contradictions(&report);
    let parts = [&report.wal.integrity, &report.snapshots.integrity, &report.backend.integrity];
    let worst = parts.into_iter().map(Integrity::verdict).max().unwrap_or(Verdict::Intact);
    report.verdict = if contradictions.is_empty() { worst } else { Verdict::Damaged };
    report.findings.splice(0..0, contradictions);
    report
}

/// Where the parts, each sound by itself, do not fit together.
fn contradictions(report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    let formed = !report.wal.segments.is_empty();
    let last = report.last.map_or(0, |last| last.index);
    if let Some(applied) = report.applied.filter(|applied| formed && *applied > last) {
        // R17
        found.push(format!(
            "the backend has applied entry {applied} but the log ends at {last}: acknowledged entries are missing from it"
        ));
    }
    if !formed && report.applied.is_some_and(|applied| applied > 0) {
        found.push(
            "there is a backend but no log: it was lost or is elsewhere (--wal-dir)".to_owned(),
        );
    }
    if !formed && report.snapshots.files.iter().any(|file| file.index > 0) {
        found.push(
            "there are snapshots but no log: it was lost or is elsewhere (--wal-dir)".to_owned(),
        );
    }
    let start = report.start.map_or(0, |start| start.index);
    let is_read = report.backend.integrity.state == "intact";
    let received = report.snapshots.other_files.iter().any(|file| file.name.ends_with(".snap.db"));
    if formed && is_read && report.applied.unwrap_or(0) < start && !received {
        let applied = report.applied.unwrap_or(0);
        found.push(format!(
            "the backend has applied entry {applied} only, but the newest snapshot is of {start}"
        ));
    }
    if formed && report.backend.integrity.state == "absent" && start > 0 && !received {
        found.push(format!("the backend is missing, and the log begins after entry {start}"));
    }
    if let (Some(member), Some(known)) = (&report.member_id, &report.membership)
        && known.removed.contains(member)
    {
        found.push(format!("member {member} was removed from the cluster: this dir is of no use"));
    }
    found
}

/// A member as it is reported.
fn member(member: state::Member) -> Member {
    Member {
        id: member.id.to_string(),
        name: member.name,
        peer_urls: member.peer_urls,
        client_urls: member.client_urls,
        is_learner: member.is_learner,
    }
}

fn unreadable<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> InspectError + use<'a> {
    move |source| InspectError::Unreadable { what, path: path.to_owned(), source }
}
