//! Hooks of the operator before and after each step: on the host where the step is done, by an order; for a change of
//! membership on the host of the agent that leads.

use std::{collections::BTreeMap, time::Duration};

use super::Step;
use crate::{
    agent::cluster::Cluster,
    control::entry::{HookCall, Task},
    plan::Action,
    spec::{ClusterSpec, HookSpec},
    supervise::hook::{self, Hook},
};

/// Where a hook finds its programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Step<'_> {
    /// The hook before a step.
    ///
    /// # Errors
    /// Why the step must not be done.
    pub(crate) async fn before(
        &self,
        action: &Action,
        (what, reason): (&str, &str),
    ) -> Result<(), String> {
        let call =
            HookCall { what: what.to_owned(), reason: reason.to_owned(), ..HookCall::default() };
        self.call(action, call).await.map_err(|error| format!("hook before it: {error}"))
    }

    /// The hook after a step; it changes nothing any more.
    ///
    /// # Errors
    /// What went wrong with it.
    pub(crate) async fn after(
        &self,
        action: &Action,
        (what, reason): (&str, &str),
        outcome: &Result<String, String>,
    ) -> Result<(), String> {
        let (Ok(result) | Err(result)) = outcome;
        let call = HookCall {
            after: true,
            what: what.to_owned(),
            reason: reason.to_owned(),
            done: outcome.is_ok(),
            result: result.clone(),
            ..HookCall::default()
        };
        self.call(action, call).await.map_err(|error| format!("hook after {what}: {error}"))
    }

    async fn call(&self, action: &Action, call: HookCall) -> Result<(), String> {
        let Some((step, node)) = subject(action) else { return Ok(()) };
        if wanted(self.spec, &call).is_none() {
            return Ok(());
        }
        let host = self.cluster.host_of(node, Some(self.spec));
        let call = HookCall { step: step.to_owned(), node: node.to_owned(), host, ..call };
        if action.is_direct() || node.is_empty() {
            return run_here(self.cluster, self.spec, &call).await.map(drop);
        }
        if !self.cluster.control.state().group.understands(3) {
            return Err("an agent of an earlier build does not know of hooks".to_owned());
        }
        self.order(node, Task::Hook(call)).await.map(drop)
    }
}

/// Kind of a step, and its node; nothing for steps that change nothing.
fn subject(action: &Action) -> Option<(&'static str, &str)> {
    Some(match action {
        Action::StartAgent | Action::SealBootstrap | Action::AwaitHealthy { .. } => return None,
        Action::Bootstrap { .. } => ("bootstrap", ""),
        Action::StartNode { node } => ("start-node", node),
        Action::MoveLeader { from, .. } => ("move-leader", from),
        Action::RestartNode { node, .. } => ("restart-node", node),
        Action::StopNode { node } => ("stop-node", node),
        Action::AddLearner { node, .. } => ("add-learner", node),
        Action::Promote { node } => ("promote", node),
        Action::RemoveMember { node, .. } => ("remove-member", node),
        Action::UpdateMember { node, .. } => ("update-member", node),
        Action::Archive { node } => ("archive", node),
    })
}

fn wanted<'a>(spec: &'a ClusterSpec, call: &HookCall) -> Option<&'a HookSpec> {
    if call.after { spec.running.after.as_ref() } else { spec.running.before.as_ref() }
}

/// What a hook may take.
pub(super) fn limit(spec: &ClusterSpec, call: &HookCall) -> Duration {
    wanted(spec, call).map_or(Duration::ZERO, |hook| hook.timeout + hook::GRACE * 2)
}

/// Runs the hook on this host, if it may be run here.
pub(super) async fn run_here(
    cluster: &Cluster,
    spec: &ClusterSpec,
    call: &HookCall,
) -> Result<String, String> {
    let Some(wanted) = wanted(spec, call) else {
        return Ok("there is no hook any more".to_owned());
    };
    if let Some(many) = &cluster.many {
        many.file.allow.permits_hook(&wanted.program, &many.file.host)?;
    }
    let file = if call.node.is_empty() {
        "hook.log".to_owned()
    } else {
        format!("hook-{}.log", call.node)
    };
    let hook = Hook {
        program: wanted.program.clone(),
        environment: environment(spec, call),
        timeout: wanted.timeout,
        output: cluster.tools.state_dir.join(file),
    };
    hook::run(&hook).await?;
    Ok("the hook has done its work".to_owned())
}

fn environment(spec: &ClusterSpec, call: &HookCall) -> BTreeMap<String, String> {
    let outcome = match (call.after, call.done) {
        (false, _) => "",
        (true, true) => "done",
        (true, false) => "failed",
    };
    [
        ("PATH", PATH),
        ("ETCD_MANAGER_PHASE", if call.after { "after" } else { "before" }),
        ("ETCD_MANAGER_STEP", &call.step),
        ("ETCD_MANAGER_WHAT", &call.what),
        ("ETCD_MANAGER_REASON", &call.reason),
        ("ETCD_MANAGER_NODE", &call.node),
        ("ETCD_MANAGER_HOST", &call.host),
        ("ETCD_MANAGER_CLUSTER", &spec.name),
        ("ETCD_MANAGER_OUTCOME", outcome),
        ("ETCD_MANAGER_RESULT", &call.result),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.replace('\0', " ")))
    .collect()
}
