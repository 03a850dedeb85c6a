//! `pki`: the folder of certificates. Works on files alone; no agent is asked.

use std::{fmt::Write, path::PathBuf};

use super::{
    Environment,
    outcome::{Failure, Outcome, REFUSED, USAGE},
    pki_arguments::{Init, Issue, Kind, Pki, PkiCommand, Place, Rotate, Show, Step},
    screen::Screen,
};
use crate::{
    cli::arguments::Output,
    pki::{Deed, Done, Holder, Order, Phase, PkiError, Shown, Store, names_of_host},
    spec::{self, ClusterSpec},
};

pub(super) fn run(
    pki: &Pki,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    match &pki.command {
        PkiCommand::Init(init) => begin(init, environment, screen),
        PkiCommand::Issue(issue) => issued(issue, environment, screen),
        PkiCommand::Rotate(rotate) => rotated(rotate, environment, screen),
        PkiCommand::Show(show) => shown(show, environment, screen),
    }
}

impl From<PkiError> for Failure {
    fn from(error: PkiError) -> Self {
        let text = base::ErrorChain(&error).to_string();
        match error {
            PkiError::Refused(_) => Self::new(REFUSED, text),
            PkiError::Tls(_) | PkiError::Disk { .. } => Self::failed(text),
        }
    }
}

/// The folder, and the spec if one is named.
fn open(place: &Place, environment: &Environment) -> Result<(Store, Option<ClusterSpec>), Failure> {
    let spec = match &place.spec {
        Some(file) => Some(spec::load(file)?.spec),
        None => None,
    };
    let of_spec = || spec.as_ref().and_then(|spec| spec.pki.clone());
    let dir = place.dir.clone().or_else(of_spec).unwrap_or_else(|| PathBuf::from("pki"));
    let store = Store::open(environment.disk.clone(), &dir, &*environment.clock)?;
    Ok((store, spec))
}

fn begin(init: &Init, environment: &Environment, screen: &mut Screen) -> Result<Outcome, Failure> {
    let (store, spec) = open(&init.place, environment)?;
    let of_spec = spec.as_ref().map(|spec| spec.name.clone());
    let name = init.name.clone().or(of_spec).unwrap_or_else(|| "etcd".to_owned());
    let made = store.create(&name)?;
    let what = if made { "made" } else { "kept" };
    screen.line(&format!("{what:8} {}", store.authority_file().display()));
    let Some(spec) = spec else { return Ok(Outcome::Done) };
    let mut hosts: Vec<&str> = Vec::new();
    for node in &spec.nodes {
        if !hosts.contains(&node.host.as_str()) {
            hosts.push(&node.host);
        }
    }
    for host in hosts {
        let order = Order {
            name: host.to_owned(),
            holder: Holder::Host,
            hosts: names_of_host(&spec, host).unwrap_or_default(),
            life: tls::authority::LEAF_LIFE,
            renew: false,
        };
        print(&store.issue(&order)?, screen);
    }
    Ok(Outcome::Done)
}

fn issued(
    issue: &Issue,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let (store, spec) = open(&issue.place, environment)?;
    let holder = match issue.kind {
        Kind::Host => Holder::Host,
        Kind::Operator => Holder::Operator,
        Kind::Reader => Holder::Reader,
        Kind::Client => Holder::Client,
    };
    let mut hosts = issue.names.clone();
    if holder != Holder::Host && !hosts.is_empty() {
        return Err(Failure::new(USAGE, "--san is for hosts: others only dial"));
    }
    if let Some(spec) = spec.filter(|_| holder == Holder::Host) {
        let known = names_of_host(&spec, &issue.holder).ok_or_else(|| {
            let known: Vec<&str> = spec.nodes.iter().map(|node| node.host.as_str()).collect();
            let text = format!(
                "no node of the spec has the host {:?}; there are {}",
                issue.holder,
                known.join(", ")
            );
            Failure::new(USAGE, text)
        })?;
        hosts.extend(known);
    }
    let order = Order {
        name: issue.holder.clone(),
        holder,
        hosts,
        life: std::time::Duration::from_secs(u64::from(issue.days) * 24 * 60 * 60),
        renew: issue.renew,
    };
    print(&store.issue(&order)?, screen);
    Ok(Outcome::Done)
}

fn print(done: &[Done], screen: &mut Screen) {
    for Done { file, deed } in done {
        let word = match deed {
            Deed::Made => "made",
            Deed::Kept => "kept",
            Deed::Renewed => "renewed",
        };
        screen.line(&format!("{word:8} {}", file.display()));
    }
}

fn rotated(
    rotate: &Rotate,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let (store, _) = open(&rotate.place, environment)?;
    let (phase, next) = match rotate.step {
        Step::Trust => (
            Phase::Trust,
            "carry each folder's ca.pem to its host (nodes that are not our etcd-node: restart them one by one); \
             then: pki rotate reissue --carried",
        ),
        Step::Reissue => {
            (Phase::Reissue, "carry the folders to their hosts; then: pki rotate drop --carried")
        }
        Step::Drop => (
            Phase::Drop,
            "carry each folder's ca.pem to its host (nodes that are not our etcd-node: restart them one by one)",
        ),
    };
    let written = store.rotate(phase, rotate.carried)?;
    for file in &written {
        screen.line(&format!("written  {}", file.display()));
    }
    screen.line(if written.is_empty() { "nothing was left to do" } else { next });
    Ok(Outcome::Done)
}

fn shown(show: &Show, environment: &Environment, screen: &mut Screen) -> Result<Outcome, Failure> {
    let (store, _) = open(&show.place, environment)?;
    let shown = store.show()?;
    match show.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&shown);
            screen.line(&text.map_err(|error| Failure::failed(error.to_string()))?);
        }
        Output::Text => screen.print(&table(&shown)),
    }
    let bad = shown.certificates.iter().filter(|it| ["expired", "unusable"].contains(&it.state));
    match bad.count() {
        0 => Ok(Outcome::Done),
        count => Err(Failure::failed(format!("{count} certificates cannot be used"))),
    }
}

const HEADING: [&str; 6] = ["FILE", "SUBJECT", "ROLE", "NAMES", "DAYS LEFT", "STATE"];

fn table(shown: &Shown) -> String {
    let mut rows: Vec<[String; 6]> = vec![HEADING.map(str::to_owned)];
    rows.extend(shown.certificates.iter().map(|it| {
        let days = it.days_left.map_or_else(|| "-".to_owned(), |days| days.to_string());
        let names = if it.names.is_empty() { "-".to_owned() } else { it.names.join(",") };
        [it.file.clone(), it.subject.clone(), it.role.clone(), names, days, it.state.to_owned()]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..HEADING.len()).map(|at| width(at).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    for it in &shown.certificates {
        let said = match (it.state, &it.problem, &it.expires) {
            (_, Some(problem), _) => problem.clone(),
            ("expiring", _, Some(expires)) => {
                format!("expires {expires}: renew it soon (docs/pki.md)")
            }
            _ => continue,
        };
        writeln!(text, "warning: {}: {said}", it.file).unwrap_or_default();
    }
    match shown.rotation {
        Some("trust") => text += "a rotation is under way: next is `pki rotate reissue`\n",
        Some("reissue") => text += "a rotation is under way: next is `pki rotate drop`\n",
        _ => {}
    }
    text
}
