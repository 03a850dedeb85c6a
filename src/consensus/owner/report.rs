//! Tells the world what became of raft: leadership at each change, positions now and then.

use base::{Index, MemberId, Term};
use raft::StateRole;

use super::Owner;
use crate::{Host, Role, Status};

/// What is published at each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Leadership {
    term: u64,
    leader: u64,
    role: Role,
    transferee: u64,
}

impl<H: Host> Owner<H> {
    pub(super) fn publish(&mut self) {
        let raft = &self.raw.raft;
        self.shared.set_commit(raft.raft_log.committed);
        let leadership = Leadership {
            term: raft.term,
            leader: raft.leader_id,
            role: role(raft.state),
            transferee: raft.lead_transferee.unwrap_or_default(),
        };
        if leadership == self.leadership && !self.sample {
            return;
        }
        self.leadership = leadership;
        self.sample = false;
        let status = self.current(leadership);
        self.status.send_if_modified(|published| {
            let changed = *published != status;
            *published = status;
            changed
        });
    }

    fn current(&self, leadership: Leadership) -> Status {
        let raft = &self.raw.raft;
        let member = |id| (id != 0).then(|| MemberId::new(id));
        let mut progress = Vec::new();
        if leadership.role == Role::Leader {
            let matched = |(id, peer): (&u64, &raft::Progress)| {
                (MemberId::new(*id), Index::new(peer.matched))
            };
            progress.extend(raft.prs().iter().map(matched));
            progress.sort_unstable();
        }
        Status {
            id: MemberId::new(raft.id),
            term: Term::new(leadership.term),
            leader: member(leadership.leader),
            role: leadership.role,
            commit: Index::new(raft.raft_log.committed),
            applied: Index::new(self.shared.applied()),
            last_index: Index::new(raft.raft_log.last_index()),
            progress,
            transferee: member(leadership.transferee),
        }
    }
}

fn role(state: StateRole) -> Role {
    match state {
        StateRole::Follower => Role::Follower,
        StateRole::PreCandidate => Role::PreCandidate,
        StateRole::Candidate => Role::Candidate,
        StateRole::Leader => Role::Leader,
    }
}
