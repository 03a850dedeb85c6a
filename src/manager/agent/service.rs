//! The agent's API on its unix socket: turns calls into requests to the reconcile loop.

use std::{collections::BTreeSet, pin::Pin, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};
use wire::agentpb::{
    ApplyRequest, HelloRequest, HelloResponse, LogsRequest, LogsResponse, PlanRequest,
    PlanResponse, Progress, RestartRequest, ShutdownRequest, ShutdownResponse, StartRequest,
    StatusRequest, StatusResponse, StopRequest,
    agent_server::Agent,
    progress::{Kind, Outcome},
};

use crate::{
    agent::{
        cluster::Cluster,
        local::remote_hosts,
        planner::{notes_text, plan_checked, wanted_goal},
        reconcile::Request as Wish,
        voice::{PROGRESS_QUEUE_MAX, Voice},
    },
    control::entry::Goal,
    observe,
    plan::NoteKind,
    report,
    spec::{self, ClusterSpec, Loaded},
};

/// What a request may take if it does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);

/// Serves the calls.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) wishes: mpsc::Sender<Wish>,
    pub(crate) shutdown: watch::Sender<bool>,
}

type ProgressStream = Pin<Box<dyn Stream<Item = Result<Progress, Status>> + Send>>;

#[tonic::async_trait]
impl Agent for Service {
    type ApplyStream = ProgressStream;
    type StopStream = ProgressStream;
    type StartStream = ProgressStream;
    type RestartStream = ProgressStream;

    async fn apply(
        &self,
        request: Request<ApplyRequest>,
    ) -> Result<Response<Self::ApplyStream>, Status> {
        let ApplyRequest { text, source, timeout_ms } = request.into_inner();
        match self.load(&source, &text) {
            Ok(loaded) => self.wish(Goal::Converge, Some(loaded), timeout_ms),
            Err((outcome, text)) => Ok(refused(outcome, text)),
        }
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        let PlanRequest { text, source } = request.into_inner();
        let loaded =
            self.load(&source, &text).map_err(|(_, text)| Status::invalid_argument(text))?;
        let observation = observe::observe(&self.cluster, &loaded.spec).await;
        // As `apply` would do it, which takes back that nodes were stopped.
        let mut history = observe::history(&self.cluster.control.state());
        history.stopped.clear();
        let goal = wanted_goal(&Goal::Converge);
        let plan = plan_checked(&goal, &loaded.spec, &observation, &history);
        Ok(Response::new(PlanResponse {
            text: crate::plan::render::text(&plan),
            json: crate::plan::render::json(&plan),
            steps: u32::try_from(plan.steps.len()).unwrap_or(u32::MAX),
            refused: notes_text(&plan, NoteKind::Refused),
        }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let report = report::gather(&self.cluster).await;
        let json = serde_json::to_string(&report).map_err(|e| Status::internal(e.to_string()))?;
        let state = self.cluster.control.state();
        let lineage_json = match state.lineage() {
            Some(lineage) => serde_json::to_string(lineage),
            None => Ok(String::new()),
        };
        let lineage_json = lineage_json.map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(StatusResponse { json, lineage_json }))
    }

    async fn stop(
        &self,
        request: Request<StopRequest>,
    ) -> Result<Response<Self::StopStream>, Status> {
        let StopRequest { nodes, timeout_ms } = request.into_inner();
        let nodes = self.named(nodes)?;
        self.wish(Goal::Stop { nodes }, None, timeout_ms)
    }

    async fn start(
        &self,
        request: Request<StartRequest>,
    ) -> Result<Response<Self::StartStream>, Status> {
        let StartRequest { nodes, timeout_ms } = request.into_inner();
        let nodes = self.named(nodes)?;
        self.wish(Goal::Start { nodes }, None, timeout_ms)
    }

    async fn restart(
        &self,
        request: Request<RestartRequest>,
    ) -> Result<Response<Self::RestartStream>, Status> {
        let RestartRequest { node, timeout_ms } = request.into_inner();
        self.named(vec![node.clone()])?;
        let running = self.cluster.node(&node);
        let pid = running.and_then(|kept| {
            let pid = kept.state.borrow().phase.running()?.process.pid;
            u32::try_from(pid).ok()
        });
        self.wish(Goal::Restart { node, pid }, None, timeout_ms)
    }

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<LogsResponse>, Status> {
        let node = request.into_inner().node;
        self.named(vec![node.clone()])?;
        let path = report::log_path(&*self.spec()?, &node).display().to_string();
        Ok(Response::new(LogsResponse { path }))
    }

    async fn hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        Ok(Response::new(HelloResponse {
            pid: i32::try_from(std::process::id()).unwrap_or(0),
            version: env!("CARGO_PKG_VERSION").to_owned(),
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

impl Service {
    fn load(&self, source: &str, text: &str) -> Result<Loaded, (Outcome, String)> {
        let loaded = spec::parse(source.as_ref(), text)
            .map_err(|errors| (Outcome::BadSpec, errors.to_string()))?;
        accepts(&self.cluster, &loaded.spec).map_err(|reason| (Outcome::Refused, reason))?;
        Ok(loaded)
    }

    fn spec(&self) -> Result<Arc<ClusterSpec>, Status> {
        let none = "no spec was applied yet: etcd-manager apply cluster.toml";
        self.cluster
            .spec()
            .map_err(Status::failed_precondition)?
            .ok_or_else(|| Status::failed_precondition(none))
    }

    /// The nodes of these names; all of them if none is named.
    fn named(&self, names: Vec<String>) -> Result<BTreeSet<String>, Status> {
        let spec = self.spec()?;
        let known: BTreeSet<String> = self
            .cluster
            .nodes()
            .into_keys()
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

    fn wish(
        &self,
        goal: Goal,
        spec: Option<Loaded>,
        timeout_ms: u64,
    ) -> Result<Response<ProgressStream>, Status> {
        let timeout =
            if timeout_ms == 0 { TIMEOUT_DEFAULT } else { Duration::from_millis(timeout_ms) };
        let (listener, lines) = mpsc::channel(PROGRESS_QUEUE_MAX);
        let wish = Wish { goal, spec, timeout, voice: Voice::to(listener) };
        let busy = || Status::unavailable("the agent is ending or busy with other requests");
        self.wishes.try_send(wish).or(Err(busy()))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(lines).map(Ok))))
    }
}

/// Whether this agent may take this spec at all.
pub(crate) fn accepts(cluster: &Cluster, spec: &ClusterSpec) -> Result<(), String> {
    let remote = remote_hosts(spec);
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

/// A stream that holds nothing but the refusal.
fn refused(outcome: Outcome, text: String) -> Response<ProgressStream> {
    let last =
        Progress { kind: Kind::End.into(), outcome: outcome.into(), text, ..Progress::default() };
    Response::new(Box::pin(tokio_stream::once(Ok(last))))
}
