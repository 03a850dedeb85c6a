//! What two nodes, or a node and the agent, cannot both have: names, addresses, folders.

use std::path::PathBuf;

use super::{
    address::Address,
    diagnostic::{Code, Mistake, Report, Severity},
    nodes::{CLIENT, Draft, PEER, Side},
    places::{self, Folder},
    raw::Spot,
};

/// Reports every collision.
pub(super) fn check(
    drafts: &[Draft],
    state_dir: &Spot<PathBuf>,
    log_dir: &Spot<PathBuf>,
    report: &mut Report<'_>,
) {
    check_names(drafts, report);
    check_listeners(drafts, report);
    for side in [CLIENT, PEER] {
        check_advertised(side, drafts, report);
    }
    places::check_folders(&folders(drafts, state_dir, log_dir), report);
}

fn check_names(drafts: &[Draft], report: &mut Report<'_>) {
    let named: Vec<&Spot<String>> = drafts.iter().filter_map(|draft| draft.name.as_ref()).collect();
    for (at, name) in named.iter().enumerate() {
        if let Some(first) = named.iter().take(at).find(|first| first.value == name.value) {
            report.push(
                Severity::Error,
                Mistake {
                    code: Code::DuplicateName,
                    span: name.span.clone(),
                    reason: format!("two nodes are called {:?}", name.value),
                    remedy: "give each node a name of its own".to_owned(),
                    also: Some((first.span.clone(), "the first one".to_owned())),
                },
            );
        }
    }
}

/// One listening address of a node.
struct Listener<'a> {
    node: usize,
    side: Side,
    machine: Option<&'a str>,
    url: &'a Spot<Address>,
}

fn listeners(drafts: &[Draft]) -> Vec<Listener<'_>> {
    let sides = drafts.iter().enumerate().flat_map(|(node, draft)| {
        [(node, draft, CLIENT, &draft.client), (node, draft, PEER, &draft.peer)]
    });
    sides
        .flat_map(|(node, draft, side, urls)| {
            let machine = draft.machine.as_deref();
            urls.listen.iter().map(move |url| Listener { node, side, machine, url })
        })
        .collect()
}

/// Reports addresses that two listeners of one machine share: once for each side of a node.
fn check_listeners(drafts: &[Draft], report: &mut Report<'_>) {
    let all = listeners(drafts);
    let mut reported: Vec<(usize, &str)> = Vec::new();
    for (at, later) in all.iter().enumerate() {
        let clash = all.iter().take(at).find(|earlier| {
            let one_machine = earlier.machine.is_some() && earlier.machine == later.machine;
            let itself = earlier.node == later.node && earlier.side == later.side;
            one_machine
                && earlier.url.value.collides(&later.url.value)
                && !(itself && earlier.url.span == later.url.span)
        });
        let Some(earlier) = clash else { continue };
        let key = (later.node, later.side.name);
        if reported.contains(&key) {
            continue;
        }
        reported.push(key);
        let owner = |listener: &Listener<'_>| {
            let name = drafts.get(listener.node).map(|draft| draft.spec.name.as_str());
            format!("{} side of node {}", listener.side.name, name.unwrap_or_default())
        };
        report.push(
            Severity::Error,
            Mistake {
                code: Code::AddressTaken,
                span: later.url.span.clone(),
                reason: format!(
                    "the {} listens on {}, where the {} does already ({})",
                    owner(later),
                    later.url.value,
                    owner(earlier),
                    earlier.url.value
                ),
                remedy: "give each a port of its own: `client-port`, `peer-port`".to_owned(),
                also: Some((earlier.url.span.clone(), "taken here".to_owned())),
            },
        );
    }
}

/// Reports a URL that two nodes tell others to use. Listeners that collide have been reported with their cause already.
fn check_advertised(side: Side, drafts: &[Draft], report: &mut Report<'_>) {
    let of = |draft: &'_ Draft| -> Vec<Spot<Address>> {
        let urls = if side == CLIENT { &draft.client } else { &draft.peer };
        urls.advertise.clone()
    };
    for (at, draft) in drafts.iter().enumerate() {
        for url in of(draft) {
            let earlier = drafts.iter().take(at).find_map(|first| {
                let shared = of(first).into_iter().find(|other| other.value == url.value)?;
                let listens = listens_alike(side, first, draft);
                (!listens).then_some((first, shared))
            });
            let Some((first, shared)) = earlier else { continue };
            let reason = format!(
                "nodes {} and {} both tell others that their {} URL is {}",
                first.spec.name, draft.spec.name, side.name, url.value
            );
            report.push(
                Severity::Error,
                Mistake {
                    code: Code::AddressTaken,
                    span: url.span.clone(),
                    reason,
                    remedy: "give each node URLs of its own".to_owned(),
                    also: Some((shared.span, "the same URL".to_owned())),
                },
            );
        }
    }
}

fn listens_alike(side: Side, first: &Draft, second: &Draft) -> bool {
    let of = |draft: &'_ Draft| -> Vec<Address> {
        let urls = if side == CLIENT { &draft.client } else { &draft.peer };
        urls.listen.iter().map(|url| url.value.clone()).collect()
    };
    let (firsts, seconds) = (of(first), of(second));
    first.machine.is_some()
        && first.machine == second.machine
        && firsts.iter().any(|a| seconds.iter().any(|b| a.collides(b)))
}

fn folders(drafts: &[Draft], state_dir: &Spot<PathBuf>, log_dir: &Spot<PathBuf>) -> Vec<Folder> {
    let shared = |owner: &str, path: &Spot<PathBuf>| Folder {
        path: path.clone(),
        owner: owner.to_owned(),
        machine: None,
        node: None,
    };
    let mut folders =
        vec![shared("state dir of the agent", state_dir), shared("folder of the logs", log_dir)];
    for (at, draft) in drafts.iter().enumerate() {
        // A node without a legal name or host has been reported; its folders would only repeat that.
        if draft.name.is_none() || draft.machine.is_none() {
            continue;
        }
        let named = draft
            .name
            .as_ref()
            .is_some_and(|name| drafts.iter().take(at).any(|first| first.spec.name == name.value));
        let own = [("data dir", Some(&draft.data_dir)), ("WAL dir", draft.wal_dir.as_ref())];
        for (what, path) in own {
            let Some(path) = path else { continue };
            let derived = draft.name.as_ref().is_some_and(|name| name.span == path.span);
            if !(named && derived) {
                folders.push(Folder {
                    path: path.clone(),
                    owner: format!("{what} of node {}", draft.spec.name),
                    machine: draft.machine.clone(),
                    node: Some(at),
                });
            }
        }
    }
    folders
}
