//! Environments and command lines, compared with what is kept, and their quoting with a real shell.

use std::{collections::BTreeMap, path::Path};

use super::*;
use crate::{
    expect::same_as_kept,
    spec::{self, ClusterSpec},
};

fn three_hosts() -> ClusterSpec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/three-hosts.toml");
    spec::load(&path).expect("a good spec").spec
}

fn record(spec: &ClusterSpec) -> Lineage {
    Lineage::first(spec, uuid::Uuid::nil())
}

#[test]
fn the_environment_of_a_host_of_today_is_as_kept() {
    let spec = three_hosts();
    let all = environment(&spec, &spec.nodes[2], &record(&spec));
    same_as_kept("generate/expect/three_hosts.sh", &render::shell(&all));
    same_as_kept("generate/expect/three_hosts.env", &render::systemd(&all));
    let line = command_line(&spec, &spec.nodes[2], &record(&spec), Path::new("/opt/etcd-manager"));
    same_as_kept("generate/expect/three_hosts.flags", &render::command(&line));
}

/// R2
#[test]
fn token_members_and_state_come_from_the_record_whatever_the_spec_says() {
    let mut spec = three_hosts();
    let lineage = record(&spec).after_abort(&spec).sealed();
    spec.token = "edited".to_owned();
    spec.nodes[0].advertise_peer_urls = vec!["http://10.9.9.9:2380".to_owned()];
    let all = environment(&spec, &spec.nodes[1], &lineage);
    assert_eq!(all["ETCD_INITIAL_CLUSTER_STATE"], "existing");
    assert_eq!(all["ETCD_INITIAL_CLUSTER_TOKEN"], "etcd-cluster-conf-2");
    assert!(!all["ETCD_INITIAL_CLUSTER"].contains("10.9.9.9"));
    assert!(all["ETCD_INITIAL_CLUSTER"].starts_with("etcd_conf1=http://10.0.34.15:2380,"));
}

/// R2
#[test]
fn a_sealed_record_stays_sealed() {
    let spec = three_hosts();
    let sealed = record(&spec).sealed();
    assert_eq!(sealed.sealed().initial_state, InitialState::Existing);
    let given_up = std::panic::catch_unwind(|| sealed.after_abort(&spec));
    assert!(given_up.is_err(), "a formed cluster was given up");
}

#[test]
fn a_start_as_existing_instead_of_new_is_no_change() {
    let spec = three_hosts();
    let manager = Path::new("/opt/etcd-manager");
    let first = launch(&spec, &spec.nodes[0], &record(&spec), manager);
    let later = launch(&spec, &spec.nodes[0], &record(&spec).sealed(), manager);
    assert_eq!(first.digest(), later.digest());
    assert!(first.changes(&later).is_empty());
}

#[test]
fn a_changed_flag_is_named_with_both_values() {
    let spec = three_hosts();
    let manager = Path::new("/opt/etcd-manager");
    let mut edited = spec.clone();
    edited.nodes[0].flags.insert("snapshot-count".to_owned(), "50000".to_owned());
    edited.nodes[0].flags.remove("logger");
    edited.nodes[0].environment.insert("GOGC".to_owned(), "50".to_owned());
    edited.user = None;
    let before = launch(&spec, &spec.nodes[0], &record(&spec), manager);
    let after = launch(&edited, &edited.nodes[0], &record(&spec), manager);
    let shown: Vec<String> = before.changes(&after).iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "user root -> unset",
            "logger zap -> unset",
            "snapshot-count 10000 -> 50000",
            "GOGC unset -> 50",
        ]
    );
    assert_ne!(before.digest(), after.digest());
}

/// The digest is recorded with each process: a new build must find the same one.
#[test]
fn the_digest_of_a_launch_never_changes() {
    let launch = Launch {
        binary: "/usr/bin/etcd".into(),
        user: Some("etcd".to_owned()),
        environment: [("ETCD_NAME".to_owned(), "n1".to_owned())].into(),
    };
    assert_eq!(launch.digest(), "800e0941d6c013ebe7dc8f0464afb27792786ac37f0b7f1139039749ea4cc871");
}

#[test]
fn a_shell_reads_back_what_was_written() {
    let nasty = r#"it's "$HOME" `id` \ & ; * ~ # %s é"#;
    let all: BTreeMap<String, String> = [("X".to_owned(), nasty.to_owned())].into();
    #[expect(clippy::disallowed_methods, reason = "a real shell is the judge")]
    let told = std::process::Command::new("sh")
        .arg("-c")
        .arg(render::shell(&all) + "printf %s \"$X\"")
        .output()
        .expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&told.stdout), nasty);
    assert!(render::systemd(&all).starts_with(r#"X="it's \"\$HOME\" \`id\` \\ "#));
    assert_eq!(
        serde_json::from_str::<BTreeMap<String, String>>(&render::json(&all)).expect("JSON"),
        all
    );
}

/// The member ids that the three machines of the example have had since their bootstrap by hand, and ids that real etcd
/// 3.4.23 and 3.5.1 gave a single node.
#[test]
fn ids_are_those_that_etcd_gives() {
    let spec = three_hosts();
    let lineage = record(&spec);
    for (name, id) in [
        ("etcd_conf1", 0xaf43_36fe_651e_754e),
        ("etcd_conf2", 0x7ce1_cd4d_2c6d_df70),
        ("etcd_conf3", 0xe620_1654_532e_3b82),
    ] {
        let (_, member) = lineage.bootstrap_member(name).expect("a recorded node");
        assert_eq!(member.get(), id, "{name}: {member}");
    }
    let single = Lineage {
        token: "byhand".to_owned(),
        initial_cluster: vec![("n1".to_owned(), vec!["http://127.0.0.1:42380".to_owned()])],
        ..lineage
    };
    let (cluster, member) = single.bootstrap_member("n1").expect("a recorded node");
    assert_eq!((cluster.get(), member.get()), (0xd231_3214_7ebd_e832, 0xfb03_ee3d_84d0_11b9));
    assert_eq!(single.bootstrap_member("n2"), None);
}
