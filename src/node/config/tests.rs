//! What becomes of command lines: settings, or refusals in etcd's words.

use super::*;

fn run(arguments: &[&str]) -> Result<(Config, Vec<String>), Refusal> {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    match load(&arguments, &[])? {
        Command::Run { config, notes } => Ok((*config, notes)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_any_flag_a_member_has_etcd_s_defaults() {
    let (config, notes) = run(&[]).unwrap();
    assert_eq!(config.data_dir, Path::new("default.etcd"));
    assert_eq!(config.wal_dir, Path::new("default.etcd/member/wal"));
    assert_eq!(config.cluster.to_string(), "default=http://localhost:2380");
    assert_eq!(config.cluster.verify_advertised("default", &config.settings.peer_urls), Ok(()));
    assert_eq!(config.settings.heartbeat, Duration::from_millis(100));
    assert_eq!(config.settings.election, Duration::from_secs(1));
    assert_eq!(config.settings.request_timeout(), Duration::from_secs(7));
    assert_eq!(config.settings.auto_compaction, AutoCompaction::Off);
    assert_eq!(config.settings.compaction_batch_rows, 1000);
    assert!(config.election.pre_vote && config.sync && !config.initial_corrupt_check);
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn a_name_without_an_initial_cluster_is_a_cluster_of_one() {
    let (config, _) =
        run(&["--name=a", "--initial-advertise-peer-urls=http://h:2,http://h:1"]).unwrap();
    assert_eq!(config.cluster.to_string(), "a=http://h:1,a=http://h:2");
    assert_eq!(config.cluster.verify_advertised("a", &config.settings.peer_urls), Ok(()));
}

#[test]
fn settings_that_contradict_each_other_are_refused_in_etcd_s_words() {
    for (arguments, text) in [
        (
            &["--listen-client-urls=http://127.0.0.1:1"][..],
            "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        ),
        (
            &["--heartbeat-interval=500"],
            "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[500ms]",
        ),
        (
            &["--election-timeout=50001"],
            "--election-timeout[50001ms] is too long, and should be set less than 50000ms",
        ),
        (&["--heartbeat-interval=0"], "--heartbeat-interval must be >0 (set to 0ms)"),
        (&["--listen-peer-urls=http://host:1"], "expected IP in URL for binding (http://host:1)"),
        (
            &["--initial-advertise-peer-urls=http://:1"],
            "--initial-advertise-peer-urls \"http://:1\" must be \"host:port\" (unexpected empty host (http://:1))",
        ),
        (
            &["--initial-cluster=a=http://h:1", "--discovery=http://h:1/x"],
            "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \"discovery\" or \"discovery-srv\"",
        ),
        (&["--logger=capnslog"], "--logger=capnslog is removed in v3.5"),
    ] {
        let refusal = run(arguments).unwrap_err();
        assert_eq!((refusal.exit, refusal.text.as_str()), (1, text), "{arguments:?}");
    }
}

#[test]
fn what_is_not_served_is_refused_and_what_changes_nothing_is_noted() {
    for (arguments, word) in [
        (&["--force-new-cluster"][..], "--force-new-cluster=true"),
        (&["--discovery=http://h:1/x"], "--discovery=http://h:1/x"),
        (&["--proxy=on"], "--proxy=on"),
        (&["--enable-v2"], "--enable-v2=true"),
        (&["--auth-token=jwt,sign-method=RS256"], "--auth-token=jwt"),
        (&["--listen-metrics-urls=unix://x"], "unix://x"),
    ] {
        let refusal = run(arguments).unwrap_err();
        assert_eq!(refusal.exit, 1, "{arguments:?}");
        assert!(refusal.text.contains(word), "{}", refusal.text);
        assert!(refusal.text.starts_with("not supported by etcd-node: "), "{}", refusal.text);
    }
    let (_, notes) = run(&["--enable-pprof", "--auto-tls=false", "--proxy=off"]).unwrap();
    assert_eq!(notes, ["--enable-pprof has no effect: there are no Go profiles of this program"]);
}

#[test]
fn retention_counts_hours_or_revisions_as_the_mode_has_it() {
    let mode =
        |arguments: &[&str]| run(arguments).map(|(config, _)| config.settings.auto_compaction);
    let hours = |n: u64| AutoCompaction::Periodic(Duration::from_secs(n * 3600));
    assert_eq!(mode(&["--auto-compaction-retention=2"]), Ok(hours(2)));
    assert_eq!(mode(&["--auto-compaction-retention=1h"]), Ok(hours(1)));
    assert_eq!(
        mode(&["--auto-compaction-retention=500", "--auto-compaction-mode=revision"]),
        Ok(AutoCompaction::Revisions(500))
    );
    assert_eq!(
        mode(&["--auto-compaction-retention=1h", "--auto-compaction-mode=revision"])
            .unwrap_err()
            .exit,
        1
    );
}

#[test]
fn the_initial_cluster_must_list_this_member_under_its_urls() {
    let verify = |initial: &str, name: &str, urls: &[&str]| {
        let flag = format!("--initial-cluster={initial}");
        let urls: Vec<String> = urls.iter().map(|&url| url.to_owned()).collect();
        let cluster = run(&[&flag]).unwrap().0.cluster;
        let verdict = cluster.verify_listed(name);
        let verdict = verdict.and_then(|()| cluster.verify_advertised(name, &urls));
        verdict.map_err(|refusal| refusal.text)
    };
    assert_eq!(verify("a=http://h:1,b=http://h:2", "b", &["http://h:2"]), Ok(()));
    assert_eq!(
        verify("a=http://h:1", "z1", &["http://h:1"]).unwrap_err(),
        "couldn't find local name \"z1\" in the initial cluster configuration"
    );
    assert_eq!(
        verify("a=http://h:1", "a", &["http://h:2"]).unwrap_err(),
        "--initial-cluster has a=http://h:1 but missing from --initial-advertise-peer-urls=http://h:2"
    );
    assert_eq!(
        verify("a=http://h:1", "a", &["http://h:1", "http://h:2"]).unwrap_err(),
        "--initial-advertise-peer-urls has http://h:2 but missing from --initial-cluster=a=http://h:1"
    );
    assert_eq!(
        verify("a=http://h:1,b=http://h:1", "a", &["http://h:1"]).unwrap_err(),
        "initial cluster a=http://h:1,b=http://h:1 has duplicate url"
    );
}

#[test]
fn a_file_replaces_flags_and_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etcd.yml");
    let file = std::fs::File::create(&path).unwrap();
    std::io::Write::write_all(
        &mut &file,
        b"name: from-file\nlisten-client-urls: http://127.0.0.1:7\n",
    )
    .unwrap();
    let environment = [("ETCD_NAME".to_owned(), "from-environment".to_owned())];
    let flag = format!("--config-file={}", path.display());
    let loaded = load(&["--name=from-flag".to_owned(), flag], &environment).unwrap();
    let Command::Run { config, notes } = loaded else { panic!("{loaded:?}") };
    assert_eq!(config.settings.name, "from-file");
    assert_eq!(config.listen.client, ["http://127.0.0.1:7"]);
    assert!(notes[0].contains("will be ignored"), "{notes:?}");
    let by_variable =
        load(&[], &[("ETCD_CONFIG_FILE".to_owned(), path.display().to_string())]).unwrap();
    assert!(
        matches!(by_variable, Command::Run { config, .. } if config.settings.name == "from-file")
    );
    assert_eq!(load(&["--config-file=/nowhere".to_owned()], &[]).unwrap_err().exit, 1);
}

#[test]
fn help_and_version_win_over_settings() {
    let ask = |argument: &str| load(&[argument.to_owned()], &[]).unwrap();
    assert!(matches!(ask("--version"), Command::Version));
    assert!(matches!(ask("-h"), Command::Help));
    assert_eq!(semver::Version::parse(crate::VERSION).unwrap().to_string(), crate::VERSION);
}

#[test]
fn forcing_a_managed_dir_is_refused_and_names_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let dir = format!("--data-dir={}", folder.path().display());
    let arguments = ["--force-new-cluster".to_owned(), dir];
    // R1
    let plain = load(&arguments, &[]).unwrap_err();
    assert!(!plain.text.contains("recover"), "{plain}");
    let marker = records::Marker::path(folder.path());
    disk::Disk::create_dir_all(&disk::RealDisk, marker.parent().unwrap()).unwrap();
    disk::replace(&disk::RealDisk, &marker, b"even if it cannot be read").unwrap();
    let managed = load(&arguments, &[]).unwrap_err();
    assert!(managed.text.starts_with("E-NODE-01"), "{managed}");
    assert!(managed.text.contains("`etcd-manager recover`"), "{managed}");
}
