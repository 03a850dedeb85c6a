//! Good specs, bad specs with their full diagnostics, and anything at all.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::{
    Binary, Code, Severity, diagnostic::Diagnostic, keys::Table, load, parse, reference::reference,
    state_dir,
};
use crate::expect::same_as_kept;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn bad_specs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/tests/bad");
    let items = std::fs::read_dir(folder).expect("the folder of bad specs");
    let mut found: Vec<PathBuf> = items.map(|item| item.expect("an item").path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    found.sort();
    found
}

fn diagnostics(name: &str, text: &str) -> Vec<Diagnostic> {
    match parse(Path::new(name), text) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors.diagnostics,
    }
}

#[test]
fn every_mistake_of_a_bad_spec_is_shown_at_its_line_with_a_remedy() {
    let found = bad_specs();
    assert!(found.len() >= 15, "{found:?}");
    for path in found {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a bad spec");
        let found = diagnostics(&name, &text);
        assert!(!found.is_empty(), "{name} has no mistake");
        let shown: Vec<String> = found.iter().map(|mistake| format!("{mistake}\n")).collect();
        same_as_kept(
            &format!("spec/tests/bad/{}", name.replace(".toml", ".txt")),
            &shown.join("\n"),
        );
        for mistake in &found {
            assert!(!mistake.remedy.is_empty() && !mistake.reason.is_empty(), "{name}: {mistake}");
            let place = format!("{name}:{}:{}", mistake.line, mistake.column);
            assert!(mistake.to_string().contains(&place), "{place}\n{mistake}");
            assert!(mistake.to_string().contains(mistake.code.as_str()), "{mistake}");
        }
        let fatal = found.iter().any(|mistake| mistake.severity == Severity::Error);
        assert_eq!(fatal, parse(Path::new(&name), &text).is_err(), "{name}");
    }
}

#[test]
fn every_code_is_shown_by_some_bad_spec_and_has_its_page() {
    let mut seen: BTreeSet<Code> = bad_specs()
        .iter()
        .flat_map(|path| diagnostics("x", &std::fs::read_to_string(path).expect("a bad spec")))
        .map(|mistake| mistake.code)
        .collect();
    let unreadable = load(Path::new("/no/such/file")).expect_err("no such file");
    seen.extend(unreadable.diagnostics.iter().map(|mistake| mistake.code));
    let all: BTreeSet<Code> = Code::ALL.iter().copied().collect();
    assert_eq!(seen, all);
    for code in all {
        let page = root().join(format!("docs/errors/{code}.md"));
        let text = std::fs::read_to_string(&page).unwrap_or_default();
        assert!(text.starts_with(&format!("# {code}")), "{} is missing", page.display());
    }
}

#[test]
fn an_unreadable_file_is_named_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("cluster.toml");
    let said = load(&missing).expect_err("missing").to_string();
    assert!(said.contains("E-SPEC-01") && said.contains("No such file"), "{said}");
    assert!(load(folder.path()).is_err(), "a folder is no spec");
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    std::fs::write(&missing, [b'[', 0xff]).expect("write");
    let said = load(&missing).expect_err("binary").to_string();
    assert!(said.contains("not UTF-8"), "{said}");
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    std::fs::write(&missing, vec![b'#'; 2 << 20]).expect("write");
    let said = load(&missing).expect_err("huge").to_string();
    assert!(said.contains("more than"), "{said}");
}

#[test]
fn the_state_dir_of_a_spec_with_mistakes_is_still_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cluster.toml");
    let text = "[cluster]\nname = \"c\"\ndir = \"/srv\"\ntypo = 1\n[[node]]\nname = \"n1\"\nhost = \"h\"\n";
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    std::fs::write(&path, text).expect("write");
    assert!(load(&path).is_err());
    assert_eq!(state_dir(&path).expect("the state dir"), Path::new("/srv/agent"));
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    std::fs::write(&path, format!("{text}[")).expect("write");
    assert!(state_dir(&path).is_err(), "what cannot be parsed may say anything");
}

#[test]
fn the_local_example_has_the_ports_of_etcds_own_example() {
    let loaded = load(&root().join("config/local.toml")).expect("config/local.toml");
    assert_eq!(loaded.warnings, []);
    let ports: Vec<&str> = loaded
        .spec
        .nodes
        .iter()
        .flat_map(|node| &node.listen_client_urls)
        .map(String::as_str)
        .collect();
    assert_eq!(
        ports,
        ["http://127.0.0.1:2379", "http://127.0.0.1:22379", "http://127.0.0.1:32379"]
    );
    let peers: Vec<&str> = loaded
        .spec
        .nodes
        .iter()
        .flat_map(|node| &node.advertise_peer_urls)
        .map(String::as_str)
        .collect();
    assert_eq!(
        peers,
        ["http://127.0.0.1:2380", "http://127.0.0.1:22380", "http://127.0.0.1:32380"]
    );
    assert!(loaded.spec.nodes.iter().all(|node| node.binary == Binary::InTree));
    let data = &loaded.spec.nodes[0].data_dir;
    assert!(data.ends_with(".local/n1") && !data.to_string_lossy().contains(".."), "{data:?}");
}

#[test]
fn the_example_of_three_hosts_is_what_they_run_by_hand_today() {
    let loaded = load(&root().join("config/three-hosts.toml")).expect("config/three-hosts.toml");
    assert_eq!(loaded.warnings, []);
    let spec = loaded.spec;
    assert_eq!(spec.token, "etcd-cluster-conf");
    let third = spec.node("etcd_conf3").expect("the third");
    assert_eq!(third.listen_peer_urls, ["http://10.0.34.17:2380"]);
    assert_eq!(third.listen_client_urls, ["http://10.0.34.17:2379", "http://127.0.0.1:2379"]);
    assert_eq!(third.advertise_client_urls, ["http://10.0.34.17:2379"]);
    assert_eq!(third.data_dir, Path::new("/data/etcd_data/etcd_conf"));
}

#[test]
fn flags_and_environment_of_a_node_override_the_defaults() {
    let text = r#"
        [cluster]
        name = "c"
        [defaults]
        binary = "bin/etcd"
        client-port = 4001
        flags = { snapshot-count = 5_000, cors = ["a", "b"], pre-vote = false }
        environment = { A = "1", B = "1" }
        [[node]]
        name = "n1"
        host = "db1.example.org"
        binary = "in-tree"
        flags = { snapshot-count = 0x10 }
        environment = { B = "2" }
        [[node]]
        name = "n2"
        host = "::1"
        [[node]]
        name = "n3"
        host = "10.0.0.3"
        listen-peer-urls = ["http://10.0.0.3:7001"]
    "#;
    let spec = parse(Path::new("/etc/c.toml"), text).expect("a good spec").spec;
    let [first, second, third] = &spec.nodes[..] else { panic!("three nodes") };
    assert_eq!(first.flags["snapshot-count"], "16");
    assert_eq!(second.flags["snapshot-count"], "5000");
    assert_eq!((first.flags["cors"].as_str(), first.flags["pre-vote"].as_str()), ("a,b", "false"));
    assert_eq!((first.environment["A"].as_str(), first.environment["B"].as_str()), ("1", "2"));
    assert_eq!(first.binary, Binary::InTree);
    assert_eq!(second.binary, Binary::Path("/etc/bin/etcd".into()));
    assert_eq!(first.listen_client_urls, ["http://0.0.0.0:4001"]);
    assert_eq!(first.advertise_client_urls, ["http://db1.example.org:4001"]);
    assert_eq!(second.listen_client_urls, ["http://[::1]:4001"]);
    assert_eq!(third.advertise_peer_urls, ["http://10.0.0.3:7001"]);
    assert_eq!(first.data_dir, Path::new("/etc/data/n1"));
}

#[test]
fn the_reference_of_all_keys_is_in_the_documentation() {
    let page = root().join("docs/spec.md");
    let text = std::fs::read_to_string(&page).expect("docs/spec.md");
    let (begin, end) = ("<!-- generated: keys -->\n", "<!-- end of generated -->\n");
    let (before, rest) = text.split_once(begin).expect("the begin mark");
    let (_, after) = rest.split_once(end).expect("the end mark");
    same_as_kept("../../docs/spec.md", &format!("{before}{begin}\n{}\n{end}{after}", reference()));
}

/// What the reference calls a default is what a spec without the key has.
#[test]
fn the_documented_defaults_are_the_real_ones() {
    let node = "[[node]]\nname = \"n1\"\nhost = \"10.0.0.1\"\n";
    let mut spelled = String::new();
    let mut count = 0;
    for table in Table::ALL.into_iter().filter(|table| *table != Table::Node) {
        spelled += &format!("{}\n", table.header());
        if table == Table::Cluster {
            spelled += "name = \"c\"\n";
        }
        for key in table.keys() {
            let Some((literal, _)) =
                key.default.strip_prefix('`').and_then(|rest| rest.split_once('`'))
            else {
                continue;
            };
            if toml::de::DeValue::parse(literal).is_ok() {
                spelled += &format!("{} = {literal}\n", key.name);
                count += 1;
            }
        }
    }
    let bare = parse(Path::new("/etc/c.toml"), &format!("[cluster]\nname = \"c\"\n{node}"));
    let spelled = parse(Path::new("/etc/c.toml"), &(spelled + node)).expect("a good spec");
    assert_eq!(bare.expect("a good spec").spec, spelled.spec);
    assert!(count >= 13, "{count} defaults are literals");
}

/// Lines of which specs, good and bad, may be made.
fn lines() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "[cluster]",
        "[defaults]",
        "[[node]]",
        "[node]",
        "[supervise]",
        "[log]",
        "[agent]",
        "[defaults.flags]",
        "[node.flags]",
        "[node.environment]",
        "name = \"c\"",
        "name = \"n1\"",
        "name = 'n2'",
        "host = \"127.0.0.1\"",
        "host = \"h\"",
        "client-port = 1",
        "peer-port = 2",
        "listen-client-urls = [\"http://127.0.0.1:1\"]",
        "listen-peer-urls = \"x\"",
        "data-dir = \"d\"",
        "wal-dir = \"d/w\"",
        "snapshot-count = 1",
        "keep = 3",
        "flags = {}",
        "flags = { pre-vote = 1 }",
        "environment.X = \"1\"",
        "auto-apply = true",
        "dir = \"\"",
        "backoff-min = \"1s\"",
        "user = \"\u{e9}\"",
        "[",
        "]]",
        "= 1",
        "x",
        "\"",
        "'''",
        "#",
        "\r",
    ]);
    prop_oneof![4 => known.prop_map(ToOwned::to_owned), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused_with_places(lines in prop::collection::vec(lines(), 0..25)) {
        let text = lines.join("\n");
        let found = diagnostics("any.toml", &text);
        for mistake in &found {
            prop_assert!(mistake.line >= 1 && mistake.line <= text.matches('\n').count() + 1);
            prop_assert!(mistake.column >= 1);
        }
        if let Err(errors) = parse(Path::new("any.toml"), &text) {
            let fatal = |mistake: &Diagnostic| mistake.severity == Severity::Error;
            prop_assert!(errors.diagnostics.iter().any(fatal));
        }
    }

    /// What a legal spec says comes out as it went in.
    #[test]
    fn what_is_written_is_what_is_read(
        name in "[a-z][a-z0-9._-]{0,20}",
        nodes in prop::collection::btree_map("[a-z][a-z0-9]{0,8}", (1..=255_u8, any::<bool>()), 1..8),
        ports in (1_u16..30000, 30000_u16..60000),
        count in 0..1_000_000_u64,
        keep in 0..1000_u32,
        auto in any::<bool>(),
    ) {
        let mut text = format!(
            "[cluster]\nname = \"{name}\"\ndir = \"/srv\"\n[defaults]\nclient-port = {}\npeer-port = {}\n\
             [defaults.flags]\nmax-txn-ops = {count}\n[log]\nkeep = {keep}\n[agent]\nauto-apply = {auto}\n",
            ports.0, ports.1
        );
        for (at, (node, (last, zoned))) in nodes.iter().enumerate() {
            text += &format!("[[node]]\nname = \"{node}-x\"\nhost = \"10.0.{at}.{last}\"\n");
            if *zoned {
                text += "zone = \"z\"\n";
            }
        }
        let loaded = parse(Path::new("/etc/c.toml"), &text);
        let spec = loaded.map_err(|errors| TestCaseError::fail(errors.to_string()))?.spec;
        prop_assert_eq!(&spec.name, &name);
        prop_assert_eq!(&spec.token, &name);
        prop_assert_eq!((spec.log.keep, spec.agent.auto_apply), (keep, auto));
        prop_assert_eq!(spec.nodes.len(), nodes.len());
        for (at, (found, (node, (last, zoned)))) in spec.nodes.iter().zip(&nodes).enumerate() {
            prop_assert_eq!(&found.name, &format!("{node}-x"));
            prop_assert_eq!(&found.host, &format!("10.0.{at}.{last}"));
            prop_assert_eq!(found.zone.is_some(), *zoned);
            let peer = format!("http://10.0.{at}.{last}:{}", ports.1);
            prop_assert_eq!(&found.advertise_peer_urls, &vec![peer]);
            prop_assert_eq!(&found.flags["max-txn-ops"], &count.to_string());
            prop_assert_eq!(&found.data_dir, &PathBuf::from(format!("/srv/{node}-x")));
        }
    }
}

#[test]
fn tls_with_files_becomes_https_urls_and_flags_of_each_node() {
    let text = "
[cluster]
name = \"c\"
[tls]
mode = \"files\"
cert-file = \"pki/{node}.pem\"
key-file = \"pki/{node}-key.pem\"
trusted-ca-file = \"pki/ca.pem\"
peer-cert-file = \"/p.pem\"
peer-key-file = \"/p-key.pem\"
[[node]]
name = \"n1\"
host = \"10.0.0.1\"
flags = { peer-cert-allowed-cn = \"member\" }
";
    let spec = parse(Path::new("/etc/c/cluster.toml"), text).expect("a good spec").spec;
    let node = &spec.nodes[0];
    assert_eq!(node.listen_client_urls, ["https://10.0.0.1:2379", "https://127.0.0.1:2379"]);
    assert_eq!(node.advertise_peer_urls, ["https://10.0.0.1:2380"]);
    for (flag, value) in [
        ("cert-file", "/etc/c/pki/n1.pem"),
        ("key-file", "/etc/c/pki/n1-key.pem"),
        ("trusted-ca-file", "/etc/c/pki/ca.pem"),
        ("client-cert-auth", "true"),
        ("peer-cert-file", "/p.pem"),
        ("peer-key-file", "/p-key.pem"),
        ("peer-trusted-ca-file", "/etc/c/pki/ca.pem"),
        ("peer-client-cert-auth", "true"),
        ("peer-cert-allowed-cn", "member"),
    ] {
        assert_eq!(node.flags.get(flag).map(String::as_str), Some(value), "{flag}");
    }
    let open = text.replace("[[node]]", "client-cert-auth = false\n[[node]]");
    let spec = parse(Path::new("/etc/c/cluster.toml"), &open).expect("a good spec").spec;
    let node = &spec.nodes[0];
    assert!(!node.flags.contains_key("trusted-ca-file"), "etcd would demand certificates");
    assert_eq!(node.environment[super::MANAGER_TRUSTS], "/etc/c/pki/ca.pem");
}
