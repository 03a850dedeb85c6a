//! `[update]`: how changes are carried out.

use std::time::Duration;

use super::{
    diagnostic::{Code, Report},
    raw::{RawSpec, Section},
    suggest::nearest,
    types::{NodeSpec, Update},
};

/// The table with its defaults.
pub(super) fn read(section: &Section) -> Update {
    let duration = |key: &str| section.duration(key).map(|given| *given.value);
    Update {
        canary: section.text("canary").map(|name| name.value.to_owned()),
        soak: duration("soak"),
        learner_steady: duration("learner-steady").unwrap_or(Duration::from_secs(1)),
        learner_limit: duration("learner-limit").unwrap_or(Duration::from_secs(600)),
    }
}

/// The canary is one of the nodes.
pub(super) fn check(
    section: &Section,
    raw: &RawSpec,
    nodes: &[&NodeSpec],
    report: &mut Report<'_>,
) {
    let Some(canary) = section.text("canary") else { return };
    if raw.broken || nodes.iter().any(|node| node.name == canary.value) {
        return;
    }
    let reason = format!("the spec names no node {:?}", canary.value);
    let remedy = match nearest(canary.value, nodes.iter().map(|node| node.name.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name one of the nodes, or leave `canary` out".to_owned(),
    };
    report.error(Code::IllegalName, &canary.span, reason, remedy);
}
