//! `[tls]`: which files nodes show and trust, as flags of each node. Without it whatever asks for TLS is refused, and with
//! it whatever would be plain text.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    address::Address,
    build,
    diagnostic::{Code, Report},
    nodes::Urls,
    raw::{Section, Spot},
    types::Binary,
};

/// What `[tls]` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tls {
    /// Flags with paths in which `{node}` stands for the node's name and `{host}` for its host; none without TLS.
    flags: Option<BTreeMap<&'static str, String>>,
    /// The authority by which the manager knows nodes that ask for no certificate.
    manager_trusts: Option<String>,
    /// What the manager shows to nodes, where it is not what nodes show themselves: certificate and key.
    manager_shows: Option<[String; 2]>,
    /// The folder that `etcd-manager pki` fills.
    pub(super) managed: Option<PathBuf>,
}

/// Key of `[tls]`, its flag, and the key whose file is used where it is not given.
const FILES: &[(&str, &str, Option<&str>)] = &[
    ("cert-file", "cert-file", None),
    ("key-file", "key-file", None),
    ("trusted-ca-file", "trusted-ca-file", None),
    ("peer-cert-file", "peer-cert-file", Some("cert-file")),
    ("peer-key-file", "peer-key-file", Some("key-file")),
    ("peer-trusted-ca-file", "peer-trusted-ca-file", Some("trusted-ca-file")),
];

/// Pairs of keys of which neither is given without the other.
const PAIRS: &[(&str, &str)] =
    &[("peer-cert-file", "peer-key-file"), ("client-cert-file", "client-key-file")];

/// Flags that `[tls]` sets, or that go against it.
const CLIENT_FLAGS: &[&str] = &[
    "auto-tls",
    "cert-file",
    "client-cert-auth",
    "client-cert-file",
    "client-key-file",
    "key-file",
    "trusted-ca-file",
];
const PEER_FLAGS: &[&str] = &[
    "peer-auto-tls",
    "peer-cert-file",
    "peer-client-cert-auth",
    "peer-client-cert-file",
    "peer-client-key-file",
    "peer-key-file",
    "peer-trusted-ca-file",
];
/// Flags that have a meaning with `[tls]` only.
const CLIENT_LISTS: &[&str] = &["client-cert-allowed-hostname", "client-crl-file"];
const PEER_LISTS: &[&str] =
    &["peer-cert-allowed-cn", "peer-cert-allowed-hostname", "peer-crl-file"];

impl Tls {
    /// Whether nodes use TLS.
    pub(super) fn is_on(&self) -> bool {
        self.flags.is_some()
    }

    /// The flags of a node.
    pub(super) fn flags_of(&self, node: &str, host: &str) -> BTreeMap<String, String> {
        let flags = self.flags.iter().flatten();
        flags.map(|(flag, value)| ((*flag).to_owned(), placed(value, node, host))).collect()
    }

    /// What the manager finds in a node's environment besides.
    pub(super) fn environment_of(&self, node: &str, host: &str) -> BTreeMap<String, String> {
        let trusts = self.manager_trusts.iter().map(|file| (MANAGER_TRUSTS, file));
        let shows =
            self.manager_shows.iter().flat_map(|files| MANAGER_SHOWS.into_iter().zip(files));
        let all = trusts.chain(shows);
        all.map(|(name, file)| (name.to_owned(), placed(file, node, host))).collect()
    }
}

/// A path for one node. A host's folder is named without the brackets of an IPv6 address.
fn placed(path: &str, node: &str, host: &str) -> String {
    path.replace("{node}", node)
        .replace("{host}", host.trim_start_matches('[').trim_end_matches(']'))
}

/// Variable of a node's process: the bundle by which the manager knows it where clients show no certificate. etcd itself
/// has no flag for that.
pub const MANAGER_TRUSTS: &str = "EM_TRUSTED_CA_FILE";
/// The same for the certificate and the key that the manager shows to it. etcd's own flags for a client's pair would give
/// them to the node, too.
pub const MANAGER_SHOWS: [&str; 2] = ["EM_CLIENT_CERT_FILE", "EM_CLIENT_KEY_FILE"];

/// Reads the section.
pub(super) fn read(section: &Section, base: &Path, report: &mut Report<'_>) -> Tls {
    let Some(mode) = section.text("mode") else { return Tls::default() };
    match mode.value {
        "off" => return Tls::default(),
        "files" => {}
        "managed" => return managed(section, base, report),
        other => {
            let reason = format!("{other:?} is no mode of TLS");
            let remedy = "give \"managed\", \"files\" or \"off\"";
            report.error(Code::NoTls, &mode.span, reason, remedy);
            return Tls::default();
        }
    }
    let file = |key: &str| build::path(section, key, base).map(|path| path.value);
    let mut flags = BTreeMap::new();
    for (key, flag, otherwise) in FILES {
        match file(key).or_else(|| file((*otherwise)?)) {
            Some(path) => drop(flags.insert(*flag, path.display().to_string())),
            None if otherwise.is_none() && section.given(key).is_none() => {
                let remedy = format!("add `{key} = \"...\"` under [tls]");
                let reason = format!("TLS with files needs `{key}`");
                report.error(Code::MissingKey, &mode.span, reason, remedy);
            }
            None => {}
        }
    }
    for (one, other) in PAIRS {
        let ((Some(span), None) | (None, Some(span))) = (section.given(one), section.given(other))
        else {
            continue;
        };
        let reason = format!("`{one}` and `{other}` are a pair");
        report.error(Code::MissingKey, span, reason, "give both or neither");
    }
    for flag in ["client-cert-file", "client-key-file"] {
        flags.extend(file(flag).map(|path| (flag, path.display().to_string())));
    }
    let mut manager_trusts = None;
    let demanded = section.switch("client-cert-auth").is_none_or(|on| *on.value);
    if demanded {
        flags.insert("client-cert-auth", "true".to_owned());
    } else {
        // etcd demands certificates wherever it has an authority for them.
        manager_trusts = flags.remove("trusted-ca-file");
    }
    flags.insert("peer-client-cert-auth", "true".to_owned());
    if let Some(span) = section.given("dir") {
        let remedy = "leave `dir` out, or give mode = \"managed\"";
        report.error(Code::KeysConflict, span, "`dir` is for mode \"managed\"", remedy);
    }
    Tls { flags: Some(flags), manager_trusts, ..Tls::default() }
}

/// Files where `etcd-manager pki` puts them.
fn managed(section: &Section, base: &Path, report: &mut Report<'_>) -> Tls {
    let named = FILES.iter().map(|(key, ..)| *key).chain(["client-cert-file", "client-key-file"]);
    for key in named {
        if let Some(span) = section.given(key) {
            let reason = format!("`{key}` is for mode \"files\"");
            let remedy = "leave it out: with mode \"managed\" all files are those below `dir`";
            report.error(Code::KeysConflict, span, reason, remedy);
        }
    }
    let dir = build::path(section, "dir", base)
        .map_or_else(|| super::places::resolve(base, "pki"), |dir| dir.value);
    let folder = dir.join(crate::pki::HOSTS).join("{host}");
    let file = |name: &str| folder.join(name).display().to_string();
    let bundle = file(crate::pki::BUNDLE);
    let mut flags = BTreeMap::from([
        ("cert-file", file("server.pem")),
        ("key-file", file("server-key.pem")),
        ("peer-cert-file", file("peer.pem")),
        ("peer-key-file", file("peer-key.pem")),
        ("peer-trusted-ca-file", bundle.clone()),
        ("peer-client-cert-auth", "true".to_owned()),
    ]);
    let demanded = section.switch("client-cert-auth").is_none_or(|on| *on.value);
    if demanded {
        flags.insert("trusted-ca-file", bundle.clone());
        flags.insert("client-cert-auth", "true".to_owned());
    }
    Tls {
        flags: Some(flags),
        manager_trusts: (!demanded).then_some(bundle),
        manager_shows: demanded.then(|| [file("client.pem"), file("client-key.pem")]),
        managed: Some(dir),
    }
}

/// Reports what asks for TLS without `[tls]`, and for something else with it. Peers of another etcd than ours may use TLS
/// among themselves by flags of their own.
pub(super) fn check(
    tls: &Tls,
    sections: [&Section; 2],
    binary: &Binary,
    urls: (&Urls, &Urls),
    report: &mut Report<'_>,
) {
    let all_peers = tls.is_on() || *binary == Binary::InTree;
    check_urls(tls, "client", urls.0, report);
    if all_peers {
        check_urls(tls, "peer", urls.1, report);
    }
    for section in sections {
        let Some(flags) = section.pairs("flags") else { continue };
        for (name, value) in flags.value {
            let flag = name.value.as_str();
            let ours = CLIENT_FLAGS.contains(&flag) || (all_peers && PEER_FLAGS.contains(&flag));
            let list = CLIENT_LISTS.contains(&flag) || (all_peers && PEER_LISTS.contains(&flag));
            if (ours || (list && !tls.is_on())) && !["", "false"].contains(&value.value.as_str()) {
                report_flag(tls, name, report);
            }
        }
    }
}

fn check_urls(tls: &Tls, side: &str, urls: &Urls, report: &mut Report<'_>) {
    for (url, listens) in urls
        .listen
        .iter()
        .map(|url| (url, true))
        .chain(urls.advertise.iter().map(|url| (url, false)))
    {
        if url.value.tls == tls.is_on()
            || (tls.is_on() && side == "client" && listens && is_local(&url.value))
        {
            continue;
        }
        let (reason, remedy) = if tls.is_on() {
            (
                format!("{side} URL {} is plain text, and [tls] is on", url.value),
                "write https; plain text is for client URLs to listen on loopback only",
            )
        } else {
            (
                format!(
                    "{side} URL {} asks for TLS, and [tls] does not say with which files",
                    url.value
                ),
                "add a [tls] table with mode = \"managed\" or \"files\", or use http on a network that you trust",
            )
        };
        report.error(Code::NoTls, &url.span, reason, remedy);
    }
}

fn is_local(url: &Address) -> bool {
    url.host.is_loopback()
}

fn report_flag(tls: &Tls, name: &Spot<String>, report: &mut Report<'_>) {
    let flag = &name.value;
    let (reason, remedy) = if tls.is_on() {
        (format!("`{flag}` is for [tls] to set"), "leave it out, and use the keys of [tls]")
    } else {
        (
            format!("`{flag}` asks for TLS, and [tls] is off"),
            "add a [tls] table with mode = \"files\" and its keys",
        )
    };
    report.error(Code::NoTls, &name.span, reason, remedy);
}
