//! Where requests that change something enter: they go to the agent that leads, and who asked is told
//! the end by the committed state, whoever leads by then.

use std::{collections::BTreeSet, pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};
use wire::agentpb::{
    ApplyRequest, PauseRequest, Progress, RestartRequest, StartRequest, StopRequest,
    progress::{Kind, Outcome},
};

use crate::{
    agent::{
        cluster::Cluster,
        follow, founding,
        many::Many,
        pause,
        reconcile::Request as Wish,
        service::load,
        voice::{PROGRESS_QUEUE_MAX, Voice},
    },
    archives::millis,
    control::{
        Leadership,
        entry::{Goal, Terms},
    },
    observe,
    plan::{Fact, Process},
    report::NO_QUORUM,
    spec::{ClusterSpec, Loaded},
};

/// What a request may take if it does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);
/// How long an agent that leads is looked for: an election and some.
const LEADER_MAX: Duration = Duration::from_secs(10);
const LEADER_PAUSE: Duration = Duration::from_millis(100);
/// Pause between two attempts to found the group.
const FOUNDING_PAUSE: Duration = Duration::from_secs(1);
/// Marks a request that another agent has passed on: it goes no further.
const PASSED_ON: &str = "etcd-manager-passed-on";

pub(crate) type ProgressStream = Pin<Box<dyn Stream<Item = Result<Progress, Status>> + Send>>;

/// A request that changes something.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Apply(ApplyRequest),
    Stop(StopRequest),
    Start(StartRequest),
    Restart(RestartRequest),
    Pause(PauseRequest),
}

/// The entrance. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) wishes: mpsc::Sender<Wish>,
}

/// Whether another agent has passed this request on.
pub(crate) fn is_passed_on<T>(request: &Request<T>) -> bool {
    request.metadata().contains_key(PASSED_ON)
}

/// A request as it is passed on.
pub(crate) fn passed_on<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(PASSED_ON, tonic::metadata::MetadataValue::from_static("1"));
    request
}

impl Call {
    fn timeout(&self) -> Duration {
        let timeout_ms = match self {
            Self::Apply(request) => request.timeout_ms,
            Self::Stop(request) => request.timeout_ms,
            Self::Start(request) => request.timeout_ms,
            Self::Restart(request) => request.timeout_ms,
            Self::Pause(request) => request.timeout_ms,
        };
        if timeout_ms == 0 { TIMEOUT_DEFAULT } else { Duration::from_millis(timeout_ms) }
    }
}

impl Gateway {
    /// Has a request done, here or by the agent that leads.
    pub(crate) async fn ask(
        &self,
        call: Call,
        is_passed_on: bool,
    ) -> Result<Response<ProgressStream>, Status> {
        if let Call::Apply(request) = &call
            && let Err((outcome, text)) = load(&self.cluster, &request.source, &request.text)
        {
            return Ok(refused(outcome, text));
        }
        if self.cluster.many.is_none() {
            return Ok(Response::new(self.here(call).await?));
        }
        let (listener, lines) = mpsc::channel(PROGRESS_QUEUE_MAX);
        if self.cluster.control.leadership() == Leadership::NoGroup {
            let (gateway, many) = (self.clone(), self.cluster.many.clone());
            let Call::Apply(request) = call else {
                let text = "this agent is in no group yet: etcd-manager apply cluster.toml";
                return Err(Status::failed_precondition(text));
            };
            tokio::spawn(async move {
                if let Some(many) = many {
                    gateway.found_and_apply(&many, request, listener).await;
                }
            });
        } else {
            let deadline = Instant::now() + call.timeout();
            let stream = self.to_leader(call, is_passed_on).await?;
            let control = self.cluster.control.clone();
            tokio::spawn(follow::relay(control, stream, listener, deadline));
        }
        Ok(Response::new(Box::pin(ReceiverStream::new(lines).map(Ok))))
    }

    /// The first apply: the agents of all hosts found their group, and then it is an apply.
    async fn found_and_apply(
        &self,
        many: &Many,
        request: ApplyRequest,
        listener: mpsc::Sender<Progress>,
    ) {
        let voice = Voice::to(listener.clone());
        let deadline = Instant::now() + Call::Apply(request.clone()).timeout();
        let mut told = String::new();
        let loaded = match load(&self.cluster, &request.source, &request.text) {
            Ok(loaded) => loaded,
            Err((outcome, text)) => return voice.end(outcome, text).await,
        };
        while let Err(reason) = founding::found(&self.cluster, many, &loaded.spec).await {
            if self.cluster.control.membership().is_some() {
                break;
            }
            if voice.has_hung_up() {
                return;
            }
            if Instant::now() + FOUNDING_PAUSE >= deadline {
                return voice.end(Outcome::Failed, format!("out of time: {reason}")).await;
            }
            if reason != told {
                voice.note(format!("waits: {reason}")).await;
                told = reason;
            }
            tokio::time::sleep(FOUNDING_PAUSE).await;
        }
        match self.to_leader(Call::Apply(request), false).await {
            Ok(stream) => {
                follow::relay(self.cluster.control.clone(), stream, listener, deadline).await;
            }
            Err(status) => voice.end(Outcome::Failed, status.message().to_owned()).await,
        }
    }

    /// Finds the agent that leads and asks it.
    async fn to_leader(&self, call: Call, is_passed_on: bool) -> Result<ProgressStream, Status> {
        let deadline = Instant::now() + LEADER_MAX;
        let mut reason = NO_QUORUM.to_owned();
        loop {
            match self.cluster.control.leadership() {
                Leadership::Own(_) if self.cluster.reign().is_some() => {
                    return self.here(call).await;
                }
                Leadership::Other(member) if !is_passed_on => {
                    match self.pass_on(member, call.clone()).await {
                        Ok(stream) => return Ok(stream),
                        Err(status) if is_transient(&status) => {
                            reason = format!("{NO_QUORUM} ({})", super::link::reason(&status));
                        }
                        Err(status) => return Err(status),
                    }
                }
                Leadership::Own(_)
                | Leadership::Other(_)
                | Leadership::Nobody
                | Leadership::NoGroup => {}
            }
            if Instant::now() >= deadline {
                return Err(Status::aborted(reason));
            }
            tokio::time::sleep(LEADER_PAUSE).await;
        }
    }

    async fn pass_on(&self, member: u64, call: Call) -> Result<ProgressStream, Status> {
        let state = self.cluster.control.state();
        let agent = state.group.agents.get(&member);
        let unknown = || Status::unavailable("where the leading agent is reached is not known");
        let address = agent.map(|agent| agent.address.clone()).ok_or_else(unknown)?;
        let many = self.cluster.many.as_ref().ok_or_else(unknown)?;
        let mut agent = many.peers.agent(&address).map_err(Status::unavailable)?;
        let lines = match call {
            Call::Apply(request) => agent.apply(passed_on(request)).await?,
            Call::Stop(request) => agent.stop(passed_on(request)).await?,
            Call::Start(request) => agent.start(passed_on(request)).await?,
            Call::Restart(request) => agent.restart(passed_on(request)).await?,
            Call::Pause(request) => agent.pause(passed_on(request)).await?,
        };
        Ok(Box::pin(lines.into_inner()))
    }

    /// Hands a request to the reconcile loop of this agent, which leads.
    async fn here(&self, call: Call) -> Result<ProgressStream, Status> {
        let timeout = call.timeout();
        let (goal, spec, expect) = match call {
            Call::Apply(request) => {
                let loaded = match load(&self.cluster, &request.source, &request.text) {
                    Ok(loaded) => loaded,
                    Err((outcome, text)) => return Ok(refused(outcome, text).into_inner()),
                };
                let terms = self.terms(&request, &loaded.spec);
                (Goal::Converge(terms), Some(loaded), request.expect)
            }
            Call::Stop(request) => (Goal::Stop { nodes: self.named(request.nodes)? }, None, None),
            Call::Start(request) => (Goal::Start { nodes: self.named(request.nodes)? }, None, None),
            Call::Restart(RestartRequest { node, .. }) => {
                self.named(vec![node.clone()])?;
                let pid = self.pid(&node).await?;
                (Goal::Restart { node, pid }, None, None)
            }
            Call::Pause(request) => return Ok(pause::begin(&self.cluster, request, timeout)),
        };
        self.wish(goal, spec, (timeout, expect))
    }

    fn terms(&self, request: &ApplyRequest, spec: &ClusterSpec) -> Terms {
        let asked = Duration::from_millis(request.deadline_ms);
        let deadline = Some(asked).filter(|asked| !asked.is_zero()).or(spec.running.deadline);
        let now = self.cluster.tools.clock.wall();
        Terms {
            deadline_ms: deadline.map(|deadline| millis(now + deadline)),
            at_once: request.now,
            ..Terms::default()
        }
    }

    async fn pid(&self, node: &str) -> Result<Option<u32>, Status> {
        let observation = observe::observe(&self.cluster, &*self.spec()?).await;
        let process = observation.node(node).map(|node| &node.process);
        Ok(match process {
            Some(Fact::Known(Process::Running(running) | Process::Starting(running))) => {
                Some(running.pid)
            }
            _ => None,
        })
    }

    fn wish(
        &self,
        goal: Goal,
        spec: Option<Loaded>,
        (timeout, expect): (Duration, Option<u64>),
    ) -> Result<ProgressStream, Status> {
        let (listener, lines) = mpsc::channel(PROGRESS_QUEUE_MAX);
        let wish = Wish { goal, spec, expect, timeout, voice: Voice::to(listener) };
        let busy = || Status::unavailable("the agent is ending or busy with other requests");
        self.wishes.try_send(wish).or(Err(busy()))?;
        Ok(Box::pin(ReceiverStream::new(lines).map(Ok)))
    }

    /// The wanted spec.
    pub(crate) fn spec(&self) -> Result<Arc<ClusterSpec>, Status> {
        let none = "no spec was applied yet: etcd-manager apply cluster.toml";
        self.cluster
            .spec()
            .map_err(Status::failed_precondition)?
            .ok_or_else(|| Status::failed_precondition(none))
    }

    /// The nodes of these names; all of them if none is named.
    pub(crate) fn named(&self, names: Vec<String>) -> Result<BTreeSet<String>, Status> {
        let spec = self.spec()?;
        let state = self.cluster.control.state();
        let known: BTreeSet<String> = state
            .nodes
            .keys()
            .cloned()
            .chain(self.cluster.nodes().into_keys())
            .chain(spec.nodes.iter().map(|node| node.name.clone()))
            .collect();
        if names.is_empty() {
            return Ok(known);
        }
        if let Some(unknown) = names.iter().find(|name| !known.contains(*name)) {
            let known: Vec<String> = known.into_iter().collect();
            let text = format!("there is no node {unknown:?}; there are {}", known.join(", "));
            return Err(Status::not_found(text));
        }
        Ok(names.into_iter().collect())
    }
}

/// Whether another agent, or the same a little later, may do better.
fn is_transient(status: &Status) -> bool {
    use tonic::Code;
    matches!(status.code(), Code::Unavailable | Code::Aborted | Code::Unknown | Code::Cancelled)
}

/// A stream that holds nothing but the refusal.
fn refused(outcome: Outcome, text: String) -> Response<ProgressStream> {
    let last =
        Progress { kind: Kind::End.into(), outcome: outcome.into(), text, ..Progress::default() };
    Response::new(Box::pin(tokio_stream::once(Ok(last))))
}
