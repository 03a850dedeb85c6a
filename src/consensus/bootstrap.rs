//! The first entries of a new cluster, the same on each of its members (and on Go's).

use base::MemberId;
use bytes::Bytes;
use prost::Message as _;
use wire::raftpb::{ConfChange, ConfChangeType, Entry, EntryType, HardState};

/// Entries 1..=n of term 1, each adding one member, and the state that says that they are committed.
///
/// The members come in the order given (etcd: by id) with what each change carries as context
/// (etcd: the member's JSON). They go into the log before raft starts.
#[must_use]
pub fn bootstrap_entries(members: &[(MemberId, Bytes)]) -> (Vec<Entry>, HardState) {
    let entries: Vec<Entry> =
        (1..).zip(members).map(|(index, member)| entry(index, member)).collect();
    let commit = entries.last().map_or(0, |entry| entry.index);
    (entries, HardState { term: 1, vote: 0, commit })
}

fn entry(index: u64, (id, context): &(MemberId, Bytes)) -> Entry {
    let change = ConfChange {
        id: 0,
        r#type: ConfChangeType::ConfChangeAddNode.into(),
        node_id: id.get(),
        context: Some(context.clone()),
    };
    Entry {
        r#type: EntryType::EntryConfChange.into(),
        term: 1,
        index,
        data: Some(change.encode_to_vec().into()),
    }
}
