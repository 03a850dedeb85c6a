//! Every configuration that a log leads to from its snapshot on, and the changes that were not applied.

use prost::Message as _;
use state::membership::{Projection, describe};
use wal::{ConfChangeRecord, Examination, snap::SnapReport};
use wire::raftpb::{ConfChange, EntryType};

use super::report::{Configuration, Member, Membership, PendingChange};

/// How far things went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) applied: Option<u64>,
    pub(super) commit: u64,
}

/// What a log says of the membership.
#[derive(Debug)]
pub(super) struct History {
    pub(super) configurations: Vec<Configuration>,
    pub(super) pending: Vec<PendingChange>,
    /// At the commit index.
    pub(super) membership: Option<Membership>,
    pub(super) findings: Vec<String>,
}

/// Follows the log from a snapshot, or from its beginning.
pub(super) fn follow(examined: &Examination, start: Option<&SnapReport>, reach: Reach) -> History {
    let mut history = History {
        configurations: Vec::new(),
        pending: Vec::new(),
        membership: None,
        findings: Vec::new(),
    };
    let from = start.map_or(0, |snapshot| snapshot.index);
    let pending = |change: &&ConfChangeRecord| change.index > reach.applied.unwrap_or(from);
    history.pending = examined
        .conf_changes
        .iter()
        .filter(pending)
        .map(|one| pending_change(one, reach))
        .collect();
    let mut projection = match base(examined, start) {
        Ok(Some(projection)) => projection,
        Ok(None) => return history,
        Err(what) => {
            history.findings.push(what);
            return history;
        }
    };
    if let Some(snapshot) = start {
        let configuration = configuration(&projection, (snapshot.term, snapshot.index), reach);
        history.configurations.push(configuration);
    }
    let mut committed = projection.clone();
    for record in examined.conf_changes.iter().filter(|record| record.index > from) {
        let change = decode(record);
        let outcome = match &change {
            Some(change) => projection.follow(change).map_err(|error| error.to_string()),
            None => Err("it does not decode".to_owned()),
        };
        match outcome {
            Ok(()) => {
                let at = (record.term, record.index);
                history.configurations.push(configuration(&projection, at, reach));
            }
            Err(why) => {
                let finding =
                    format!("the configuration change {} changes nothing: {why}", record.index);
                history.findings.push(finding);
            }
        }
        if record.index <= reach.commit {
            committed = projection.clone();
        }
    }
    history.membership = Some(membership(&committed));
    history
}

/// The membership that the first change to follow is made to.
fn base(examined: &Examination, start: Option<&SnapReport>) -> Result<Option<Projection>, String> {
    match start {
        None if examined.first_index <= 1 && examined.metadata.is_some() => {
            Ok(Some(Projection::default()))
        }
        None => Ok(None),
        Some(SnapReport { content: Ok(snapshot), .. }) => {
            let v2 = snapshot.data.as_deref().unwrap_or_default();
            let projection = Projection::from_snapshot(v2);
            projection.map(Some).map_err(|error| {
                format!("the membership in the newest snapshot cannot be read: {error}")
            })
        }
        Some(_) => Ok(None),
    }
}

fn decode(record: &ConfChangeRecord) -> Option<ConfChange> {
    if record.entry.r#type() != EntryType::EntryConfChange {
        return None;
    }
    ConfChange::decode(record.entry.data.clone().unwrap_or_default()).ok()
}

fn configuration(projection: &Projection, at: (u64, u64), reach: Reach) -> Configuration {
    let (term, index) = at;
    let state = match reach.applied {
        Some(applied) if index <= applied => "applied",
        _ if index <= reach.commit => "committed",
        _ => "uncommitted",
    };
    let texts = |learners| projection.ids(learners).iter().map(ToString::to_string).collect();
    Configuration { term, index, state, voters: texts(false), learners: texts(true) }
}

fn pending_change(record: &ConfChangeRecord, reach: Reach) -> PendingChange {
    let change =
        decode(record).unwrap_or_else(|| ConfChange { r#type: -1, ..ConfChange::default() });
    let (word, peer_urls) = describe(&change);
    PendingChange {
        term: record.term,
        index: record.index,
        committed: record.index <= reach.commit,
        change: word,
        member_id: base::MemberId::new(change.node_id).to_string(),
        peer_urls,
    }
}

fn membership(projection: &Projection) -> Membership {
    let members: Vec<Member> = projection.members().into_iter().map(super::member).collect();
    Membership {
        source: "log",
        cluster_version: projection.version(),
        members,
        removed: projection.removed().iter().map(ToString::to_string).collect(),
    }
}
