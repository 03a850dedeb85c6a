//! The library below a real process: what the `disk` crate made durable survives every cut, and what
//! the standard library did without a sync does not.
#![expect(clippy::tests_outside_test_module, reason = "a test program holds nothing else")]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
};

use lossy::{Loss, UndoLog, cut};

const SEEDS: u64 = 24;

/// Runs the probe in a new folder, cuts its power, and reads what is left.
fn after_a_cut(way: &str, seed: u64, prepare: fn(&Path)) -> (BTreeSet<String>, Loss) {
    let folder = tempfile::tempdir().expect("the test has its folder and its probe");
    let top = folder.path().canonicalize().expect("the test has its folder and its probe");
    let (root, notes) = (top.join("tree"), top.join("notes"));
    fs::create_dir_all(&root).expect("the test has its folder and its probe");
    prepare(&root);
    let log = UndoLog::new(root.clone(), notes.clone());
    log.prepare().expect("the test has its folder and its probe");
    let ended = probe(way, &root, &notes);
    assert_eq!(ended.signal(), Some(9), "{ended}");
    let loss = cut(&log, seed).expect("the test has its folder and its probe");
    let mut found = BTreeSet::new();
    list(&root, &root, &mut found);
    (found, loss)
}

#[expect(clippy::disallowed_methods, reason = "the test starts the program under test")]
fn probe(way: &str, root: &Path, notes: &Path) -> std::process::ExitStatus {
    Command::new(env!("CARGO_BIN_EXE_lossy-probe"))
        .arg(way)
        .arg(root)
        .env("LD_PRELOAD", library())
        .env(lossy::ROOT, root)
        .env(lossy::NOTES, notes)
        .status()
        .expect("the test has its folder and its probe")
}

fn library() -> PathBuf {
    let program = std::env::current_exe().expect("the test has its folder and its probe");
    let library = program.with_file_name("liblossy_preload.so");
    assert!(library.exists(), "{} is built with this test", library.display());
    library
}

fn list(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for item in fs::read_dir(folder).expect("the test has its folder and its probe") {
        let path = item.expect("the test has its folder and its probe").path();
        let name = path
            .strip_prefix(root)
            .expect("the test has its folder and its probe")
            .display()
            .to_string();
        if path.is_dir() {
            found.insert(format!("{name}/"));
            list(root, &path, found);
        } else {
            let bytes = fs::read(&path).expect("the test has its folder and its probe");
            found.insert(match String::from_utf8(bytes) {
                Ok(text) if text.len() < 40 => format!("{name}={text}"),
                _ => format!(
                    "{name} of {} bytes",
                    fs::metadata(&path).expect("the test has its folder and its probe").len()
                ),
            });
        }
    }
}

#[test]
fn what_the_disk_crate_made_durable_survives_every_cut() {
    let expected = [
        "archive/",
        "archive/label/",
        "archive/label/kept=1",
        "copied=second",
        "deep/",
        "deep/deeper/",
        "deep/deeper/moved=1",
        "deep/deeper/replaced=second",
        "file of 1000 bytes",
    ];
    let expected: BTreeSet<String> = expected.map(str::to_owned).into();
    for seed in 0..SEEDS {
        let (found, loss) = after_a_cut("durable", seed, |_| {});
        assert_eq!((found, loss), (expected.clone(), Loss::default()), "seed {seed}");
    }
}

#[test]
fn what_was_not_synced_is_lost_in_some_cuts_and_kept_in_others() {
    #[expect(clippy::disallowed_methods, reason = "nothing of it is noted")]
    let prepare = |root: &Path| {
        for name in ["appended", "in-place", "from", "removed"] {
            fs::write(root.join(name), "old").expect("the test has its folder and its probe");
        }
    };
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let (found, loss) = after_a_cut("careless", seed, prepare);
        assert_eq!((loss.sectors_at_stake >= 2, loss.names_at_stake), (true, 4), "{loss:?}");
        seen.extend(found);
    }
    for outcome in [
        "appended=old",
        "appended=old and more",
        "from=old",
        "folder/",
        "in-place=new",
        "in-place=old",
        "removed=old",
        "to=old",
        "whole=",
        "whole=new",
    ] {
        assert!(seen.contains(outcome), "{outcome} in {seen:?}");
    }
}
