//! Watches the folder of the spec file. An edit is a change against the content last seen here; it
//! is validated, shown in the log as a plan, and applied if the spec says so.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};

use crate::{
    agent::{
        cluster::Cluster,
        planner::{plan_checked, wanted_goal},
        reconcile::Request as Wish,
        service::accepts,
        voice::Voice,
    },
    control::{entry::Goal, state::ControlState},
    observe,
    spec::{self, Loaded},
};

/// Quiet time after which an edit counts as finished.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// What an edit may take to be applied.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Watches until the control group is gone.
pub(crate) async fn run(cluster: Arc<Cluster>, wishes: mpsc::Sender<Wish>) {
    let mut states = cluster.control.watch();
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
        let mut last_seen = cluster.control.state().spec.as_ref().map(|spec| spec.digest.clone());
        while source_of(&states.borrow_and_update()).as_ref() == Some(&source) {
            tokio::select! {
                Some(()) = touches.recv() => {
                    settle(&mut touches).await;
                    on_touch(&cluster, &wishes, &source, &mut last_seen).await;
                }
                changed = states.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    note_applied(&states, &mut last_seen);
                }
            }
        }
    }
}

fn source_of(state: &ControlState) -> Option<PathBuf> {
    state.spec.as_ref().map(|spec| PathBuf::from(&spec.source))
}

/// What was applied is what was seen.
fn note_applied(states: &watch::Receiver<Arc<ControlState>>, last_seen: &mut Option<String>) {
    if let Some(spec) = &states.borrow().spec {
        *last_seen = Some(spec.digest.clone());
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

async fn on_touch(
    cluster: &Arc<Cluster>,
    wishes: &mpsc::Sender<Wish>,
    source: &Path,
    last_seen: &mut Option<String>,
) {
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
    if last_seen.as_ref() == Some(&loaded.digest) {
        return;
    }
    *last_seen = Some(loaded.digest.clone());
    if let Err(reason) = accepts(cluster, &loaded.spec) {
        tracing::warn!("the edit of {} is refused: {reason}", source.display());
        return;
    }
    show(cluster, &loaded, source).await;
    if !loaded.spec.agent.auto_apply {
        tracing::info!("waits for `etcd-manager apply {}`: auto-apply is off", source.display());
        return;
    }
    let wish =
        Wish { goal: Goal::Converge, spec: Some(loaded), timeout: TIMEOUT, voice: Voice::to_log() };
    if wishes.try_send(wish).is_err() {
        tracing::warn!("the edit of {} was not applied: the agent is busy", source.display());
    }
}

async fn show(cluster: &Cluster, loaded: &Loaded, source: &Path) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let observation = observe::observe(cluster, &loaded.spec).await;
    let history = observe::history(&cluster.control.state());
    let goal = wanted_goal(&Goal::Converge);
    let plan = plan_checked(&goal, &loaded.spec, &observation, &history);
    tracing::info!(
        "{} was edited; the plan:\n{}",
        source.display(),
        crate::plan::render::text(&plan)
    );
}
