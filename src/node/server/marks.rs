//! Writes a managed member's high-water mark into its record, about once a second, off the commit path (R17).

use std::{sync::Arc, time::Duration};

use base::{ErrorChain, Index, Revision, Term};
use consensus::{Role, Status};
use lineage::HighWater;
use records::Record;

use super::{Server, stop::StopReason};

const MARK_EVERY: Duration = Duration::from_secs(1);

/// Keeps the mark up to date until the member ends. A record that cannot be written ends the member.
pub(super) async fn run(server: Arc<Server>, record: Arc<Record>) {
    let mut written = HighWater::default();
    let mut pace = tokio::time::interval(MARK_EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let mark = mark(&server.raft_status(), Revision::new(server.kv().revision()));
        if mark == written || mark.term == Term::new(0) {
            continue;
        }
        let target = Arc::clone(&record);
        match tokio::task::spawn_blocking(move || target.write(&mark)).await {
            Ok(Ok(())) => written = mark,
            Ok(Err(error)) => {
                let text = ErrorChain(&error).to_string();
                let text = format!("the record cannot be written any more: {text}");
                return StopReason::failed(&server.stop, text);
            }
            // The runtime ends.
            Err(_) => return,
        }
    }
}

/// A status is published between steps of raft, so all of it is in the log and synced. What a follower holds beyond the
/// commit index may still be replaced within its term, so it is no mark; a leader's log is never cut in its term.
fn mark(status: &Status, revision: Revision) -> HighWater {
    let commit = status.commit.min(status.last_index);
    let acknowledged: Index = match status.role {
        Role::Leader => status.last_index,
        Role::Follower | Role::PreCandidate | Role::Candidate => commit,
    };
    HighWater { term: status.term, acknowledged, commit, revision }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_s_tail_is_no_mark() {
        let mut status = Status {
            term: Term::new(3),
            commit: Index::new(7),
            last_index: Index::new(9),
            ..Status::default()
        };
        assert_eq!(mark(&status, Revision::new(1)).acknowledged, Index::new(7));
        status.role = Role::Leader;
        assert_eq!(mark(&status, Revision::new(1)).acknowledged, Index::new(9));
    }
}
