//! What the metrics port tells, in Prometheus' text format 0.0.4: everything from one status document and the control state.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    agent::cluster::Cluster,
    archives,
    control::{Leadership, state::ControlState},
    report::{StatusReport, gather},
    spec::ClusterSpec,
};

/// States of a node, as docs/status-json.md has them.
const STATES: [&str; 10] = [
    "running",
    "starting",
    "stopping",
    "stopped",
    "backing-off",
    "crash-loop",
    "removed",
    "held",
    "foreign",
    "unknown",
];

/// The page.
pub(super) async fn render(cluster: &Arc<Cluster>) -> String {
    let report = gather(cluster).await;
    let state = cluster.control.state();
    let mut page = Page::default();
    agents(&mut page, cluster, &state);
    nodes(&mut page, &report, cluster.tools.clock.wall());
    requests(&mut page, &report, &state);
    events(&mut page, &state);
    if let Ok(Some(spec)) = cluster.spec() {
        // A folder may be large; the other tasks of this thread go on.
        let found = tokio::task::spawn_blocking(move || archived(&spec)).await;
        if let Ok(Some((count, bytes))) = found {
            page.gauge("archives", "Data dirs put away on this host.", count);
            page.gauge("archives_bytes", "Bytes of their files.", bytes);
        }
    }
    page.text
}

fn archived(spec: &ClusterSpec) -> Option<(u64, u64)> {
    let found = archives::list(&archives::folders(spec)).ok()?;
    let count = u64::try_from(found.len()).ok()?;
    Some((count, found.iter().map(|archive| archive.bytes).sum()))
}

fn agents(page: &mut Page, cluster: &Cluster, state: &ControlState) {
    page.gauge("up", "The agent answers.", 1_u8);
    page.head("build_info", "gauge", "The agent's build.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1_u8);
    let leadership = cluster.control.leadership();
    let leads = u8::from(matches!(leadership, Leadership::Own(_)));
    page.gauge("control_leader", "Whether this agent leads the agents.", leads);
    let quorum = u8::from(matches!(leadership, Leadership::Own(_) | Leadership::Other(_)));
    page.gauge("control_has_quorum", "Whether the agents can decide.", quorum);
    // An embedded agent is a group of one.
    let members = state.group.voters.len().max(usize::from(cluster.many.is_none()));
    page.gauge("control_members", "Agents with a vote.", members);
    page.gauge(
        "control_applied_index",
        "Last entry of the control log that took effect here.",
        state.applied,
    );
    page.gauge("paused", "Whether nothing is changed.", u8::from(state.paused.is_some()));
}

fn nodes(page: &mut Page, report: &StatusReport, now: SystemTime) {
    page.head("nodes", "gauge", "Nodes by state.");
    for word in STATES {
        let count = report.members.iter().filter(|member| member.state == word).count();
        page.sample("nodes", &[("state", word)], count);
    }
    page.head("node_healthy", "gauge", "Whether a linearizable read through the node succeeds.");
    for member in &report.members {
        let healthy = u8::from(member.health == "healthy");
        page.sample("node_healthy", &[("node", &member.name)], healthy);
    }
    page.head(
        "node_restarts_total",
        "counter",
        "Restarts after ends that nobody asked for, since it was last started on purpose.",
    );
    for member in &report.members {
        page.sample("node_restarts_total", &[("node", &member.name)], member.restarts);
    }
    page.head(
        "certificate_expiry_seconds",
        "gauge",
        "Until the node's first certificate expires; negative once it has.",
    );
    for member in &report.members {
        let expires = member.certificate.as_ref().and_then(|it| it.expires.as_deref());
        if let Some(seconds) = expires.and_then(|expires| until(expires, now)) {
            page.sample("certificate_expiry_seconds", &[("node", &member.name)], seconds);
        }
    }
    page.gauge("voters", "Members with a vote.", report.quorum.voters);
    page.gauge("voters_healthy", "Of these healthy.", report.quorum.healthy);
    page.gauge(
        "failure_tolerance",
        "Further failures that the cluster survives; negative without a quorum.",
        report.quorum.tolerance,
    );
}

fn until(expires: &str, now: SystemTime) -> Option<i64> {
    let seconds = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok())
    };
    Some(seconds(humantime::parse_rfc3339_weak(expires).ok()?)? - seconds(now)?)
}

fn requests(page: &mut Page, report: &StatusReport, state: &ControlState) {
    page.gauge("converged", "Whether what runs is what the spec says.", u8::from(report.converged));
    page.gauge(
        "request_under_way",
        "Whether something is being changed.",
        u8::from(state.goal.is_some()),
    );
    page.gauge("spec_revision_recorded", "Revision of the wanted spec.", state.spec_revision());
    page.gauge(
        "spec_revision_applied",
        "Newest revision that an apply has reached.",
        state.reached_revision,
    );
    let Some(last) = &report.last else { return };
    page.head("last_request", "gauge", "The last request that ended, and how.");
    page.sample("last_request", &[("goal", &last.goal), ("outcome", &last.outcome)], 1_u8);
    if let Some(seconds) = duration(state) {
        page.gauge("last_request_duration_seconds", "What it took.", seconds);
    }
}

/// From the last request to its end; nothing if one is under way, or the beginning is dropped already.
fn duration(state: &ControlState) -> Option<f64> {
    let mut newest = state.events.iter().rev();
    let ended = newest.find(|event| event.kind == "settled")?;
    let begun = newest.find(|event| event.kind == "request")?;
    let took = std::time::Duration::from_millis(ended.at_ms.saturating_sub(begun.at_ms));
    Some(took.as_secs_f64())
}

fn events(page: &mut Page, state: &ControlState) {
    page.head("events_total", "counter", "Events of the control log since it began.");
    page.sample("events_total", &[], state.event_number);
    let mut kept: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for event in &state.events {
        *kept.entry((&event.kind, &event.outcome)).or_default() += 1;
    }
    page.head(
        "events_kept",
        "gauge",
        "The newest events by kind and outcome (docs/events-json.md).",
    );
    for ((kind, outcome), count) in kept {
        page.sample("events_kept", &[("kind", kind), ("outcome", outcome)], count);
    }
}

/// The text under way.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(&format!("# HELP etcd_manager_{name} {help}"));
        self.line(&format!("# TYPE etcd_manager_{name} {kind}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let pairs: Vec<String> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let labels =
            if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        self.line(&format!("etcd_manager_{name}{labels} {value}"));
    }

    fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").unwrap_or_default();
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_help_are_escaped_as_the_format_wants() {
        let mut page = Page::default();
        page.head("x", "gauge", "two\nlines \\ one");
        page.sample("x", &[("file", "a\"b\\c\nd")], 1);
        assert_eq!(
            page.text,
            "# HELP etcd_manager_x two\\nlines \\\\ one\n# TYPE etcd_manager_x gauge\n\
             etcd_manager_x{file=\"a\\\"b\\\\c\\nd\"} 1\n"
        );
    }

    #[test]
    fn time_to_expiry_is_negative_once_it_is_over() {
        let now = humantime::parse_rfc3339_weak("2026-11-23T00:00:10Z").unwrap();
        assert_eq!(until("2026-11-23T00:01:10Z", now), Some(60));
        assert_eq!(until("2026-11-23T00:00:00Z", now), Some(-10));
        assert_eq!(until("soon", now), None);
    }

    #[test]
    fn every_metric_is_on_its_page_and_none_else() {
        let page = include_str!("../../../../docs/metrics.md");
        let source = include_str!("page.rs");
        let source = source.split_once("#[cfg(test)]").unwrap().0;
        let named = |call: &str| -> Vec<String> {
            let parts = source.split(call).skip(1);
            let quoted = |rest: &str| {
                Some(rest.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned())
            };
            parts.filter_map(quoted).collect()
        };
        let names: Vec<String> = [named("page.head("), named("page.gauge(")].concat();
        assert!(names.len() > 20, "{names:?}");
        for name in &names {
            assert!(
                page.contains(&format!("| `etcd_manager_{name}` |")),
                "docs/metrics.md lacks {name}"
            );
        }
        let rows = page.lines().filter(|line| line.starts_with("| `etcd_manager_")).count();
        assert_eq!(rows, names.len());
    }
}
