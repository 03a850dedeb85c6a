//! `agent.toml`: what one host's agent is told about itself. Read like the spec: all mistakes at
//! once, each with its place, reason and remedy. Reference: docs/agent-toml.md

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tls::CertificateFiles;

use super::{
    build::{AGENT_PORT, path},
    diagnostic::{Code, Diagnostic, Report, SpecErrors},
    keys::Table,
    load::read_file,
    places,
    raw::{self, RawSpec, Section, Spot},
    running,
    types::{Binary, ClusterSpec, NodeSpec},
};
use crate::pki::{BUNDLE, HOSTS, bare};

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFile {
    /// Its host in the spec.
    pub host: String,
    /// Where it serves.
    pub listen: SocketAddr,
    /// Its own state.
    pub state_dir: PathBuf,
    /// Where the records of its nodes are; beside its own state unless said.
    pub record_dir: Option<PathBuf>,
    /// The spec file that it watches.
    pub spec: Option<PathBuf>,
    /// Whether it may serve in plain text beyond loopback.
    pub insecure: bool,
    /// The files of its mutual TLS; none = plain text.
    pub tls: Option<AgentTls>,
    /// Where it serves its metrics.
    pub metrics: Option<SocketAddr>,
    /// What a spec may name on this host.
    pub allow: Allow,
}

/// The files by which an agent knows others and is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentTls {
    /// What it shows, as listener and as dialer.
    pub pair: CertificateFiles,
    /// Whose certificates it takes.
    pub trusted: PathBuf,
}

/// What a spec may name on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    /// Programs, or folders of them, besides the in-tree node.
    pub binaries: Vec<PathBuf>,
    /// Roots of data, WAL and log dirs; none = any.
    pub data_roots: Option<Vec<PathBuf>>,
    /// Hooks, or folders of them.
    pub hooks: Vec<PathBuf>,
}

impl Allow {
    /// Whether this host runs such a hook.
    ///
    /// # Errors
    /// That its `agent.toml` does not allow it.
    pub fn permits_hook(&self, hook: &Path, host: &str) -> Result<(), String> {
        if self.hooks.iter().any(|allowed| hook.starts_with(allowed)) {
            return Ok(());
        }
        Err(format!("{} is not among the `hooks` that agent.toml of {host} allows", hook.display()))
    }

    /// Whether this host runs such a node.
    ///
    /// # Errors
    /// What its `agent.toml` does not allow.
    pub fn permits(&self, spec: &ClusterSpec, node: &NodeSpec) -> Result<(), String> {
        if let Binary::Path(binary) = &node.binary
            && !self.binaries.iter().any(|allowed| binary.starts_with(allowed))
        {
            return Err(format!(
                "{} is not among the `binaries` that agent.toml of {} allows",
                binary.display(),
                node.host
            ));
        }
        self.permits_dirs(spec, node)
    }

    /// Whether a program that ran before may run on this host, where `in_tree` is its own.
    ///
    /// # Errors
    /// The sentence why not.
    pub(crate) fn permits_binary(
        &self,
        binary: &Path,
        in_tree: &Path,
        host: &str,
    ) -> Result<(), String> {
        let named = self.binaries.iter().any(|allowed| binary.starts_with(allowed));
        if binary == in_tree || named {
            return Ok(());
        }
        let binary = binary.display();
        Err(format!("{binary} is not among the `binaries` that agent.toml of {host} allows"))
    }

    fn permits_dirs(&self, spec: &ClusterSpec, node: &NodeSpec) -> Result<(), String> {
        let Some(roots) = &self.data_roots else { return Ok(()) };
        let dirs = [Some(&node.data_dir), node.wal_dir.as_ref(), Some(&spec.log.dir)];
        for dir in dirs.into_iter().flatten() {
            if !roots.iter().any(|root| dir.starts_with(root)) {
                return Err(format!(
                    "{} is below none of the `data-roots` that agent.toml of {} allows",
                    dir.display(),
                    node.host
                ));
            }
        }
        Ok(())
    }
}

/// Reads the file.
///
/// # Errors
/// Everything that is wrong with it. Correct it and try again.
pub fn load(file: &Path) -> Result<(AgentFile, Vec<Diagnostic>), SpecErrors> {
    let (source, text) = read_file(file, "name a readable agent.toml; docs/agent-toml.md")?;
    parse(file, &source, &text)
}

/// Reads its text; relative paths are against the folder of `source`.
///
/// # Errors
/// As [`load`].
pub fn parse(
    shown: &Path,
    source: &Path,
    text: &str,
) -> Result<(AgentFile, Vec<Diagnostic>), SpecErrors> {
    let mut report = Report::new(shown, text);
    let raw = raw::read_tables(text, &Table::OF_AGENT, &mut report);
    let base = source.parent().unwrap_or_else(|| Path::new("."));
    let built = build(&raw, base, &mut report);
    match built {
        Some(file) if !report.has_errors() => Ok((file, report.finish())),
        _ => Err(SpecErrors { diagnostics: report.finish() }),
    }
}

fn build(raw: &RawSpec, base: &Path, report: &mut Report<'_>) -> Option<AgentFile> {
    let agent = raw.section(Table::HostAgent);
    let insecure = agent.switch("insecure").is_some_and(|on| *on.value);
    let host = required(raw, agent, "host", report);
    let state_dir = path(agent, "state-dir", base);
    if state_dir.is_none() {
        missing(raw, agent, "state-dir", report);
    }
    if let Some(state_dir) = &state_dir {
        places::check_socket(state_dir, report);
    }
    let listen = listen(agent, host.as_ref(), report);
    let tls = tls(raw.section(Table::HostTls), host.as_ref(), base, report);
    if let Some(listen) = &listen
        && tls.is_none()
        && !listen.value.ip().is_loopback()
    {
        judge_plain_text(listen, insecure, report);
    }
    let metrics = running::metrics(agent, report);
    let allow = raw.section(Table::HostAllow);
    Some(AgentFile {
        host: host?.value.to_owned(),
        listen: listen?.value,
        state_dir: state_dir?.value,
        record_dir: path(agent, "record-dir", base).map(|dir| dir.value),
        spec: path(agent, "spec", base).map(|spec| spec.value),
        insecure,
        tls,
        metrics,
        allow: Allow {
            binaries: paths(allow, "binaries", base).unwrap_or_default(),
            data_roots: paths(allow, "data-roots", base),
            hooks: paths(allow, "hooks", base).unwrap_or_default(),
        },
    })
}

/// Never silently in plain text.
fn judge_plain_text(listen: &Spot<SocketAddr>, insecure: bool, report: &mut Report<'_>) {
    let address = listen.value;
    if insecure {
        let reason =
            format!("{address} is served without TLS: whoever reaches it commands the cluster");
        let remedy = "keep strangers off this network, or serve with TLS";
        report.warning(Code::NoTls, &listen.span, reason, remedy);
    } else {
        let reason = format!("{address} is not loopback, and there is no TLS");
        let remedy = "add [tls] (docs/pki.md), or say `insecure = true` if plain text is meant on this network";
        report.error(Code::NoTls, &listen.span, reason, remedy);
    }
}

/// Either the folder that `pki` made, or all three files; a file that is named goes before the folder's.
fn tls(
    section: &Section,
    host: Option<&Spot<&str>>,
    base: &Path,
    report: &mut Report<'_>,
) -> Option<AgentTls> {
    let keys = ["dir", "cert-file", "key-file", "trusted-ca-file"];
    keys.iter().find(|key| section.given(key).is_some())?;
    let dir = path(section, "dir", base).map(|dir| dir.value);
    let folder = dir.and_then(|dir| Some(dir.join(HOSTS).join(bare(host?.value))));
    let mut file = |key: &str, name: &str| {
        let named = path(section, key, base).map(|file| file.value);
        let found = named.or_else(|| Some(folder.as_ref()?.join(name)));
        if found.is_none() && host.is_some() {
            let reason = format!("`{key}` is missing");
            let remedy = "give `dir`, or all of `cert-file`, `key-file` and `trusted-ca-file`";
            report.error(Code::MissingKey, &section.span, reason, remedy);
        }
        found
    };
    let certificate = file("cert-file", "agent.pem");
    let (key, trusted) = (file("key-file", "agent-key.pem"), file("trusted-ca-file", BUNDLE));
    let pair = CertificateFiles { certificate: certificate?, key: key? };
    Some(AgentTls { pair, trusted: trusted? })
}

fn required<'a>(
    raw: &RawSpec,
    section: &'a Section,
    key: &'static str,
    report: &mut Report<'_>,
) -> Option<Spot<&'a str>> {
    let found = section.text(key);
    if found.is_none() {
        missing(raw, section, key, report);
    }
    found
}

fn missing(raw: &RawSpec, section: &Section, key: &'static str, report: &mut Report<'_>) {
    if !raw.broken && section.given(key).is_none() {
        let reason = format!("`{key}` is missing");
        let remedy = format!("add `{key} = \"...\"` under [agent]");
        report.error(Code::MissingKey, &section.span, reason, remedy);
    }
}

fn listen(
    section: &Section,
    host: Option<&Spot<&str>>,
    report: &mut Report<'_>,
) -> Option<Spot<SocketAddr>> {
    if let Some(given) = section.text("listen") {
        if let Ok(address) = given.value.parse() {
            return Some(Spot::new(address, given.span));
        }
        let reason = format!("{:?} is no IP address with a port", given.value);
        let remedy = format!("write it as `10.0.0.1:{AGENT_PORT}` or `[::1]:{AGENT_PORT}`");
        report.error(Code::IllegalUrl, &given.span, reason, remedy);
        return None;
    }
    let host = host?;
    let bare = host.value.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Some(Spot::new(SocketAddr::new(address, AGENT_PORT), host.span.clone()));
    }
    let reason = format!("`host` is the name {:?}, so `listen` has no default", host.value);
    let remedy = format!("add `listen = \"IP:{AGENT_PORT}\"` under [agent]");
    report.error(Code::MissingKey, &host.span, reason, remedy);
    None
}

fn paths(section: &Section, key: &str, base: &Path) -> Option<Vec<PathBuf>> {
    let given = section.urls(key)?;
    Some(given.value.iter().map(|path| places::resolve(base, &path.value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(AgentFile, Vec<Diagnostic>), SpecErrors> {
        parse(Path::new("agent.toml"), Path::new("/etc/etcd-manager/agent.toml"), text)
    }

    const GOOD: &str = "[agent]\nhost = \"127.0.0.2\"\nstate-dir = \"/var/lib/etcd-manager\"\n";

    #[test]
    fn a_host_that_is_an_address_needs_no_listen() {
        let (file, warnings) = read(GOOD).unwrap();
        assert_eq!(file.listen, "127.0.0.2:2378".parse().unwrap());
        assert_eq!(file.state_dir, Path::new("/var/lib/etcd-manager"));
        assert!(warnings.is_empty() && !file.insecure && file.allow == Allow::default());
    }

    #[test]
    fn plain_text_beyond_loopback_is_refused_unless_it_is_spelled_out() {
        let beyond = GOOD.replace("127.0.0.2", "10.0.34.15");
        let refused = read(&beyond).unwrap_err();
        assert_eq!(refused.diagnostics[0].code, Code::NoTls);
        assert_eq!((refused.diagnostics[0].line, refused.diagnostics[0].column), (2, 8));
        let (_, warnings) = read(&format!("{beyond}insecure = true\n")).unwrap();
        assert_eq!(warnings[0].code, Code::NoTls, "it warns each time");
    }

    #[test]
    fn tls_is_a_folder_of_certificates_or_three_files() {
        let beyond = GOOD.replace("127.0.0.2", "10.0.34.15");
        let (file, warnings) = read(&format!("{beyond}[tls]\ndir = \"pki\"\n")).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let tls = file.tls.unwrap();
        let folder = Path::new("/etc/etcd-manager/pki/hosts/10.0.34.15");
        assert_eq!(tls.pair.certificate, folder.join("agent.pem"));
        assert_eq!(
            (tls.pair.key, tls.trusted),
            (folder.join("agent-key.pem"), folder.join("ca.pem"))
        );
        let some = format!("{beyond}[tls]\ncert-file = \"/a.pem\"\nkey-file = \"/k.pem\"\n");
        let refused = read(&some).unwrap_err();
        assert!(refused.to_string().contains("`trusted-ca-file` is missing"), "{refused}");
        let (file, _) = read(&format!("{some}trusted-ca-file = \"/ca.pem\"\n")).unwrap();
        assert_eq!(file.tls.unwrap().trusted, Path::new("/ca.pem"));
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let bad = "[agent]\nhots = \"h\"\nlisten = \"nowhere\"\ninsecure = 1\n[node]\n";
        let refused = read(bad).unwrap_err();
        let found: Vec<(usize, Code)> =
            refused.diagnostics.iter().map(|found| (found.line, found.code)).collect();
        let expected = [
            (1, Code::MissingKey),
            (1, Code::MissingKey),
            (2, Code::UnknownKey),
            (3, Code::IllegalUrl),
            (4, Code::WrongType),
            (5, Code::UnknownKey),
        ];
        assert_eq!(found, expected, "{refused}");
        assert!(refused.to_string().contains("did you mean `host`?"), "{refused}");
    }

    #[test]
    fn a_spec_may_only_choose_among_what_the_host_allows() {
        let text =
            format!("{GOOD}[allow]\nbinaries = [\"/usr/bin/etcd\"]\ndata-roots = \"/srv\"\n");
        let (file, _) = read(&text).unwrap();
        let mut spec = crate::plan::fixture::spec(1, "");
        let mut node = spec.nodes[0].clone();
        assert_eq!(file.allow.permits(&spec, &node), Ok(()));
        node.binary = Binary::Path("/tmp/etcd".into());
        assert!(file.allow.permits(&spec, &node).unwrap_err().contains("/tmp/etcd"));
        node.binary = Binary::Path("/usr/bin/etcd".into());
        assert_eq!(file.allow.permits(&spec, &node), Ok(()));
        node.data_dir = "/srvx/n1".into();
        assert!(file.allow.permits(&spec, &node).unwrap_err().contains("data-roots"));
        node.data_dir = "/srv/n1".into();
        spec.log.dir = "/var/log".into();
        assert!(file.allow.permits(&spec, &node).is_err());
    }

    #[test]
    fn a_hook_is_run_only_if_it_is_allowed() {
        let (file, _) = read(GOOD).unwrap();
        assert!(file.allow.permits_hook(Path::new("/h/b"), "h1").unwrap_err().contains("h1"));
        let (file, _) = read(&format!("{GOOD}[allow]\nhooks = [\"/h\"]\n")).unwrap();
        assert_eq!(file.allow.permits_hook(Path::new("/h/b"), "h1"), Ok(()));
        assert!(file.allow.permits_hook(Path::new("/hx/b"), "h1").is_err());
    }

    #[test]
    fn the_reference_of_all_keys_is_in_the_documentation() {
        let page = include_str!("../../../docs/agent-toml.md");
        let reference = super::super::agent_reference();
        assert!(page.contains(&reference), "docs/agent-toml.md lacks:\n{reference}");
    }
}
