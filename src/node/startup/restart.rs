//! Goes on from a log: newest snapshot, store, then the entries after it, which raft will apply.

use std::sync::Arc;

use base::{ClusterId, Index, MemberId};
use consensus::Durable;
use state::Machine;
use wal::{Replay, Wal, snap::SnapDir};
use wire::{raftpb, walpb};

use super::{Begun, Start, StartupError, bootstrap};

pub(super) fn restart(start: &Start<'_>) -> Result<Begun, StartupError> {
    let disk = &start.around.disk;
    let snaps = SnapDir::new(Arc::clone(disk), &start.layout.snap);
    let marks = wal::snapshot_marks(&**disk, &start.layout.wal)
        .map_err(StartupError::log("read the snapshot marks of"))?;
    let newest = snaps.newest(&marks).map_err(StartupError::log("find the newest snapshot of"))?;
    let from = newest.as_ref().map_or_else(walpb::Snapshot::default, mark);
    let (wal, replay) = Wal::open(Arc::clone(disk), &start.layout.wal, &from, start.wal_config())
        .map_err(StartupError::log("open"))?;
    if replay.repaired {
        tracing::warn!("the log's end was torn by a crash and was repaired");
    }
    let member = MemberId::new(replay.metadata.node_id);
    let cluster = ClusterId::new(replay.metadata.cluster_id);
    if is_unfilled(&replay, newest.as_ref())
        && bootstrap::begins(start, (member, cluster), &replay.entries)
    {
        tracing::info!("a first start was interrupted: its log is filled now");
        return bootstrap::fill(start, wal, start.recover_store((member, cluster), None)?);
    }
    let mut opened = start.recover_store((member, cluster), newest.as_ref())?;
    check_log_end(&opened.machine, &replay, from.index)?;
    if let Some(snapshot) = &newest {
        opened.machine.restore(snapshot.data.as_deref().unwrap_or_default())?;
    }
    check_membership(&opened.machine, member)?;
    start.sweep(from.index);
    tracing::info!(
        %member,
        %cluster,
        snapshot = from.index,
        consistent_index = %opened.machine.consistent_index(),
        entries = replay.entries.len(),
        commit = replay.hard_state.commit,
        "restarting local member"
    );
    let durable = Durable {
        wal,
        snaps,
        snapshot: newest.map(|snapshot| snapshot.metadata).unwrap_or_default(),
        hard_state: replay.hard_state,
        entries: replay.entries,
        applied: Index::new(from.index),
    };
    Ok(Begun { member, cluster, durable, opened, remotes: Vec::new() })
}

fn mark(snapshot: &raftpb::Snapshot) -> walpb::Snapshot {
    walpb::Snapshot {
        index: snapshot.metadata.index,
        term: snapshot.metadata.term,
        conf_state: None,
    }
}

/// A log without any state: its making was interrupted, or it joined and never heard the leader.
fn is_unfilled(replay: &Replay, newest: Option<&raftpb::Snapshot>) -> bool {
    newest.is_none() && replay.hard_state == raftpb::HardState::default()
}

/// What was applied had been synced to the log before: a log that ends earlier lost acknowledged
/// entries, and its member might vote against what it promised.
fn check_log_end(machine: &Machine, replay: &Replay, snapshot: u64) -> Result<(), StartupError> {
    let last = replay.entries.last().map_or(snapshot, |entry| entry.index);
    let consistent = machine.consistent_index();
    if consistent > Index::new(last) {
        // R17
        return Err(StartupError::Inconsistent(format!(
            "the store has applied entry {consistent} but the log ends at {last}: acknowledged entries are missing from it"
        )));
    }
    Ok(())
}

fn check_membership(machine: &Machine, member: MemberId) -> Result<(), StartupError> {
    if machine.membership.is_removed(member) {
        return Err(StartupError::Removed(member));
    }
    let own = crate::own_version();
    let decided = machine.membership.cluster_version();
    let decided = decided.and_then(|text| semver::Version::parse(&text).ok());
    match decided {
        Some(decided) if (decided.major, decided.minor) > (own.major, own.minor) => {
            Err(StartupError::DataDir(format!(
                "invalid downgrade; server version is lower than determined cluster version (server {own}, cluster {decided})"
            )))
        }
        _ => Ok(()),
    }
}
