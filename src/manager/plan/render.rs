//! A plan as text for people and as JSON for programs.

use std::{fmt, time::Duration};

use super::{
    action::{Action, Plan},
    note::{Note, NoteKind},
};

/// For people: numbered steps with reason and tolerance, then the notes.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut page = String::new();
    if plan.is_converged() {
        page += "Nothing to do: the cluster is what the spec says.\n";
    }
    let verdict = if plan.is_refused() { " (refused: none of them is carried out)" } else { "" };
    match plan.steps.len() {
        0 => {}
        1 => page += &format!("1 step{verdict}; tolerance = members that may fail\n\n"),
        count => page += &format!("{count} steps{verdict}; tolerance = members that may fail\n\n"),
    }
    let width = plan.steps.iter().map(|step| step.action.to_string().len()).max().unwrap_or(0);
    for (at, step) in plan.steps.iter().enumerate() {
        let sign = sign(&step.action);
        let action = step.action.to_string();
        page += &format!("{:>3}. {sign} {action:width$}  tolerance {}\n", at + 1, step.tolerance);
        page += &format!("       {}\n", step.reason);
    }
    for (kind, title) in [
        (NoteKind::Refused, "Refused"),
        (NoteKind::Blocked, "In the way"),
        (NoteKind::Wait, "Waits"),
        (NoteKind::Drift, "Differs and is left alone"),
    ] {
        let notes: Vec<&Note> = plan.notes.iter().filter(|note| note.kind == kind).collect();
        if !notes.is_empty() {
            let gap = if page.is_empty() { "" } else { "\n" };
            page += &format!("{gap}{title}:\n");
            page.extend(notes.iter().map(|note| format!("  - {note}\n")));
        }
    }
    page
}

/// For programs; docs/spec.md does not cover it, `Plan` does: `steps[]` with `action`, `reason`, `tolerance`; `notes[]`.
#[must_use]
pub fn json(plan: &Plan) -> String {
    let text = serde_json::to_string_pretty(plan);
    text.expect("a plan of texts and numbers is always JSON") + "\n"
}

/// As in a diff: what comes, goes, changes.
const fn sign(action: &Action) -> char {
    match action {
        Action::StartAgent
        | Action::Bootstrap { .. }
        | Action::StartNode { .. }
        | Action::AddLearner { .. } => '+',
        Action::StopNode { .. } | Action::RemoveMember { .. } | Action::Archive { .. } => '-',
        Action::RestartNode { .. }
        | Action::MoveLeader { .. }
        | Action::SealBootstrap
        | Action::Promote { .. }
        | Action::UpdateMember { .. } => '~',
        Action::AwaitHealthy { .. } => ' ',
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartAgent => write!(f, "start the agent"),
            Self::Bootstrap { nodes } => write!(f, "form a new cluster of {}", nodes.join(", ")),
            Self::SealBootstrap => write!(f, "record that the cluster is formed"),
            Self::StartNode { node } => write!(f, "start {node}"),
            Self::AwaitHealthy { nodes } => write!(f, "wait until healthy: {}", nodes.join(", ")),
            Self::MoveLeader { from, to } => write!(f, "move leadership from {from} to {to}"),
            Self::RestartNode { node, soak_ms: None, .. } => write!(f, "restart {node}"),
            Self::RestartNode { node, soak_ms: Some(soak_ms), .. } => {
                write!(f, "restart {node}, and watch it for {:?}", Duration::from_millis(*soak_ms))
            }
            Self::StopNode { node } => write!(f, "stop {node}"),
            Self::AddLearner { node, .. } => write!(f, "add {node} as a learner"),
            Self::Promote { node } => write!(f, "promote {node} to a voter"),
            Self::RemoveMember { node, .. } => write!(f, "remove member {node}"),
            Self::UpdateMember { node, peer_urls, .. } => {
                write!(f, "move the peer URLs of {node} to {}", peer_urls.join(","))
            }
            Self::Archive { node } => write!(f, "archive the data of {node}"),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = &self.node {
            write!(f, "{node}: ")?;
        }
        f.write_str(&self.text)?;
        if let Some(rule) = self.rule {
            write!(f, " ({rule})")?;
        }
        if !self.remedy.is_empty() {
            write!(f, "; to do: {}", self.remedy)?;
        }
        Ok(())
    }
}
