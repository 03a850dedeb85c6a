//! Calls to other agents, each with a deadline. A call that fails says nothing about their nodes.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use tls::ClientTls;
use tonic::{Response, Status, transport::Channel};
use wire::agentpb::{
    BeginRequest, EnlistRequest, GreetRequest, GreetResponse, LookRequest, PostRequest,
    PrepareRequest, agent_client::AgentClient, peers_client::PeersClient,
};

use super::link::{self, MESSAGE_BYTES_MAX};
use crate::{
    control::seat::{Contact, Founding},
    observe::sights::HostFacts,
};

/// Longest wait for a short answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// The same for facts, which may take a member list.
pub(crate) const LOOK_MAX: Duration = Duration::from_secs(6);
/// The same for raft messages; a snapshot may be among them.
const POST_MAX: Duration = Duration::from_secs(20);

/// Connections by address.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// None is plain text.
    tls: Option<ClientTls>,
    channels: Mutex<BTreeMap<String, Channel>>,
}

impl Peers {
    /// Calls by these means.
    pub(crate) fn new(tls: Option<ClientTls>) -> Self {
        Self { tls, channels: Mutex::default() }
    }

    fn channel(&self, address: &str) -> Result<Channel, String> {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let channel = link::channel(address, self.tls.as_ref())?;
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    fn client(&self, address: &str) -> Result<PeersClient<Channel>, String> {
        let client = PeersClient::new(self.channel(address)?);
        Ok(client
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// For requests of an operator that are passed on.
    pub(crate) fn agent(&self, address: &str) -> Result<AgentClient<Channel>, String> {
        let client = AgentClient::new(self.channel(address)?);
        Ok(client.max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    pub(crate) async fn greet(&self, address: &str) -> Result<GreetResponse, String> {
        bounded(ANSWER_MAX, self.client(address)?.greet(GreetRequest {})).await
    }

    /// Phase one of a founding; the refusal is an error.
    pub(crate) async fn prepare(&self, address: &str, record: &Founding) -> Result<(), String> {
        let record = serde_json::to_string(record).map_err(|error| error.to_string())?;
        let answer =
            bounded(ANSWER_MAX, self.client(address)?.prepare(PrepareRequest { record })).await?;
        refusal(answer.refused)
    }

    /// Phase two.
    pub(crate) async fn begin(&self, address: &str, record: &Founding) -> Result<(), String> {
        let record = serde_json::to_string(record).map_err(|error| error.to_string())?;
        let answer =
            bounded(ANSWER_MAX, self.client(address)?.begin(BeginRequest { record })).await?;
        refusal(answer.refused)
    }

    /// Tells an agent that the group has admitted it.
    pub(crate) async fn enlist(
        &self,
        address: &str,
        (group, member): (u64, u64),
        contacts: &[Contact],
    ) -> Result<(), String> {
        let contacts = serde_json::to_string(contacts).map_err(|error| error.to_string())?;
        let request = EnlistRequest { group, member, contacts };
        let answer = bounded(ANSWER_MAX, self.client(address)?.enlist(request)).await?;
        refusal(answer.refused)
    }

    pub(crate) async fn post(&self, address: &str, request: PostRequest) -> Result<(), String> {
        bounded(POST_MAX, self.client(address)?.post(request)).await.map(drop)
    }

    pub(crate) async fn look(
        &self,
        address: &str,
        request: LookRequest,
    ) -> Result<HostFacts, String> {
        let answer = bounded(LOOK_MAX, self.client(address)?.look(request)).await?;
        serde_json::from_str(&answer.facts)
            .map_err(|error| format!("its facts are not understood: {error}"))
    }
}

fn refusal(refused: String) -> Result<(), String> {
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(link::reason(&status)),
        Err(_elapsed) => Err(format!("no answer within {limit:?}")),
    }
}
