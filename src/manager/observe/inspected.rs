//! What `etcd-node inspect` says of a stopped node whose start failed: damage behind the head of its log, or in its store.
//! It runs beside the looks; until it has ended, what the dir holds is unknown. Reads only.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use base::{Index, Term};
use disk::Disk;
use lineage::{EntryId, LogPosition};
use parking_lot::Mutex;
use serde::Deserialize;

use super::Places;
use crate::{
    agent::cluster::Cluster,
    guarded,
    plan::{DataDir, Fact},
    spec::Binary,
    supervise::{
        child,
        classify::Cause,
        state::{NodeState, Phase},
    },
};

/// One inspection per node and state of its files.
#[derive(Debug, Default)]
pub(crate) struct Inspections(Mutex<BTreeMap<String, Inspection>>);

#[derive(Debug)]
struct Inspection {
    run: u64,
    files: Vec<File>,
    /// None while it runs.
    outcome: Option<Outcome>,
}

/// A file whose change makes an inspection out of date: path, size, time.
type File = (PathBuf, u64, Option<SystemTime>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Damaged,
    /// Older than its record's mark (R17).
    Stale,
    /// Sound, or not known: what the head of the log says counts.
    NotDamaged,
}

/// The part of the document that counts here (docs/inspect-json.md).
#[derive(Deserialize)]
struct Report {
    wal: Part,
    snapshots: Part,
    backend: Part,
    last: Option<EntryId>,
    hard_state: Option<HardState>,
}

#[derive(Deserialize)]
struct HardState {
    term: Term,
    commit: Index,
}

#[derive(Deserialize)]
struct Part {
    integrity: Integrity,
}

#[derive(Deserialize)]
struct Integrity {
    state: String,
}

/// What an inspection adds to a look at a node's dir, if the node's end gives a reason for one. The first call begins it.
pub(super) fn of(
    cluster: &Cluster,
    name: &str,
    node: &NodeState,
    (data_dir, wal_dir): Places,
) -> Option<Fact<DataDir>> {
    let run = suspicious(node)?;
    let files = files(&data_dir, wal_dir.as_deref());
    let mut known = cluster.inspections.0.lock();
    if let Some(last) = known.get(name)
        && (last.outcome.is_none() || (last.run == run && last.files == files))
    {
        return match last.outcome {
            None => Some(unknown()),
            Some(Outcome::Damaged) => Some(Fact::Known(DataDir::Damaged)),
            Some(Outcome::Stale) => Some(Fact::Known(DataDir::Stale)),
            Some(Outcome::NotDamaged) => None,
        };
    }
    known.insert(name.to_owned(), Inspection { run, files, outcome: None });
    drop(known);
    let inspector = Binary::InTree.resolve(&cluster.tools.manager);
    let (inspections, changes) = (cluster.inspections.clone(), cluster.changes.clone());
    let (name, disk) = (name.to_owned(), cluster.tools.disk.clone());
    tokio::task::spawn_blocking(move || {
        let outcome = inspect(&inspector, &disk, (&data_dir, wal_dir.as_deref()));
        if let Some(inspection) = inspections.0.lock().get_mut(&name) {
            inspection.outcome = Some(outcome);
        }
        changes.send_modify(|count| *count = count.wrapping_add(1));
    });
    Some(unknown())
}

fn unknown() -> Fact<DataDir> {
    Fact::Unknown("its data dir is being inspected, because its start failed".to_owned())
}

/// The run that ended so that its data dir may be the reason; only where nothing starts it again soon.
fn suspicious(node: &NodeState) -> Option<u64> {
    let end = node.last_end.as_ref()?;
    let is_reason = match (&node.phase, end.cause) {
        (Phase::Held | Phase::Down, cause) => {
            matches!(cause, Cause::DataDirDamaged | Cause::DataLost)
        }
        (Phase::Pausing { crash_loop: true, .. }, cause) => {
            matches!(cause, Cause::DataDirDamaged | Cause::Panicked | Cause::Failed)
        }
        _ => false,
    };
    is_reason.then_some(end.run)
}

fn inspect(
    inspector: &Path,
    disk: &Arc<dyn Disk>,
    (data_dir, wal_dir): (&Path, Option<&Path>),
) -> Outcome {
    // Without an inspector, or of a dir that it cannot read, no more is known than before.
    let said = child::inspect(inspector, data_dir, wal_dir);
    said.map_or(Outcome::NotDamaged, |document| {
        judge(&document, |log| guarded::is_stale(disk, data_dir, log))
    })
}

/// Damaged is what fails its own check: not what the disk does not give, nor what merely looks odd beside something else.
fn judge(document: &[u8], is_stale: impl Fn(&LogPosition) -> bool) -> Outcome {
    let Ok(report) = serde_json::from_slice::<Report>(document) else { return Outcome::NotDamaged };
    let parts = [report.wal, report.snapshots, report.backend];
    if parts.iter().any(|part| part.integrity.state == "corrupt") {
        return Outcome::Damaged;
    }
    // A log without a hard state has never acknowledged anything, as far as it says.
    let log = report.last.map(|last| LogPosition {
        term: report.hard_state.as_ref().map_or_else(Term::default, |state| state.term),
        commit: report.hard_state.as_ref().map_or_else(Index::default, |state| state.commit),
        last,
    });
    match log {
        Some(log) if is_stale(&log) => Outcome::Stale,
        _ => Outcome::NotDamaged,
    }
}

fn files(data_dir: &Path, wal_dir: Option<&Path>) -> Vec<File> {
    let member = data_dir.join("member");
    let wal = wal_dir.map_or_else(|| member.join("wal"), Path::to_owned);
    let folders = [wal, member.join("snap"), member.join("kv")];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut files: Vec<File> = entries
        .filter_map(|entry| {
            let about = entry.metadata().ok()?;
            Some((entry.path(), about.len(), about.modified().ok()))
        })
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(wal: &str, backend: &str) -> Vec<u8> {
        let part = |state: &str| serde_json::json!({ "integrity": { "state": state } });
        let (wal, backend) = (part(wal), part(backend));
        serde_json::json!({ "schema": 1, "wal": wal, "snapshots": part("intact"), "backend": backend })
            .to_string()
            .into_bytes()
    }

    #[test]
    fn only_a_failed_check_is_damage() {
        let judge = |document: &[u8]| judge(document, |_| false);
        assert_eq!(judge(&document("corrupt", "intact")), Outcome::Damaged);
        assert_eq!(judge(&document("intact", "corrupt")), Outcome::Damaged);
        for (wal, backend) in
            [("torn", "absent"), ("unreadable", "intact"), ("intact", "unreadable")]
        {
            assert_eq!(judge(&document(wal, backend)), Outcome::NotDamaged, "{wal} {backend}");
        }
        assert_eq!(judge(b"no document"), Outcome::NotDamaged);
    }

    #[test]
    fn a_sound_log_that_ends_before_its_mark_is_stale_and_a_damaged_one_is_damaged() {
        let position = |wal: &str| {
            let mut document: serde_json::Value =
                serde_json::from_slice(&document(wal, "intact")).unwrap();
            document["last"] = serde_json::json!({ "term": 2, "index": 7 });
            document["hard_state"] = serde_json::json!({ "term": 3, "vote": null, "commit": 6 });
            document.to_string().into_bytes()
        };
        let ends_before = |index: u64| {
            move |log: &LogPosition| log.term.get() == 3 && log.last.index.get() < index
        };
        assert_eq!(judge(&position("intact"), ends_before(8)), Outcome::Stale);
        assert_eq!(judge(&position("intact"), ends_before(7)), Outcome::NotDamaged);
        assert_eq!(judge(&position("corrupt"), ends_before(8)), Outcome::Damaged);
        assert_eq!(judge(&document("intact", "intact"), |_| true), Outcome::NotDamaged);
    }
}
