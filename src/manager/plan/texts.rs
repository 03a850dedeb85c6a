//! What is said about a node that is not simply kept, started or restarted: one sentence, and what to do.

use super::{
    note::{Note, NoteKind, Rule},
    observation::{DataDir, Fact, Health, History, NodeObservation, Process},
    table::{Obstacle, Pending},
};
use crate::spec::NodeSpec;

/// The note of a node that has to wait.
pub(super) fn pending(why: Pending, node: &NodeSpec, seen: Option<&NodeObservation>) -> Note {
    let reason = |fact: Option<&str>| fact.unwrap_or("it was not looked at").to_owned();
    let (text, remedy) = match why {
        Pending::ProcessUnknown => {
            let why = reason(seen.and_then(|seen| unknown(&seen.process)));
            (
                format!("whether its process runs is unknown: {why}"),
                "see that its host and agent answer",
            )
        }
        Pending::RecordUnknown => (
            "the record of the cluster cannot be read".to_owned(),
            "see that the agent's state dir is readable",
        ),
        Pending::DirUnknown => {
            let why = reason(seen.and_then(|seen| unknown(&seen.data_dir)));
            (
                format!("what its data dir holds is unknown: {why}"),
                "make the data dir readable to the agent",
            )
        }
        Pending::MembersUnknown => (
            "its data dir is empty, and no quorum answers to say whether it ever had data"
                .to_owned(),
            "bring the other nodes up first",
        ),
        Pending::HealthUnknown => {
            let why = reason(seen.and_then(|seen| unknown(&seen.health)));
            (format!("whether it is healthy is unknown: {why}"), "")
        }
        Pending::Starting => ("it was started and is not ready yet".to_owned(), ""),
        Pending::NotHealthy => (format!("it runs and is not healthy: {}", ill(seen)), ""),
        Pending::Pausing => (format!("it ended and will be started again: {}", ended(seen)), ""),
        Pending::Fenced => (
            "a recovery was promised for it, and is neither opened nor given up".to_owned(),
            "leave it down: the recovery decides what becomes of it",
        ),
        Pending::Unforeseen => (
            "this combination of facts has no rule, so nothing is done".to_owned(),
            "report it with the output of status",
        ),
    };
    let rule = match why {
        Pending::RecordUnknown => Some(Rule(13)),
        Pending::MembersUnknown => Some(Rule(2)),
        Pending::Fenced => Some(Rule(3)),
        _ => None,
    };
    note(NoteKind::Wait, rule, node, text, remedy)
}

/// The note of a node that needs a human.
pub(super) fn obstacle(
    why: Obstacle,
    node: &NodeSpec,
    seen: Option<&NodeObservation>,
    history: &History,
) -> Note {
    let dir = node.data_dir.display();
    let (rule, text, remedy) = match why {
        Obstacle::HeldByOther => (
            None,
            format!("its data dir or a port of it is held by {}", owner(seen)),
            "stop that process, or give the node another place".to_owned(),
        ),
        Obstacle::Removed => (
            Some(5),
            "the cluster removed this member, and the spec still lists it".to_owned(),
            "take its [[node]] out of the spec, or bring the others up and apply again: it then joins anew".to_owned(),
        ),
        Obstacle::NotAMember => (
            Some(5),
            "the cluster does not list it as a member".to_owned(),
            "take its [[node]] out of the spec, or stop it and apply again: it then joins anew".to_owned(),
        ),
        Obstacle::NoRecord => (
            Some(2),
            format!("there is no record of its cluster, and it has a process or data in {dir}"),
            "bring back the agent's state dir, or name an empty data dir; this build adopts no cluster".to_owned(),
        ),
        Obstacle::OtherDir => (
            Some(3),
            format!("{dir} holds {}, which is not this node of this cluster", member(seen)),
            "name the right data dir in the spec, or move that one away".to_owned(),
        ),
        Obstacle::ForeignDir => (
            Some(4),
            format!("{dir} holds files that are not etcd's"),
            "name a data dir of its own, or move those files away".to_owned(),
        ),
        Obstacle::DirGone => (
            Some(17),
            format!("it runs, but {dir} was taken away from under it"),
            format!("put the data dir back; if it is lost, `etcd-manager member replace {}`", node.name),
        ),
        Obstacle::Damaged => (
            Some(4),
            format!("the log in {dir} is broken"),
            "leave the data dir as it is; with a quorum of the others, an apply archives it and joins the member anew".to_owned(),
        ),
        Obstacle::Stale => (
            Some(17),
            format!("the log in {dir} is older than what this member acknowledged: the disk was put back or exchanged"),
            "attach the right disk; with a quorum of the others, an apply archives this dir and joins the member anew".to_owned(),
        ),
        Obstacle::LostDisk => (
            Some(17),
            format!("it was a member, and {dir} is empty{}", elsewhere(node, history)),
            "put its data back, or bring the other nodes up: an apply then takes the member out and joins it anew".to_owned(),
        ),
        Obstacle::CrashLoop => (
            None,
            format!("it ended too often: {}", ended(seen)),
            format!("mend the cause, then `etcd-manager restart {}`", node.name),
        ),
        Obstacle::ClusterElsewhere => (
            Some(1),
            "a cluster that this manager has no record of answers there".to_owned(),
            "use other addresses, or stop that cluster; this build adopts none".to_owned(),
        ),
    };
    note(NoteKind::Blocked, rule.map(Rule), node, text, &remedy)
}

fn note(kind: NoteKind, rule: Option<Rule>, node: &NodeSpec, text: String, remedy: &str) -> Note {
    Note { kind, rule, node: Some(node.name.clone()), text, remedy: remedy.to_owned() }
}

fn unknown<T>(fact: &Fact<T>) -> Option<&str> {
    match fact {
        Fact::Unknown(reason) => Some(reason),
        Fact::Known(_) => None,
    }
}

fn ill(seen: Option<&NodeObservation>) -> &str {
    match seen.map(|seen| &seen.health) {
        Some(Fact::Known(Health::Unhealthy(reason))) => reason,
        _ => "it does not answer",
    }
}

/// How its last process ended.
pub(super) fn ended(seen: Option<&NodeObservation>) -> &str {
    match seen.and_then(|seen| seen.process.known()) {
        Some(Process::BackingOff { ended, .. } | Process::CrashLoop { ended, .. }) => ended,
        Some(Process::Stopped { ended: Some(ended) }) => ended,
        _ => "it was never started",
    }
}

fn owner(seen: Option<&NodeObservation>) -> &str {
    match seen.and_then(|seen| seen.process.known()) {
        Some(Process::Foreign { owner }) => owner,
        _ => "another process",
    }
}

fn member(seen: Option<&NodeObservation>) -> String {
    match seen.and_then(|seen| seen.data_dir.known()) {
        Some(DataDir::Formed { cluster, member }) => {
            format!("member {member} of cluster {cluster}")
        }
        _ => "a member".to_owned(),
    }
}

/// Where the data was last time, if that is not where the spec looks.
fn elsewhere(node: &NodeSpec, history: &History) -> String {
    match history.nodes.get(&node.name) {
        Some(record) if record.data_dir != node.data_dir => {
            format!("; it was last started on {}", record.data_dir.display())
        }
        _ => String::new(),
    }
}
