//! The report for people.

use std::fmt::Write as _;

use super::report::{Integrity, Managed, Report};

/// All of a report that a person wants to see, as lines of text.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<14} {value}").expect("a string takes all");
    };
    line("data dir", &format!("{} ({})", report.data_dir, word(&report.kind)));
    line("verdict", &word(&report.verdict));
    line("member", report.member_id.as_deref().unwrap_or("-"));
    line("cluster", report.cluster_id.as_deref().unwrap_or("-"));
    if let Some(managed) = &report.managed {
        let Managed { cluster_uuid, epoch, record, .. } = managed;
        line("managed", &format!("lineage {epoch} of {cluster_uuid}; record {record}"));
    }
    let position = |at: Option<super::Position>| {
        at.map_or_else(|| "-".to_owned(), |at| format!("{} of term {}", at.index, at.term))
    };
    line("last entry", &position(report.last));
    if let Some(state) = &report.hard_state {
        let vote = state.vote.as_deref().unwrap_or("nobody");
        line("hard state", &format!("term {}, vote {vote}, commit {}", state.term, state.commit));
    }
    line("applied", &report.applied.map_or_else(|| "-".to_owned(), |index| index.to_string()));
    line("starts from", &position(report.start));
    line("log", &format!("{}; {}", judged(&report.wal.integrity), segments(report)));
    let snaps = &report.snapshots;
    line("snapshots", &format!("{}; {} files", judged(&snaps.integrity), snaps.files.len()));
    line("backend", &format!("{}; {}", judged(&report.backend.integrity), backend(report)));
    rows(&mut text, report);
    for finding in &report.findings {
        writeln!(text, "! {finding}").expect("a string takes all");
    }
    text
}

fn rows(text: &mut String, report: &Report) {
    if let Some(known) = &report.membership {
        let version = known.cluster_version.as_deref().unwrap_or("-");
        writeln!(text, "\nmembers (from the {}; cluster version {version})", known.source)
            .expect("a string takes all");
        for member in &known.members {
            let role = if member.is_learner { "learner" } else { "voter" };
            let name = if member.name.is_empty() { "(not started)" } else { &member.name };
            let urls = member.peer_urls.join(",");
            writeln!(text, "  {:<16} {role:<8} {name} {urls}", member.id)
                .expect("a string takes all");
        }
    }
    if !report.configurations.is_empty() {
        text.push_str("\nconfigurations\n");
    }
    for one in &report.configurations {
        let learners = match one.learners.as_slice() {
            [] => String::new(),
            learners => format!(", learners {}", learners.join(" ")),
        };
        let (voters, index, term) = (one.voters.join(" "), one.index, one.term);
        writeln!(text, "  {:<11} {index} of term {term}: voters {voters}{learners}", one.state)
            .expect("a string takes all");
    }
    for change in &report.pending {
        let state = if change.committed { "committed" } else { "uncommitted" };
        writeln!(
            text,
            "  pending     {} of term {}: {} {} ({state})",
            change.index, change.term, change.change, change.member_id
        )
        .expect("a string takes all");
    }
}

fn segments(report: &Report) -> String {
    let bytes: u64 = report.wal.segments.iter().filter_map(|segment| segment.bytes).sum();
    let records: u64 = report.wal.segments.iter().map(|segment| segment.records).sum();
    format!("{} segments, {bytes} bytes, {records} sound records", report.wal.segments.len())
}

fn backend(report: &Report) -> String {
    let store = &report.backend;
    let Some(revision) = store.revision else { return store.engine.to_owned() };
    let compacted = store
        .compacted_revision
        .map_or_else(String::new, |revision| format!(" (compacted up to {revision})"));
    let alarms: String =
        store.alarms.iter().map(|alarm| format!(", ALARM {}", alarm.kind)).collect();
    let bytes = store.bytes.unwrap_or_default();
    format!("{}, {bytes} bytes, revision {revision}{compacted}{alarms}", store.engine)
}

fn judged(integrity: &Integrity) -> String {
    let mut text = integrity.state.to_owned();
    if let Some(bytes) = integrity.cut_bytes {
        write!(text, ", {bytes} bytes would be cut").expect("a string takes all");
    }
    if let Some(path) = &integrity.path {
        write!(text, ", {path}").expect("a string takes all");
    }
    if let Some(offset) = integrity.offset {
        write!(text, " at {offset}").expect("a string takes all");
    }
    if let Some(what) = &integrity.what {
        write!(text, ": {what}").expect("a string takes all");
    }
    text
}

/// A word of the document, as it stands there.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => "-".to_owned(),
    }
}
