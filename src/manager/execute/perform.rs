//! Carries out the orders for a node of this host.

use std::{path::Path, sync::Arc};

use base::MemberId;
use client::ClientOptions;
use records::NewCharter;
use tokio::time::Instant;

use super::{MOVE_LEADER_MAX, MOVE_LEADER_PAUSE};
use crate::{
    agent::cluster::{Cluster, Node},
    archives::{self, Note, leave_note},
    control::entry::Task,
    generate::Launch,
    guarded, observe,
    pki::preflight,
    spec::{Binary, ClusterSpec},
    supervise::record::ShimOrder,
};

/// Carries out an order for a node of this host; returns what came of it in a few words.
///
/// # Errors
/// Why it has not had its effect.
pub(crate) async fn perform(
    cluster: &Arc<Cluster>,
    name: &str,
    task: &Task,
) -> Result<String, String> {
    let spec = cluster.spec()?;
    cluster.keep_nodes(spec.as_deref()).await;
    if let Task::Hook(call) = task {
        let spec = spec.ok_or("no spec was applied")?;
        return super::hooks::run_here(cluster, &spec, call).await;
    }
    if let Task::Archive { data_dir, wal_dir, label } = task {
        if let Some(kept) = cluster.node(name) {
            kept.keeper.stop().await?;
        }
        let dirs = [(data_dir, label.clone()), (wal_dir, format!("{label}-wal"))];
        let place = put_away_all(cluster, name, spec.as_deref(), dirs)?;
        retire(cluster, name, label)?;
        return Ok(place);
    }
    let kept = cluster.node(name).ok_or_else(|| format!("there is no node {name} here"))?;
    match task {
        Task::Start { epoch, launch, .. } => {
            let spec = spec.ok_or("no spec was applied")?;
            let order = start_order(cluster, &spec, name, (*epoch, launch.as_ref()))?;
            if kept.state.borrow().phase.running().is_none() {
                prepare(cluster, &order)?;
            }
            kept.keeper.start(order).await?;
            let pid = kept.state.borrow().phase.running().map(|run| run.process.pid);
            Ok(pid.map_or_else(|| "it ended at once".to_owned(), |pid| format!("pid {pid}")))
        }
        Task::Stop { .. } | Task::Archive { .. } | Task::Hook(_) => {
            let is_to_return = matches!(task, Task::Stop { for_good: false });
            // With files that cannot be used it would not come back.
            if let Some(node) = spec.as_ref().and_then(|it| it.node(name)).filter(|_| is_to_return)
            {
                preflight::check(node, cluster.tools.clock.wall())?;
            }
            kept.keeper.stop().await?;
            Ok("stopped".to_owned())
        }
        Task::MoveLeader { to } => move_leader(&kept, *to).await,
    }
}

/// R4: renames the dirs; returns where the first one is, empty if there was none.
fn put_away_all(
    cluster: &Cluster,
    node: &str,
    spec: Option<&ClusterSpec>,
    dirs: [(&Option<String>, String); 2],
) -> Result<String, String> {
    let mut places = Vec::new();
    for (dir, label) in dirs {
        let Some(dir) = dir else { continue };
        let place = put_away(cluster, Path::new(dir), &label)?;
        if let Some(place) = &place {
            let reason = match spec.and_then(|spec| spec.node(node)) {
                Some(_) => "its member was replaced, or removed by somebody else",
                None => "the spec no longer names its node",
            };
            let note = Note {
                at_ms: archives::millis(cluster.tools.clock.wall()),
                node: node.to_owned(),
                from: dir.clone(),
                reason: reason.to_owned(),
                ..Note::default()
            };
            // The data is safe without it.
            if let Err(error) = leave_note(&*cluster.tools.disk, Path::new(place), note) {
                tracing::warn!("note of {place}: {error}");
            }
        }
        places.push(place.unwrap_or_default());
    }
    Ok(places.into_iter().next().unwrap_or_default())
}

/// Beside the dir, so that it is a rename.
fn put_away(cluster: &Cluster, dir: &Path, label: &str) -> Result<Option<String>, String> {
    let disk = &*cluster.tools.disk;
    let told = |error| format!("{}: {error}", dir.display());
    if !disk.exists(dir).map_err(told)? {
        return Ok(None);
    }
    let Some(parent) = dir.parent() else {
        return Err(format!("{} has no parent", dir.display()));
    };
    let place = disk::archive(disk, dir, &parent.join("archive"), label).map_err(told)?;
    Ok(Some(place.display().to_string()))
}

fn start_order(
    cluster: &Cluster,
    spec: &ClusterSpec,
    name: &str,
    (epoch, before): (u64, Option<&Launch>),
) -> Result<ShimOrder, String> {
    let node = spec.node(name).ok_or_else(|| format!("{name} is not in the spec"))?;
    if let Some(many) = &cluster.many {
        many.file.allow.permits(spec, node)?;
    }
    let state = cluster.control.state();
    // R3: ordered for a lineage that was given up meanwhile.
    if state.lineage().is_none_or(|lineage| lineage.epoch.get() != epoch) {
        return Err(format!("it was to be started for epoch {epoch}, which is over"));
    }
    preflight::check(node, cluster.tools.clock.wall())?;
    let order = cluster.order(spec, node)?;
    let Some(before) = before else { return Ok(order) };
    let launch = before.again(&order.launch)?;
    if let Some(many) = &cluster.many {
        let in_tree = Binary::InTree.resolve(&cluster.tools.manager);
        many.file.allow.permits_binary(&launch.binary, &in_tree, &node.host)?;
    }
    Ok(ShimOrder { launch, ..order })
}

/// R3, R13, R17: no process of ours before its record is as it should be.
fn prepare(cluster: &Cluster, order: &ShimOrder) -> Result<(), String> {
    if order.launch.binary != Binary::InTree.resolve(&cluster.tools.manager) {
        return Ok(());
    }
    let state = cluster.control.state();
    let lineage = state.lineage().ok_or("no lineage is recorded (R2)")?;
    let new = NewCharter {
        identity: lineage.identity(),
        node: order.node.clone(),
        data_dir: order.data_dir.clone(),
    };
    let tools = &cluster.tools;
    guarded::prepare(&tools.disk, &tools.records, &new, order.launch.user.as_deref())
}

/// The next member of this name begins with a record of its own.
fn retire(cluster: &Cluster, name: &str, label: &str) -> Result<(), String> {
    let state = cluster.control.state();
    let Some(lineage) = state.lineage() else { return Ok(()) };
    let tools = &cluster.tools;
    let place = guarded::retire(&tools.disk, &tools.records, (lineage.uuid, name), label)?;
    if let Some(place) = place {
        tracing::info!(node = name, "its record is put away in {}", place.display());
    }
    Ok(())
}

/// R11: tried before the leader is stopped, for a bounded time.
async fn move_leader(kept: &Node, target: MemberId) -> Result<String, String> {
    let launch = kept.state.borrow().phase.running().map(|run| run.launch.clone());
    let launch = launch.ok_or("the leader does not run")?;
    let options = ClientOptions { request_timeout: MOVE_LEADER_MAX, ..ClientOptions::default() };
    let client = observe::secure::client(&[launch], options)?;
    client.move_leader(target).await.map_err(|error| error.to_string())?;
    let deadline = Instant::now() + MOVE_LEADER_MAX;
    loop {
        if let Ok(status) = client.status().await
            && status.leader == Some(target)
        {
            return Ok(format!("{target} leads"));
        }
        if Instant::now() >= deadline {
            return Err(format!("{target} does not lead after {MOVE_LEADER_MAX:?}"));
        }
        tokio::time::sleep(MOVE_LEADER_PAUSE).await;
    }
}
