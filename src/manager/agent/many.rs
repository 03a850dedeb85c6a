//! What an agent among others has besides: its `agent.toml`, its seat, and the ways to the others.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{mailbox::Mailbox, peers::Peers};
use crate::{
    control::{
        Control, ControlError,
        seat::{Contact, Seat},
        state::ControlState,
    },
    spec::agent_file::AgentFile,
};

/// The part of the agent that knows of others.
#[derive(Debug)]
pub(crate) struct Many {
    pub(crate) file: AgentFile,
    pub(crate) peers: Arc<Peers>,
    mailbox: Arc<Mailbox>,
    /// One change at a time: each is durable before it is answered.
    seat: Mutex<Seat>,
}

impl Many {
    pub(crate) fn new(
        file: AgentFile,
        peers: Arc<Peers>,
        mailbox: Arc<Mailbox>,
        seat: Seat,
    ) -> Self {
        mailbox.learn(seat.contacts().iter().cloned());
        Self { file, peers, mailbox, seat: Mutex::new(seat) }
    }

    /// Where other agents reach this one.
    pub(crate) fn address(&self) -> String {
        self.file.listen.to_string()
    }

    /// The seat now.
    pub(crate) async fn seat(&self) -> Seat {
        self.seat.lock().await.clone()
    }

    /// Changes the seat, durably, and takes part in the group if it is one in a group now.
    ///
    /// # Errors
    /// Why it was not changed, for the one who asked.
    pub(crate) async fn change_seat(
        &self,
        control: &Control,
        change: impl FnOnce(&mut Seat) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut seat = self.seat.lock().await;
        let mut changed = seat.clone();
        change(&mut changed)?;
        if changed == *seat {
            return Ok(());
        }
        self.mailbox.learn(changed.contacts().iter().cloned());
        let taken = control.take_seat(&changed, self.mailbox.clone());
        taken.map_err(|error: ControlError| base::ErrorChain(&error).to_string())?;
        *seat = changed;
        Ok(())
    }

    /// Follows the state for the addresses of agents.
    pub(crate) async fn follow_addresses(self: Arc<Self>, control: Control) {
        let mut states = control.watch();
        loop {
            let contacts = contacts(&states.borrow_and_update());
            self.mailbox.learn(contacts);
            if states.changed().await.is_err() {
                return;
            }
        }
    }
}

/// The agents of a group as the log says.
pub(crate) fn contacts(state: &ControlState) -> Vec<Contact> {
    let agents = state.group.agents.iter();
    agents
        .map(|(member, agent)| Contact {
            member: *member,
            host: agent.host.clone(),
            address: agent.address.clone(),
        })
        .collect()
}
