//! Configuration changes at apply: judged against the membership, then raft, membership and peers follow, in this order.

use std::{sync::Arc, time::Duration};

use state::{MemberEvent, StateError};
use wire::raftpb;

use super::{
    apply::{Applier, decode_change},
    stop::StopReason,
    waiters::Outcome,
};

/// A removed member stays this long, so that the others learn of the removal from it.
const LINGER: Duration = Duration::from_secs(1);

impl Applier {
    /// Applies the change of a type-1 entry.
    pub(super) fn conf_change(&mut self, entry: &raftpb::Entry) -> Result<(), StateError> {
        let change = decode_change(entry)?;
        let verdict = self.machine.validate_conf_change(&change);
        let accepted = verdict.is_ok().then(|| change.clone());
        let Ok(conf_state) = self.server.raft.conf_change_applied(accepted) else {
            // The owner has stopped and said why.
            return Ok(());
        };
        self.conf_state = conf_state;
        let event = self.machine.apply_conf_change(entry, &change, &self.conf_state)?;
        self.machine.finish_batch()?;
        self.follow(&event);
        let outcome = verdict.map(|()| self.server.membership.members());
        self.server.waiters.complete(change.id, Outcome::Members(outcome));
        Ok(())
    }

    /// The transport follows the membership.
    fn follow(&self, event: &MemberEvent) {
        let server = &self.server;
        let Some(transport) = server.transport.get() else { return };
        match event {
            MemberEvent::Added(member) if member.id != server.member => {
                transport.add_peer(member.id, &member.peer_urls);
            }
            MemberEvent::Updated(member) if member.id != server.member => {
                transport.update_peer(member.id, &member.peer_urls);
            }
            MemberEvent::Removed(id) if *id == server.member => {
                let server = Arc::clone(server);
                server.runtime.clone().spawn(async move {
                    tokio::time::sleep(LINGER).await;
                    StopReason::Removed.set(&server.stop);
                });
            }
            MemberEvent::Removed(id) => transport.remove_peer(*id),
            _ => {}
        }
    }

    /// After a snapshot replaced the membership: forget all peers, meet those of the new one.
    pub(super) fn follow_all(&self) {
        let Some(transport) = self.server.transport.get() else { return };
        transport.remove_all_peers();
        for member in self.server.membership.members() {
            if member.id != self.server.member {
                transport.add_peer(member.id, &member.peer_urls);
            }
        }
    }
}
