//! The agent's API for the command line: turns calls into requests to whoever leads, and answers
//! what needs no decision.

use std::pin::Pin;

use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};
use wire::agentpb::{
    ApplyRequest, EventsRequest, EventsResponse, HelloRequest, HelloResponse, LogChunk,
    LogsRequest, LogsResponse, PauseRequest, PlanRequest, PlanResponse, ReadLogsRequest,
    RestartRequest, ShutdownRequest, ShutdownResponse, StartRequest, StatusRequest, StatusResponse,
    StopRequest, agent_server::Agent, progress::Outcome,
};

use crate::{
    agent::{
        cluster::Cluster,
        gateway::{Call, Gateway, ProgressStream, is_passed_on, passed_on},
        link,
        local::remote_hosts,
        planner::{notes_text, plan_checked, wanted_goal},
        tail,
    },
    control::{
        Leadership,
        entry::{Goal, Terms},
    },
    maintenance, observe,
    pki::preflight,
    plan::NoteKind,
    report,
    spec::{self, ClusterSpec, Loaded},
};

/// Chunks of a node's output on their way.
const LOG_CHUNKS_MAX: usize = 16;

/// Serves the calls.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) gateway: Gateway,
    pub(crate) shutdown: watch::Sender<bool>,
}

type LogStream = Pin<Box<dyn Stream<Item = Result<LogChunk, Status>> + Send>>;

#[tonic::async_trait]
impl Agent for Service {
    type ApplyStream = ProgressStream;
    type StopStream = ProgressStream;
    type StartStream = ProgressStream;
    type RestartStream = ProgressStream;
    type PauseStream = ProgressStream;
    type ReadLogsStream = LogStream;

    async fn apply(
        &self,
        request: Request<ApplyRequest>,
    ) -> Result<Response<Self::ApplyStream>, Status> {
        let is_passed_on = is_passed_on(&request);
        self.gateway.ask(Call::Apply(request.into_inner()), is_passed_on).await
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        let PlanRequest { text, source } = request.into_inner();
        let cluster = &self.gateway.cluster;
        let loaded =
            load(cluster, &source, &text).map_err(|(_, text)| Status::invalid_argument(text))?;
        let observation = observe::observe_draft(cluster, &loaded).await;
        // As `apply` would do it, which takes back that nodes were stopped.
        let mut history = observe::history(&cluster.control.state());
        history.stopped.clear();
        let goal = wanted_goal(&Goal::Converge(Terms::default()));
        let plan = plan_checked(&goal, &loaded.spec, &observation, &history);
        let mut text = crate::plan::render::text(&plan);
        let when = (&*loaded.spec.running.windows, cluster.tools.clock.wall());
        if let Some(waits) = maintenance::waits(&plan, &observation, when) {
            text = format!("{text}{waits}\n");
        }
        if let Some(pause) = &cluster.control.state().paused {
            text = format!("{pause}: nothing is carried out before etcd-manager resume\n{text}");
        }
        if cluster.control.leadership() == Leadership::Nobody {
            text = format!("{}\n{text}", report::NO_QUORUM);
        }
        Ok(Response::new(PlanResponse {
            text,
            json: crate::plan::render::json(&plan),
            steps: u32::try_from(plan.steps.len()).unwrap_or(u32::MAX),
            refused: notes_text(&plan, NoteKind::Refused),
        }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let cluster = &self.gateway.cluster;
        let report = report::gather(cluster).await;
        let json = serde_json::to_string(&report).map_err(|e| Status::internal(e.to_string()))?;
        let state = cluster.control.state();
        let lineage_json = match state.lineage() {
            Some(lineage) => serde_json::to_string(lineage),
            None => Ok(String::new()),
        };
        let lineage_json = lineage_json.map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(StatusResponse { json, lineage_json }))
    }

    async fn events(
        &self,
        request: Request<EventsRequest>,
    ) -> Result<Response<EventsResponse>, Status> {
        let after = request.into_inner().after;
        let state = self.gateway.cluster.control.state();
        let newer: Vec<_> = state.events.iter().filter(|event| event.number > after).collect();
        let json = serde_json::to_string(&newer).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(EventsResponse { json }))
    }

    async fn stop(
        &self,
        request: Request<StopRequest>,
    ) -> Result<Response<Self::StopStream>, Status> {
        let is_passed_on = is_passed_on(&request);
        self.gateway.ask(Call::Stop(request.into_inner()), is_passed_on).await
    }

    async fn start(
        &self,
        request: Request<StartRequest>,
    ) -> Result<Response<Self::StartStream>, Status> {
        let is_passed_on = is_passed_on(&request);
        self.gateway.ask(Call::Start(request.into_inner()), is_passed_on).await
    }

    async fn restart(
        &self,
        request: Request<RestartRequest>,
    ) -> Result<Response<Self::RestartStream>, Status> {
        let is_passed_on = is_passed_on(&request);
        self.gateway.ask(Call::Restart(request.into_inner()), is_passed_on).await
    }

    async fn pause(
        &self,
        request: Request<PauseRequest>,
    ) -> Result<Response<Self::PauseStream>, Status> {
        let is_passed_on = is_passed_on(&request);
        self.gateway.ask(Call::Pause(request.into_inner()), is_passed_on).await
    }

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<LogsResponse>, Status> {
        let node = request.into_inner().node;
        self.gateway.named(vec![node.clone()])?;
        let path = report::log_path(&*self.gateway.spec()?, &node).display().to_string();
        Ok(Response::new(LogsResponse { path }))
    }

    async fn read_logs(
        &self,
        request: Request<ReadLogsRequest>,
    ) -> Result<Response<Self::ReadLogsStream>, Status> {
        let is_passed_on = is_passed_on(&request);
        let request = request.into_inner();
        let (cluster, spec) = (&self.gateway.cluster, self.gateway.spec()?);
        self.gateway.named(vec![request.node.clone()])?;
        let host = cluster.host_of(&request.node, Some(&spec));
        if host != cluster.host().unwrap_or_default() && !is_passed_on {
            let many = cluster.many.as_ref().ok_or_else(|| Status::internal("it is alone"))?;
            let unknown = || Status::unavailable(format!("where {host} is reached is not known"));
            let address = cluster.address_of(&host, Some(&spec)).ok_or_else(unknown)?;
            let mut agent = many.peers.agent(&address).map_err(Status::unavailable)?;
            let chunks = agent.read_logs(passed_on(request)).await.map_err(|status| {
                let reason = link::reason(&status);
                Status::unavailable(format!("the agent of {host} does not answer: {reason}"))
            })?;
            return Ok(Response::new(Box::pin(chunks.into_inner())));
        }
        let path = report::log_path(&spec, &request.node);
        let lines = usize::try_from(request.lines).unwrap_or(usize::MAX);
        let (chunks_in, chunks) = mpsc::channel(LOG_CHUNKS_MAX);
        tokio::spawn(tail::send(path, tail::Wanted { lines, follow: request.follow }, chunks_in));
        Ok(Response::new(Box::pin(ReceiverStream::new(chunks))))
    }

    async fn hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        Ok(Response::new(HelloResponse {
            pid: i32::try_from(std::process::id()).unwrap_or(0),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.gateway.cluster.host().unwrap_or_default().to_owned(),
        }))
    }

    async fn shutdown(
        &self,
        _: Request<ShutdownRequest>,
    ) -> Result<Response<ShutdownResponse>, Status> {
        self.shutdown.send_replace(true);
        Ok(Response::new(ShutdownResponse {}))
    }
}

/// Reads a spec that somebody wants.
pub(crate) fn load(
    cluster: &Cluster,
    source: &str,
    text: &str,
) -> Result<Loaded, (Outcome, String)> {
    let loaded = spec::parse(source.as_ref(), text)
        .map_err(|errors| (Outcome::BadSpec, errors.to_string()))?;
    accepts(cluster, &loaded.spec).map_err(|reason| (Outcome::Refused, reason))?;
    Ok(loaded)
}

/// Whether this agent may take this spec at all.
pub(crate) fn accepts(cluster: &Cluster, spec: &ClusterSpec) -> Result<(), String> {
    let own = cluster.host();
    for node in spec.nodes.iter().filter(|node| own.is_none_or(|own| node.host == own)) {
        preflight::check(node, cluster.tools.clock.wall())?;
    }
    if let Some(many) = &cluster.many {
        for hook in [&spec.running.before, &spec.running.after].into_iter().flatten() {
            many.file.allow.permits_hook(&hook.program, &many.file.host)?;
        }
        for node in spec.nodes.iter().filter(|node| node.host == many.file.host) {
            many.file.allow.permits(spec, node)?;
        }
        let state = cluster.control.state();
        for node in &spec.nodes {
            let before = state.node(&node.name).and_then(|ledger| ledger.host.as_ref());
            if let Some(before) = before.filter(|before| **before != node.host) {
                return Err(format!(
                    "node {} is on {before}, and a node does not move to another host: give the one on \
                     {} a new name",
                    node.name, node.host
                ));
            }
        }
    }
    let remote = if cluster.many.is_some() { Vec::new() } else { remote_hosts(spec) };
    if !remote.is_empty() {
        return Err(format!(
            "this agent runs nodes of its own machine, and {} {} another",
            remote.join(", "),
            if remote.len() == 1 { "is" } else { "are" }
        ));
    }
    let current = cluster.spec().ok().flatten();
    if let Some(current) = current.filter(|current| current.name != spec.name) {
        return Err(format!(
            "this agent keeps cluster {:?}; give cluster {:?} a state-dir of its own",
            current.name, spec.name
        ));
    }
    Ok(())
}
