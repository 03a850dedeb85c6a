//! What the options of `member` mean as an edit of the spec. Refuses what the file's own keys contradict.

use std::collections::BTreeSet;

use crate::{
    agent::local,
    cli::{
        arguments::member::{MemberAdd, MemberMove, MemberRemove, MemberReplace, Place},
        generated,
        outcome::{Failure, REFUSED, USAGE},
    },
    spec::{
        Loaded, NodeSpec,
        edit::{self, Edit, Setting},
    },
};

type Keys = Vec<(&'static str, Setting)>;

pub(super) fn add(add: &MemberAdd) -> Result<Edit, Failure> {
    let mut keys = vec![("host", Setting::Text(add.host.clone()))];
    keys.extend(place(&add.place, None));
    if let Some(dir) = &add.data_dir {
        let text = dir.to_str().ok_or_else(|| {
            Failure::new(USAGE, format!("{} is not UTF-8 text, as a spec is", dir.display()))
        })?;
        keys.push(("data-dir", Setting::Text(text.to_owned())));
    }
    Ok(Edit::Add { name: add.name.clone(), keys })
}

pub(super) fn remove(remove: &MemberRemove, before: &Loaded) -> Result<Edit, Failure> {
    let node = generated::node(&before.spec, &remove.name)?;
    if before.spec.nodes.len() == 1 {
        let text = format!(
            "{} is the only node: without it there is no cluster. To give the cluster up, `etcd-manager stop` it; \
             to put another node in its place, `etcd-manager member add` that one first",
            node.name
        );
        return Err(Failure::new(REFUSED, text));
    }
    Ok(Edit::Remove { name: node.name.clone() })
}

pub(super) fn replace(replace: &MemberReplace, before: &Loaded) -> Result<Edit, Failure> {
    let node = generated::node(&before.spec, &replace.name)?;
    Ok(Edit::Set { name: node.name.clone(), keys: vec![next_incarnation(node)] })
}

/// A host, ports, URLs; a new machine means a new member.
pub(super) fn relocate(wish: &MemberMove, before: &Loaded) -> Result<Edit, Failure> {
    let node = generated::node(&before.spec, &wish.name)?;
    let given = edit::keys_of(&before.text, &node.name);
    let mut keys: Keys = place(&wish.place, Some((node, &given)));
    if let Some(host) = wish.host.as_ref().filter(|host| **host != node.host) {
        keys.push(("host", Setting::Text(host.clone())));
        let is_here = |host: &str| local::is_local(host);
        if !(wish.keep_data || is_here(&node.host) && is_here(host)) {
            keys.push(next_incarnation(node));
        }
    } else if keys.is_empty() && wish.host.is_none() {
        let text = format!(
            "where to? name --host, --peer-port, --client-port, --peer-url, --client-url or --zone for {}",
            node.name
        );
        return Err(Failure::new(USAGE, text));
    }
    let sets = |key: &str| keys.iter().any(|(set, _)| *set == key);
    let sides = [("peer-port", "peer"), ("client-port", "client")];
    for (port, side) in sides {
        for urls in [format!("listen-{side}-urls"), format!("advertise-{side}-urls")] {
            let stale = given.contains(&urls) && !sets(&urls);
            let (because, name) = if sets("host") { (true, "host") } else { (sets(port), port) };
            if stale && because {
                let option = urls.trim_start_matches("advertise-").trim_end_matches('s');
                let text = format!(
                    "the spec gives {} its `{urls}`, which another {name} alone would not change: name --{option} as well",
                    node.name
                );
                return Err(Failure::new(REFUSED, text));
            }
        }
    }
    Ok(Edit::Set { name: node.name.clone(), keys })
}

fn next_incarnation(node: &NodeSpec) -> (&'static str, Setting) {
    let next = i64::try_from(node.incarnation.saturating_add(1)).unwrap_or(i64::MAX);
    ("incarnation", Setting::Number(next))
}

/// Ports and URLs. The port of an advertised URL is listened on, where nothing else says.
fn place(place: &Place, node: Option<(&NodeSpec, &BTreeSet<String>)>) -> Keys {
    let mut keys = Keys::new();
    let listens = |key: &str| node.is_some_and(|(_, given)| given.contains(key));
    let sides = [
        (
            ("client-port", place.client_port),
            ("listen-client-urls", &place.listen_client_urls),
            ("advertise-client-urls", &place.client_urls),
        ),
        (
            ("peer-port", place.peer_port),
            ("listen-peer-urls", &place.listen_peer_urls),
            ("advertise-peer-urls", &place.peer_urls),
        ),
    ];
    for ((port_key, port), (listen_key, listen), (advertise_key, advertise)) in sides {
        let implied = advertise.first().and_then(|url| port_of(url));
        let implied = implied.filter(|_| listen.is_empty() && !listens(listen_key));
        if let Some(port) = port.or(implied) {
            keys.push((port_key, Setting::Number(i64::from(port))));
        }
        for (key, urls) in [(listen_key, listen), (advertise_key, advertise)] {
            if !urls.is_empty() {
                keys.push((key, Setting::List(urls.clone())));
            }
        }
    }
    if let Some(zone) = &place.zone {
        keys.push(("zone", Setting::Text(zone.clone())));
    }
    keys
}

/// A URL that is none is the loader's to refuse.
fn port_of(url: &str) -> Option<u16> {
    url.trim_end_matches('/').rsplit_once(':')?.1.parse().ok()
}
