//! Sections into a [`ClusterSpec`]: meaning, defaults and everything that concerns the cluster as a whole.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    collisions,
    diagnostic::{Code, Report},
    flags,
    keys::Table,
    nodes::{self, Draft},
    places,
    raw::{RawSpec, Section, Spot},
    running,
    tls::{self, Tls},
    types::{AgentSpec, Binary, ClusterSpec, LogSpec, Supervise},
    update,
};

/// More members than anyone runs: etcd itself advises seven at most.
const NODES_MAX: usize = 31;
const NODES_ADVISED: usize = 7;
const NAME_BYTES_MAX: usize = 63;
/// Beside etcd's 2379 and 2380.
pub(super) const AGENT_PORT: u16 = 2378;

/// What the sections of nodes need to know of the rest.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// Folder of the spec file.
    pub(super) base: &'a Path,
    /// `[cluster] dir`
    pub(super) dir: &'a Path,
    pub(super) defaults: &'a Section,
    /// `[defaults] binary`
    pub(super) binary: &'a Binary,
    /// `[tls]`
    pub(super) tls: &'a Tls,
}

/// The spec, as far as it can be made out; none if it lacks what everything else hangs on.
pub(super) fn build(raw: &RawSpec, source: &Path, report: &mut Report<'_>) -> Option<ClusterSpec> {
    let base = source.parent().unwrap_or_else(|| Path::new("."));
    let cluster = raw.section(Table::Cluster);
    let name = required_name(raw, cluster, report);
    let token = cluster
        .text("token")
        .map_or_else(|| name.clone(), |token| legal_name("token", &token, report));
    let dir = path(cluster, "dir", base)
        .unwrap_or_else(|| Spot::new(places::resolve(base, "data"), cluster.span.clone()));
    let defaults = raw.section(Table::Defaults);
    let binary = binary(defaults, base).unwrap_or(Binary::InTree);
    let tls = tls::read(raw.section(Table::Tls), base, report);
    let context = Context { base, dir: &dir.value, defaults, binary: &binary, tls: &tls };
    let agent = agent(raw.section(Table::Agent), &context, &dir.span);
    let log = path(raw.section(Table::Log), "dir", base)
        .unwrap_or_else(|| Spot::new(dir.value.join("log"), dir.span.clone()));
    places::check_socket(&agent.1, report);
    let user = user(defaults, report);
    let running = running::read(raw, base, report);
    let supervise = supervise(raw.section(Table::Supervise), report);
    flags::check_defaults(defaults, report);
    check_count(raw, cluster, report);
    let drafts: Vec<Draft> = raw
        .nodes
        .iter()
        .take(NODES_MAX)
        .map(|section| nodes::draft(section, &context, raw.broken, report))
        .collect();
    collisions::check(&drafts, &agent.1, &log, report);
    flags::check_equal(&drafts, report);
    let nodes: Vec<_> = drafts.iter().map(|draft| &draft.spec).collect();
    update::check(raw.section(Table::Update), raw, &nodes, report);
    Some(ClusterSpec {
        name: name?,
        token: token?,
        dir: dir.value,
        nodes: drafts.into_iter().map(|draft| draft.spec).collect(),
        agent: agent.0,
        supervise,
        running,
        update: update::read(raw.section(Table::Update)),
        log: log_spec(raw.section(Table::Log), log.value),
        user,
        pki: tls.managed,
        source: source.to_owned(),
    })
}

fn required_name(raw: &RawSpec, cluster: &Section, report: &mut Report<'_>) -> Option<String> {
    if let Some(name) = cluster.text("name") {
        return legal_name("name", &name, report);
    }
    if !raw.broken && cluster.given("name").is_none() {
        let reason = "the cluster has no name";
        let remedy = "add `name = \"...\"` under [cluster]";
        report.error(Code::MissingKey, &cluster.span, reason, remedy);
    }
    None
}

/// A name that is safe in flags, member lists, file names and tables.
pub(super) fn legal_name(key: &str, name: &Spot<&str>, report: &mut Report<'_>) -> Option<String> {
    let text = name.value;
    let legal = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c))
        && text.len() <= NAME_BYTES_MAX;
    if legal {
        return Some(text.to_owned());
    }
    let reason = format!("{text:?} is not a legal {key}");
    let remedy = format!(
        "use letters, digits, `.`, `_` and `-`, a letter or digit first, {NAME_BYTES_MAX} characters at most"
    );
    report.error(Code::IllegalName, &name.span, reason, remedy);
    None
}

/// A path of a section, whole.
pub(super) fn path(section: &Section, key: &str, base: &Path) -> Option<Spot<PathBuf>> {
    section.text(key).map(|path| Spot::new(places::resolve(base, path.value), path.span))
}

/// The program of a section.
pub(super) fn binary(section: &Section, base: &Path) -> Option<Binary> {
    section.text("binary").map(|binary| match binary.value {
        "in-tree" => Binary::InTree,
        path => Binary::Path(places::resolve(base, path)),
    })
}

fn agent(
    section: &Section,
    context: &Context<'_>,
    dir: &Range<usize>,
) -> (AgentSpec, Spot<PathBuf>) {
    let state_dir = path(section, "state-dir", context.base)
        .unwrap_or_else(|| Spot::new(context.dir.join("agent"), dir.clone()));
    let agent = AgentSpec {
        auto_apply: section.switch("auto-apply").is_some_and(|on| *on.value),
        port: section
            .whole("port")
            .and_then(|given| u16::try_from(*given.value).ok())
            .unwrap_or(AGENT_PORT),
        socket: state_dir.value.join("agent.sock"),
        state_dir: state_dir.value.clone(),
    };
    (agent, state_dir)
}

fn user(defaults: &Section, report: &mut Report<'_>) -> Option<String> {
    let user = defaults.text("user")?;
    let legal = user.value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && user.value.chars().all(|c| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c))
        && user.value.len() <= 32;
    if !legal {
        let reason = format!("{:?} is not a user name", user.value);
        let remedy = "give the name, not the number, of a user of the nodes' machines";
        report.error(Code::IllegalUser, &user.span, reason, remedy);
    }
    legal.then(|| user.value.to_owned())
}

fn supervise(section: &Section, report: &mut Report<'_>) -> Supervise {
    let duration =
        |key: &str, default: Duration| section.duration(key).map_or(default, |given| *given.value);
    let supervise = Supervise {
        backoff_min: duration("backoff-min", Duration::from_millis(500)),
        backoff_max: duration("backoff-max", Duration::from_secs(30)),
        restart_limit: count(section, "restart-limit", 5),
        restart_window: duration("restart-window", Duration::from_secs(600)),
        stop_timeout: duration("stop-timeout", Duration::from_secs(30)),
        ready_timeout: duration("ready-timeout", Duration::from_secs(60)),
    };
    if supervise.backoff_min > supervise.backoff_max {
        let place = section.given("backoff-min").or_else(|| section.given("backoff-max"));
        let reason = format!(
            "`backoff-min` ({:?}) is more than `backoff-max` ({:?})",
            supervise.backoff_min, supervise.backoff_max
        );
        let remedy = "make `backoff-max` the greater of the two";
        report.error(Code::OutOfRange, place.unwrap_or(&section.span), reason, remedy);
    }
    supervise
}

fn count(section: &Section, key: &str, default: u32) -> u32 {
    section.whole(key).and_then(|given| u32::try_from(*given.value).ok()).unwrap_or(default)
}

fn log_spec(section: &Section, dir: PathBuf) -> LogSpec {
    let max_bytes = section.whole("max-bytes").and_then(|given| u64::try_from(*given.value).ok());
    LogSpec { dir, max_bytes: max_bytes.unwrap_or(16 << 20), keep: count(section, "keep", 5) }
}

fn check_count(raw: &RawSpec, cluster: &Section, report: &mut Report<'_>) {
    let count = raw.nodes.len();
    let Some(last) = raw.nodes.last() else {
        if !raw.broken {
            let remedy =
                "add a `[[node]]` with `name` and `host` for each node; three is the usual number";
            report.error(Code::NoNodes, &cluster.span, "the spec has no nodes", remedy);
        }
        return;
    };
    let survives = (count - 1) / 2;
    if count > NODES_MAX {
        let reason =
            format!("{count} nodes are more than the {NODES_MAX} that one cluster may have");
        report.error(Code::MemberCount, &last.span, reason, "use three, five or seven nodes");
    } else if count.is_multiple_of(2) {
        let reason = format!(
            "an even number of nodes: {count} survive the loss of {survives}, as {} do",
            count - 1
        );
        let remedy = format!("use {} or {} nodes", count - 1, count + 1);
        report.warning(Code::MemberCount, &last.span, reason, remedy);
    } else if count > NODES_ADVISED {
        let reason = format!("{count} nodes: each write waits for {} of them", count / 2 + 1);
        report.warning(Code::MemberCount, &last.span, reason, "use three, five or seven nodes");
    }
}
