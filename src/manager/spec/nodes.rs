//! One `[[node]]` into a [`NodeSpec`], with the places of what collides with other nodes.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use super::{
    address::{Address, Host, Purpose},
    build::{self, Context},
    diagnostic::{Code, Report},
    flags,
    raw::{Section, Spot},
    tls,
    types::NodeSpec,
};

/// The life of a member whose node names none.
pub(crate) const INCARNATION_FIRST: u64 = 1;

/// A node in the making.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) spec: NodeSpec,
    pub(super) name: Option<Spot<String>>,
    pub(super) machine: Option<String>,
    pub(super) client: Urls,
    pub(super) peer: Urls,
    pub(super) data_dir: Spot<PathBuf>,
    pub(super) wal_dir: Option<Spot<PathBuf>>,
    /// Place of each flag that the node itself gives.
    pub(super) flag_spans: Vec<Spot<String>>,
}

/// The two lists of URLs of one side, client or peer.
#[derive(Debug, Default)]
pub(super) struct Urls {
    pub(super) listen: Vec<Spot<Address>>,
    pub(super) advertise: Vec<Spot<Address>>,
}

/// Client or peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) name: &'static str,
    port_key: &'static str,
    listen_key: &'static str,
    advertise_key: &'static str,
    port_default: u16,
}

pub(super) const CLIENT: Side = Side {
    name: "client",
    port_key: "client-port",
    listen_key: "listen-client-urls",
    advertise_key: "advertise-client-urls",
    port_default: 2379,
};

pub(super) const PEER: Side = Side {
    name: "peer",
    port_key: "peer-port",
    listen_key: "listen-peer-urls",
    advertise_key: "advertise-peer-urls",
    port_default: 2380,
};

/// Reads one node; what cannot be made out is reported and left empty. `broken`: parts of the file may be missing.
pub(super) fn draft(
    section: &Section,
    context: &Context<'_>,
    broken: bool,
    report: &mut Report<'_>,
) -> Draft {
    let required = |key: &str, report: &mut Report<'_>| {
        if !broken && section.given(key).is_none() {
            let reason = format!("the node has no {key}");
            let remedy = format!("add `{key} = \"...\"` to this [[node]]");
            report.error(Code::MissingKey, &section.span, reason, remedy);
        }
    };
    required("name", report);
    required("host", report);
    let name = section.text("name").and_then(|name| {
        build::legal_name("node name", &name, report).map(|text| Spot::new(text, name.span))
    });
    let host = host(section, report);
    let client = urls(CLIENT, section, context, host.as_ref(), report);
    let peer = urls(PEER, section, context, host.as_ref(), report);
    let named = name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
    let data_dir = build::path(section, "data-dir", context.base).unwrap_or_else(|| {
        let place = name.as_ref().map_or(&section.span, |name| &name.span);
        Spot::new(context.dir.join(&named), place.clone())
    });
    let wal_dir = build::path(section, "wal-dir", context.base);
    let binary = build::binary(section, context.base).unwrap_or_else(|| context.binary.clone());
    let mut resolved = flags::resolve(section, context.defaults, report);
    let at = host.as_ref().map(|host| host.value.to_string()).unwrap_or_default();
    resolved.extend(context.tls.flags_of(&named, &at));
    let mut environment = flags::environment(section, context.defaults, report);
    environment.extend(context.tls.environment_of(&named, &at));
    let sections = [section, context.defaults];
    tls::check(context.tls, sections, &binary, (&client, &peer), report);
    let texts = |urls: &[Spot<Address>]| urls.iter().map(|url| url.value.to_string()).collect();
    let spec = NodeSpec {
        name: named,
        host: at,
        listen_client_urls: texts(&client.listen),
        advertise_client_urls: texts(&client.advertise),
        listen_peer_urls: texts(&peer.listen),
        advertise_peer_urls: texts(&peer.advertise),
        data_dir: data_dir.value.clone(),
        wal_dir: wal_dir.as_ref().map(|dir| dir.value.clone()),
        zone: section.text("zone").map(|zone| zone.value.to_owned()),
        incarnation: section
            .whole("incarnation")
            .and_then(|given| u64::try_from(*given.value).ok())
            .unwrap_or(INCARNATION_FIRST),
        binary,
        flags: resolved,
        environment,
    };
    let flag_spans = section
        .pairs("flags")
        .map_or_else(Vec::new, |pairs| pairs.value.iter().map(|(name, _)| name.clone()).collect());
    let machine = host.map(|host| host.value.machine());
    Draft { spec, name, machine, client, peer, data_dir, wal_dir, flag_spans }
}

fn host(section: &Section, report: &mut Report<'_>) -> Option<Spot<Host>> {
    let text = section.text("host")?;
    let host = Host::parse(text.value).filter(|host| !host.is_wildcard());
    if host.is_none() {
        let reason = format!("{:?} is not a host", text.value);
        let remedy = "give the IP address or host name of one machine, without scheme or port";
        report.error(Code::IllegalHost, &text.span, reason, remedy);
    }
    host.map(|host| Spot::new(host, text.span))
}

fn urls(
    side: Side,
    section: &Section,
    context: &Context<'_>,
    host: Option<&Spot<Host>>,
    report: &mut Report<'_>,
) -> Urls {
    let given = |key: &str, purpose: Purpose, report: &mut Report<'_>| {
        section.urls(key).map(|urls| addresses(key, &urls, purpose, report))
    };
    let listen = given(side.listen_key, Purpose::Listen, report);
    let advertise = given(side.advertise_key, Purpose::Advertise, report);
    if let (Some(port), true) = (section.given(side.port_key), listen.is_some()) {
        let reason =
            format!("`{}` and `{}` both say where to listen", side.port_key, side.listen_key);
        let remedy = format!("keep one of them; `{}` is enough for most", side.port_key);
        report.error(Code::KeysConflict, port, reason, remedy);
    }
    let listening = listen.as_ref().and_then(|listen| listen.first()).map(|url| url.value.port);
    let port = listening.unwrap_or_else(|| port(side, section, context.defaults));
    let place = section.given(side.port_key).cloned();
    let default = |build: fn(Side, &Host, u16) -> Vec<Address>| {
        host.map_or_else(Vec::new, |host| {
            let span = place.clone().unwrap_or_else(|| host.span.clone());
            let urls = build(side, &host.value, port);
            let tls = context.tls.is_on();
            let urls = urls.into_iter().map(|url| Address { tls, ..url });
            urls.map(|url| Spot::new(url, span.clone())).collect()
        })
    };
    Urls {
        listen: listen.unwrap_or_else(|| default(default_listen)),
        advertise: advertise
            .unwrap_or_else(|| default(|_, host, port| vec![Address::plain(host.clone(), port)])),
    }
}

fn port(side: Side, section: &Section, defaults: &Section) -> u16 {
    [section, defaults]
        .into_iter()
        .find_map(|section| section.whole(side.port_key))
        .and_then(|port| u16::try_from(*port.value).ok())
        .unwrap_or(side.port_default)
}

/// etcd binds to IP addresses only, so for a name it is all of the machine's. Clients on the machine itself are served
/// on loopback too.
fn default_listen(side: Side, host: &Host, port: u16) -> Vec<Address> {
    let all = Host::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let local = Host::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    match host {
        Host::Name(_) if !host.is_loopback() => vec![Address::plain(all, port)],
        host if host.is_loopback() || side == PEER => vec![Address::plain(host.clone(), port)],
        host => vec![Address::plain(host.clone(), port), Address::plain(local, port)],
    }
}

fn addresses(
    key: &str,
    urls: &Spot<&[Spot<String>]>,
    purpose: Purpose,
    report: &mut Report<'_>,
) -> Vec<Spot<Address>> {
    if urls.value.is_empty() {
        let reason = format!("`{key}` is empty");
        let remedy = "give at least one URL, or leave the key out for its default";
        report.error(Code::OutOfRange, &urls.span, reason, remedy);
    }
    let mut read = Vec::new();
    for url in urls.value {
        match Address::parse(&url.value, purpose) {
            Ok(address) => read.push(Spot::new(address, url.span.clone())),
            Err((reason, remedy)) => {
                report.error(Code::IllegalUrl, &url.span, reason, remedy);
            }
        }
    }
    read
}
