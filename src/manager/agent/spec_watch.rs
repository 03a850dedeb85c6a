//! Watches the folder of the spec file. An edit is a change against the content last seen here; it
//! is validated, shown in the log as a plan, and applied if the spec says so.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use wire::agentpb::{ApplyRequest, progress::Kind};

use crate::{
    agent::{
        cluster::Cluster,
        gateway::{Call, Gateway, ProgressStream},
        planner::{plan_checked, wanted_goal},
        service::accepts,
    },
    control::{
        entry::{Goal, Terms},
        state::ControlState,
    },
    observe,
    spec::{self, Loaded},
};

/// Quiet time after which an edit counts as finished.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// What an edit may take to be applied.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Watches until the control group is gone.
pub(crate) async fn run(gateway: Gateway) {
    let cluster = gateway.cluster.clone();
    let mut states = cluster.control.watch();
    let own = cluster.many.as_ref().map(|many| many.file.spec.clone());
    let source_of = |state: &ControlState| match &own {
        Some(own) => own.clone().filter(|_| state.spec.is_some()),
        None => state.spec.as_ref().map(|spec| PathBuf::from(&spec.source)),
    };
    loop {
        let source = source_of(&states.borrow_and_update());
        let Some(source) = source else {
            if states.changed().await.is_err() {
                return;
            }
            continue;
        };
        let (touched, mut touches) = mpsc::channel(1);
        let _watcher = match watcher(&source, touched) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!("{} is not watched for edits: {error}", source.display());
                None
            }
        };
        let mut last_seen = Seen::begin(&cluster, &source);
        while source_of(&states.borrow_and_update()).as_ref() == Some(&source) {
            tokio::select! {
                Some(()) = touches.recv() => {
                    settle(&mut touches).await;
                    on_touch(&gateway, &source, &mut last_seen).await;
                }
                changed = states.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    last_seen.note_applied(&states.borrow());
                }
            }
        }
    }
}

/// The content of the file that this agent last saw, and the revision that it was. An edit is a
/// change against it: an old file on a host that comes back is none.
#[derive(Debug)]
struct Seen {
    digest: Option<String>,
    revision: u64,
}

impl Seen {
    /// An embedded agent's file is what was applied last. An agent among others takes the file as it
    /// finds it: it may be an old one.
    fn begin(cluster: &Cluster, source: &Path) -> Self {
        let state = cluster.control.state();
        let revision = state.spec_revision();
        let digest = match &cluster.many {
            None => state.spec.as_ref().map(|spec| spec.digest.clone()),
            Some(_) => spec::load(source).ok().map(|loaded| loaded.digest),
        };
        Self { digest, revision }
    }

    /// What was applied is what was seen, if the file says the same or is the very one.
    fn note_applied(&mut self, state: &ControlState) {
        if let Some(spec) = &state.spec
            && self.revision != spec.revision
        {
            self.revision = spec.revision;
            self.digest = Some(spec.digest.clone());
        }
    }
}

/// The folder is watched, not the file: editors replace files.
fn watcher(source: &Path, touched: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let name = source.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if !event.kind.is_access()
            && event.paths.iter().any(|path| path.file_name() == name.as_deref())
        {
            // A full queue holds a touch already.
            touched.try_send(()).unwrap_or_default();
        }
    })?;
    let folder = source.parent().unwrap_or_else(|| Path::new("/"));
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

async fn settle(touches: &mut mpsc::Receiver<()>) {
    while let Ok(Some(())) = tokio::time::timeout(DEBOUNCE, touches.recv()).await {}
}

async fn on_touch(gateway: &Gateway, source: &Path, last_seen: &mut Seen) {
    let cluster = &gateway.cluster;
    let loaded = match spec::load(source) {
        Ok(loaded) => loaded,
        Err(errors) => {
            tracing::warn!(
                "the edit of {} is refused, the cluster goes on:\n{errors}",
                source.display()
            );
            return;
        }
    };
    if last_seen.digest.as_ref() == Some(&loaded.digest) {
        return;
    }
    last_seen.digest = Some(loaded.digest.clone());
    let state = cluster.control.state();
    if state.spec.as_ref().is_some_and(|spec| spec.digest == loaded.digest) {
        return;
    }
    if let Err(reason) = accepts(cluster, &loaded.spec) {
        tracing::warn!("the edit of {} is refused: {reason}", source.display());
        return;
    }
    show(cluster, &loaded, source).await;
    if !loaded.spec.agent.auto_apply {
        tracing::info!("waits for `etcd-manager apply {}`: auto-apply is off", source.display());
        return;
    }
    let request = ApplyRequest {
        text: loaded.text,
        source: loaded.spec.source.to_string_lossy().into_owned(),
        timeout_ms: u64::try_from(TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        // Somebody may have applied something else since this file was seen.
        expect: cluster.many.is_some().then_some(last_seen.revision),
        ..ApplyRequest::default()
    };
    match gateway.ask(Call::Apply(request), false).await {
        Ok(lines) => drop(tokio::spawn(tell(lines.into_inner()))),
        Err(status) => {
            tracing::warn!(
                "the edit of {} was not applied: {}",
                source.display(),
                status.message()
            );
        }
    }
}

/// Reads to the end: a request that nobody listens to is held.
async fn tell(mut lines: ProgressStream) {
    while let Some(Ok(line)) = lines.next().await {
        if line.kind() == Kind::End {
            tracing::info!("the edit of the spec: {}", line.text);
        }
    }
}

async fn show(cluster: &Cluster, loaded: &Loaded, source: &Path) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let observation = observe::observe_draft(cluster, loaded).await;
    let history = observe::history(&cluster.control.state());
    let goal = wanted_goal(&Goal::Converge(Terms::default()));
    let plan = plan_checked(&goal, &loaded.spec, &observation, &history);
    tracing::info!(
        "{} was edited; the plan:\n{}",
        source.display(),
        crate::plan::render::text(&plan)
    );
}
