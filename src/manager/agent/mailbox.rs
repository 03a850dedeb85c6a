//! Carries raft messages to the other agents: a bounded queue and a task for each of them. What does
//! not fit or arrive is dropped and reported; raft sends it again.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use prost::Message as _;
use tokio::{runtime::Handle, sync::mpsc};
use wire::{
    agentpb::PostRequest,
    raftpb::{Message, MessageType},
};

use super::peers::Peers;
use crate::control::{Control, Post, seat::Contact};

/// Messages waiting for one agent.
const QUEUE_MAX: usize = 512;
/// Messages in one call.
const BATCH_MAX: usize = 64;

/// The outgoing side.
#[derive(Debug)]
pub(crate) struct Mailbox {
    runtime: Handle,
    peers: Arc<Peers>,
    /// Set right after the control group is opened.
    control: OnceLock<Control>,
    addresses: Arc<Mutex<BTreeMap<u64, String>>>,
    queues: Mutex<BTreeMap<u64, mpsc::Sender<Message>>>,
}

impl Mailbox {
    pub(crate) fn new(peers: Arc<Peers>) -> Self {
        Self {
            runtime: Handle::current(),
            peers,
            control: OnceLock::new(),
            addresses: Arc::default(),
            queues: Mutex::default(),
        }
    }

    /// Where reports go.
    pub(crate) fn attach(&self, control: Control) {
        // Once a life.
        self.control.set(control).unwrap_or_default();
    }

    /// Notes where agents are reached.
    pub(crate) fn learn(&self, contacts: impl IntoIterator<Item = Contact>) {
        let mut addresses = self.addresses.lock();
        for Contact { member, address, .. } in contacts {
            if !address.is_empty() {
                addresses.insert(member, address);
            }
        }
    }

    fn queue(&self, to: u64) -> Option<mpsc::Sender<Message>> {
        let control = self.control.get()?;
        let mut queues = self.queues.lock();
        let queue = queues.entry(to).or_insert_with(|| {
            let (queue, inbox) = mpsc::channel(QUEUE_MAX);
            let carrier = Carrier {
                to,
                peers: self.peers.clone(),
                control: control.clone(),
                addresses: self.addresses.clone(),
            };
            self.runtime.spawn(carrier.run(inbox));
            queue
        });
        Some(queue.clone())
    }
}

impl Post for Mailbox {
    fn send(&self, message: Message) {
        let (to, is_snapshot) = (message.to, message.r#type() == MessageType::MsgSnap);
        let is_taken = self.queue(to).is_some_and(|queue| queue.try_send(message).is_ok());
        if !is_taken && let Some(control) = self.control.get() {
            control.report(to, is_snapshot.then_some(false));
        }
    }
}

struct Carrier {
    to: u64,
    peers: Arc<Peers>,
    control: Control,
    addresses: Arc<Mutex<BTreeMap<u64, String>>>,
}

impl Carrier {
    async fn run(self, mut inbox: mpsc::Receiver<Message>) {
        let mut batch = Vec::new();
        while inbox.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let snapshots =
                batch.iter().filter(|message| message.r#type() == MessageType::MsgSnap).count();
            let sent = self.carry(std::mem::take(&mut batch)).await;
            if let Err(reason) = &sent {
                tracing::debug!(to = format_args!("{:x}", self.to), "not sent: {reason}");
                self.control.report(self.to, None);
            }
            for _ in 0..snapshots {
                self.control.report(self.to, Some(sent.is_ok()));
            }
        }
    }

    async fn carry(&self, batch: Vec<Message>) -> Result<(), String> {
        let address = self.addresses.lock().get(&self.to).cloned();
        let address = address.ok_or("its address is not known")?;
        let (_, group) = self.control.membership().ok_or("this agent is in no group")?;
        let messages = batch.iter().map(|message| message.encode_to_vec().into()).collect();
        self.peers.post(&address, PostRequest { group, messages }).await
    }
}
