//! What other agents ask of this one. Nothing here changes a node: agents act on committed entries.

use std::{sync::Arc, time::Duration};

use prost::Message as _;
use tonic::{Request, Response, Status};
use wire::{
    agentpb::{
        BeginRequest, BeginResponse, EnlistRequest, EnlistResponse, GreetRequest, GreetResponse,
        LookRequest, LookResponse, PostRequest, PostResponse, PrepareRequest, PrepareResponse,
        greet_response::Standing as GreetStanding, peers_server::Peers,
    },
    raftpb,
};

use super::{caller::Caller, cluster::Cluster, many::Many};
use crate::{
    control::{
        entry::ENTRY_VERSION,
        seat::{Founding, Standing},
    },
    observe, spec,
};

/// How long a look waits until what the asker knows is known here.
const CATCH_UP_MAX: Duration = Duration::from_secs(3);

/// Serves the calls.
#[derive(Debug)]
pub(crate) struct PeerService {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) many: Arc<Many>,
}

#[tonic::async_trait]
impl Peers for PeerService {
    async fn greet(&self, _: Request<GreetRequest>) -> Result<Response<GreetResponse>, Status> {
        let seat = self.many.seat().await;
        let (standing, group, ballot) = match &seat.standing {
            Standing::Blank => (GreetStanding::Blank, 0, 0),
            Standing::Promised { founding } => {
                (GreetStanding::Promised, founding.group, founding.ballot)
            }
            Standing::Founder { founding } => (GreetStanding::Seated, founding.group, 0),
            Standing::Enlisted { group, .. } => (GreetStanding::Seated, *group, 0),
        };
        let digest = self.many.file.spec.as_ref().and_then(|path| spec::load(path).ok());
        Ok(Response::new(GreetResponse {
            host: self.many.file.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            member: seat.member,
            standing: standing.into(),
            group,
            ballot,
            entry_version: ENTRY_VERSION,
            lost: seat.lost,
            spec_digest: digest.map(|loaded| loaded.digest).unwrap_or_default(),
            life: self.cluster.control.life(),
            applied: self.cluster.control.state().applied,
        }))
    }

    async fn prepare(
        &self,
        request: Request<PrepareRequest>,
    ) -> Result<Response<PrepareResponse>, Status> {
        let founding = founding(&request.into_inner().record)?;
        let host = &self.many.file.host;
        let promised =
            self.many.change_seat(&self.cluster.control, |seat| seat.promise(founding, host)).await;
        Ok(Response::new(PrepareResponse { refused: promised.err().unwrap_or_default() }))
    }

    async fn begin(
        &self,
        request: Request<BeginRequest>,
    ) -> Result<Response<BeginResponse>, Status> {
        let founding = founding(&request.into_inner().record)?;
        let begun = self.many.change_seat(&self.cluster.control, |seat| seat.begin(founding)).await;
        Ok(Response::new(BeginResponse { refused: begun.err().unwrap_or_default() }))
    }

    async fn enlist(
        &self,
        request: Request<EnlistRequest>,
    ) -> Result<Response<EnlistResponse>, Status> {
        let EnlistRequest { group, member, contacts } = request.into_inner();
        let contacts = serde_json::from_str(&contacts)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let enlisted = self
            .many
            .change_seat(&self.cluster.control, |seat| seat.enlist(group, member, contacts))
            .await;
        Ok(Response::new(EnlistResponse { refused: enlisted.err().unwrap_or_default() }))
    }

    async fn post(&self, request: Request<PostRequest>) -> Result<Response<PostResponse>, Status> {
        let caller = request.extensions().get::<Option<Caller>>().cloned().flatten();
        let PostRequest { group, messages } = request.into_inner();
        self.check_group(group)?;
        for message in messages {
            let message = raftpb::Message::decode(message)
                .map_err(|error| Status::invalid_argument(error.to_string()))?;
            self.check_sender(caller.as_ref(), message.from)?;
            self.cluster.control.step(message);
        }
        Ok(Response::new(PostResponse {}))
    }

    /// What the asker has committed is applied here first: an order that became void is not begun
    /// after this answer, and one that is in hand makes its node unknown.
    async fn look(&self, request: Request<LookRequest>) -> Result<Response<LookResponse>, Status> {
        let LookRequest { group, min_index, text, source } = request.into_inner();
        if self.cluster.control.membership().is_some() || group != 0 {
            self.check_group(group)?;
        }
        let caught_up = tokio::time::timeout(CATCH_UP_MAX, self.cluster.control.applied(min_index));
        if caught_up.await.is_err() {
            return Err(Status::unavailable("it has not caught up with the other agents"));
        }
        let spec = if text.is_empty() {
            let none = || Status::failed_precondition("it knows of no spec");
            self.cluster.spec().map_err(Status::failed_precondition)?.ok_or_else(none)?
        } else {
            let loaded = spec::parse(source.as_ref(), &text)
                .map_err(|errors| Status::invalid_argument(errors.to_string()))?;
            Arc::new(loaded.spec)
        };
        self.cluster.keep_nodes(Some(&spec)).await;
        let facts = observe::look_here(&self.cluster, &spec).await;
        let facts =
            serde_json::to_string(&facts).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(LookResponse { facts }))
    }
}

impl PeerService {
    /// An agent speaks for itself only. One that the log does not know here yet is not asked for its host.
    fn check_sender(&self, caller: Option<&Caller>, from: u64) -> Result<(), Status> {
        let Some(caller) = caller else { return Ok(()) };
        let state = self.cluster.control.state();
        match state.group.agents.get(&from) {
            Some(agent) if !caller.is_agent_of(&agent.host) => Err(Status::permission_denied(
                format!("agent {from:x} is that of {}, and its certificate is not", agent.host),
            )),
            _ => Ok(()),
        }
    }

    fn check_group(&self, group: u64) -> Result<(), Status> {
        match self.cluster.control.membership() {
            Some((_, own)) if own == group => Ok(()),
            Some((_, own)) => {
                let text = format!("this agent is in group {own:x}, not in {group:x}");
                Err(Status::failed_precondition(text))
            }
            None => Err(Status::failed_precondition("this agent is in no group yet")),
        }
    }
}

fn founding(record: &str) -> Result<Founding, Status> {
    serde_json::from_str(record).map_err(|error| Status::invalid_argument(error.to_string()))
}
