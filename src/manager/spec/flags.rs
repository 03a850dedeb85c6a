//! `flags` and `environment` tables: which etcd flags may be given, their types, and the product's defaults.

use std::{collections::BTreeMap, ops::Range};

use base::flags as table;

use super::{
    diagnostic::{Code, Report},
    nodes::Draft,
    raw::{Section, Spot},
};

/// Flags that a careful operator would set, with the reason for docs/spec.md.
pub(super) const PRODUCT_DEFAULTS: &[(&str, &str, &str)] = &[
    (
        "auto-compaction-mode",
        "periodic",
        "Old revisions are dropped by age, whatever the write rate.",
    ),
    (
        "auto-compaction-retention",
        "1h",
        "etcd's default keeps every revision for ever, until the space quota stops all writes. An hour is enough for watchers and readers to catch up.",
    ),
    (
        "experimental-initial-corrupt-check",
        "true",
        "A starting member compares its data with the others' before it serves, so a damaged disk is found before it answers clients.",
    ),
    (
        "log-outputs",
        "stderr",
        "The manager keeps what a node writes to stderr, also under systemd.",
    ),
    ("logger", "zap", "etcd 3.4 and 3.5 then write the same log lines."),
    (
        "pre-vote",
        "true",
        "A member that was cut off does not depose the leader when it comes back. etcd 3.4 has it off.",
    ),
    (
        "quota-backend-bytes",
        "8589934592",
        "8 GiB, the most that etcd advises, instead of 2 GiB: a full quota stops all writes.",
    ),
    (
        "snapshot-count",
        "10000",
        "Entries between snapshots, as in etcd 3.6, instead of 100000: less memory, and a shorter log to replay at a start.",
    ),
    (
        "strict-reconfig-check",
        "true",
        "etcd refuses a membership change that would lose the quorum.",
    ),
];

/// Flags that are not the operator's to give, and what to do instead.
const NOT_YOURS: &[(&str, &str)] = &[
    ("name", "use `name` of the [[node]]"),
    ("data-dir", "use `data-dir` of the [[node]]"),
    ("wal-dir", "use `wal-dir` of the [[node]]"),
    ("listen-client-urls", "use `client-port` or `listen-client-urls` of the [[node]]"),
    ("listen-peer-urls", "use `peer-port` or `listen-peer-urls` of the [[node]]"),
    ("advertise-client-urls", "use `client-port` or `advertise-client-urls` of the [[node]]"),
    ("initial-advertise-peer-urls", "use `peer-port` or `advertise-peer-urls` of the [[node]]"),
    ("initial-cluster", "leave it out: it is written from the cluster's record of its members"),
    (
        "initial-cluster-state",
        "leave it out: it is written from the cluster's record, and `new` only once",
    ),
    ("initial-cluster-token", "use `token` under [cluster]"),
    ("force-new-cluster", "leave it out: it throws the other members away at every start"),
    ("config-file", "put the flags of that file here: etcd would ignore all others"),
    ("version", "leave it out: the node would print its version and end"),
    ("discovery", "leave it out: the members are the [[node]] tables"),
    ("discovery-proxy", "leave it out: the members are the [[node]] tables"),
    ("discovery-srv", "leave it out: the members are the [[node]] tables"),
    ("discovery-srv-name", "leave it out: the members are the [[node]] tables"),
    ("discovery-fallback", "leave it out: the members are the [[node]] tables"),
    ("proxy", "leave it out: the manager runs members, no proxies"),
];

/// Flags that etcd wants equal on all members.
const EQUAL: &[&str] = &[
    "auth-token",
    "auth-token-ttl",
    "election-timeout",
    "experimental-enable-lease-checkpoint",
    "experimental-enable-lease-checkpoint-persist",
    "heartbeat-interval",
];

/// Flag, value, and what it risks.
const RISKY: &[(&str, &str, &str)] = &[
    (
        "unsafe-no-fsync",
        "true",
        "writes that were acknowledged are lost when a machine loses power",
    ),
    ("strict-reconfig-check", "false", "a membership change may lose the quorum for good"),
];

const HEARTBEAT_MS: u64 = 100;
const ELECTION_MS: u64 = 1000;
const ELECTION_MS_MAX: u64 = 50_000;

/// Whether etcd has this flag.
pub(super) fn is_known(name: &str) -> bool {
    table::find(name).is_some()
}

/// Checks `[defaults.flags]` and `[defaults.environment]`, once for all nodes.
pub(super) fn check_defaults(defaults: &Section, report: &mut Report<'_>) {
    check_flags(defaults, report);
    check_variables(defaults, report);
}

/// The flags of a node: product defaults < `[defaults.flags]` < `[node.flags]`.
pub(super) fn resolve(
    node: &Section,
    defaults: &Section,
    report: &mut Report<'_>,
) -> BTreeMap<String, String> {
    check_flags(node, report);
    let product =
        PRODUCT_DEFAULTS.iter().map(|(name, value, _)| ((*name).to_owned(), (*value).to_owned()));
    let mut flags: BTreeMap<String, String> = product.collect();
    flags.extend(pairs(defaults, "flags"));
    flags.extend(pairs(node, "flags"));
    check_together(&flags, (node, defaults), report);
    flags
}

/// The further environment of a node: `[defaults.environment]` < `[node.environment]`.
pub(super) fn environment(
    node: &Section,
    defaults: &Section,
    report: &mut Report<'_>,
) -> BTreeMap<String, String> {
    check_variables(node, report);
    let mut environment: BTreeMap<String, String> = pairs(defaults, "environment").collect();
    environment.extend(pairs(node, "environment"));
    environment
}

/// Warns where nodes differ in what all members must have alike.
pub(super) fn check_equal(drafts: &[Draft], report: &mut Report<'_>) {
    for flag in EQUAL {
        let mut values: Vec<Option<&String>> =
            drafts.iter().map(|draft| draft.spec.flags.get(*flag)).collect();
        values.dedup();
        let spot =
            drafts.iter().flat_map(|draft| &draft.flag_spans).find(|spot| spot.value == *flag);
        if let (true, Some(spot)) = (values.len() > 1, spot) {
            let reason = format!("`{flag}` is not the same on all nodes");
            let remedy = "set it once, under [defaults.flags]";
            report.warning(Code::FlagsDiffer, &spot.span, reason, remedy);
        }
    }
}

fn pairs<'a>(section: &'a Section, key: &str) -> impl Iterator<Item = (String, String)> + use<'a> {
    let pairs = section.pairs(key).map_or(&[][..], |pairs| pairs.value);
    pairs.iter().map(|(name, value)| (name.value.clone(), value.value.clone()))
}

fn check_flags(section: &Section, report: &mut Report<'_>) {
    let Some(flags) = section.pairs("flags") else { return };
    for (name, value) in flags.value {
        let bare = name.value.trim_start_matches('-');
        if let Some((_, instead)) = NOT_YOURS.iter().find(|(flag, _)| *flag == bare) {
            let reason = format!("the flag `{bare}` is the manager's to give");
            report.error(Code::FlagNotYours, &name.span, reason, *instead);
            continue;
        }
        match table::find(&name.value) {
            None => unknown_flag(name, report),
            Some(flag) => {
                if let Err(wrong) = flag.validate(&value.value) {
                    let reason = format!("`{}` is {:?}", name.value, value.value);
                    report.error(Code::FlagValue, &value.span, reason, format!("it {wrong}"));
                }
            }
        }
        let risk = RISKY.iter().find(|(flag, bad, _)| *flag == bare && *bad == value.value);
        if let Some((flag, bad, risk)) = risk {
            let reason = format!("with `{flag} = {bad}` {risk}");
            report.warning(Code::RiskyFlag, &name.span, reason, "leave it out, unless you mean it");
        }
    }
}

fn unknown_flag(name: &Spot<String>, report: &mut Report<'_>) {
    let bare = name.value.trim_start_matches('-');
    let remedy = if is_known(bare) {
        format!("write it without dashes: `{bare}`")
    } else {
        table::nearest(bare).map_or_else(
            || "see `etcd --help` for the flags of etcd 3.5".to_owned(),
            |near| format!("did you mean `{near}`?"),
        )
    };
    let reason = format!("etcd 3.5 has no flag `{}`", name.value);
    report.error(Code::UnknownFlag, &name.span, reason, remedy);
}

/// Flags that only make sense with each other.
fn check_together(
    flags: &BTreeMap<String, String>,
    sections: (&Section, &Section),
    report: &mut Report<'_>,
) {
    let number = |flag: &str| flags.get(flag).and_then(|value| value.parse::<u64>().ok());
    let heartbeat = number("heartbeat-interval").unwrap_or(HEARTBEAT_MS);
    let election = number("election-timeout").unwrap_or(ELECTION_MS);
    if heartbeat.saturating_mul(5) > election || election > ELECTION_MS_MAX {
        let reason = format!("election timeout {election} ms with heartbeats every {heartbeat} ms");
        let remedy = format!(
            "let `election-timeout` be at least 5 times `heartbeat-interval` and at most {ELECTION_MS_MAX}"
        );
        let place = given(sections, &["election-timeout", "heartbeat-interval"]);
        report.error(Code::FlagValue, &place, reason, remedy);
    }
    let by_revision = flags.get("auto-compaction-mode").is_some_and(|mode| mode == "revision");
    let kept = flags.get("auto-compaction-retention").map(|kept| table::parse_retention(kept));
    if by_revision && !matches!(kept, Some(Ok(Ok(_)))) {
        let reason = "`auto-compaction-mode = revision` without a number of revisions to keep";
        let remedy = "set `auto-compaction-retention` to that number, such as 10000";
        let place = given(sections, &["auto-compaction-retention", "auto-compaction-mode"]);
        report.error(Code::FlagValue, &place, reason, remedy);
    }
}

/// Where the first given one of these flags stands: with the node if it is there.
fn given((node, defaults): (&Section, &Section), flags: &[&str]) -> Range<usize> {
    let place = |section: &Section, flag: &str| {
        let pairs = section.pairs("flags")?;
        pairs.value.iter().find(|(name, _)| name.value == flag).map(|(name, _)| name.span.clone())
    };
    [node, defaults]
        .into_iter()
        .flat_map(|section| flags.iter().map(move |flag| (section, *flag)))
        .find_map(|(section, flag)| place(section, flag))
        .unwrap_or_else(|| node.span.clone())
}

fn check_variables(section: &Section, report: &mut Report<'_>) {
    let Some(variables) = section.pairs("environment") else { return };
    for (name, _) in variables.value {
        let text = &name.value;
        if let Some(flag) = text.strip_prefix("ETCD_") {
            let flag = flag.to_lowercase().replace('_', "-");
            let reason = format!("`{text}` is etcd's own");
            let remedy = format!("put `{flag}` under `flags`, where it is checked");
            report.error(Code::IllegalVariable, &name.span, reason, remedy);
        } else if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            let reason = format!("{text:?} is not the name of an environment variable");
            let remedy = "use letters, digits and `_`, no digit first";
            report.error(Code::IllegalVariable, &name.span, reason, remedy);
        }
    }
}
