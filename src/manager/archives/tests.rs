//! Archives in real folders: what is told of them, which are chosen, which stay.

use super::*;

fn spec(root: &Path, data_dir: &str) -> ClusterSpec {
    let text = format!(
        "[cluster]\nname = \"c\"\ndir = \"data\"\n[[node]]\nname = \"n1\"\nhost = \"127.0.0.1\"\ndata-dir = \"{data_dir}\"\n"
    );
    crate::spec::parse(&root.join("cluster.toml"), &text).unwrap().spec
}

fn put(folder: &Path, name: &str, at_ms: u64) {
    let path = folder.join(name);
    fs::create_dir_all(path.join("member/wal")).unwrap();
    let (node, member) = note::of_label(name);
    let note = Note { at_ms, node, member, reason: "a test".to_owned(), ..Note::default() };
    leave_note(&RealDisk, &path, note).unwrap();
}

fn names(archives: &[Archive]) -> Vec<&str> {
    archives.iter().map(|archive| archive.name.as_str()).collect()
}

#[test]
fn archives_are_listed_by_their_time_and_links_are_none() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("data/archive");
    put(&folder, "n1-ab", 3000);
    put(&folder, "n-2-cd.1", 1000);
    fs::create_dir_all(folder.join("by-hand")).unwrap();
    std::os::unix::fs::symlink(root.path(), folder.join("alias")).unwrap();
    let found = list(&folders(&spec(root.path(), "data/n1"))).unwrap();
    assert_eq!(names(&found), ["n-2-cd.1", "n1-ab", "by-hand"]);
    assert_eq!((found[0].node.as_str(), found[0].member.as_str()), ("n-2", "cd"));
    assert!(found[2].at_is_about && !found[1].at_is_about);
    assert_eq!(found[1].reason, "a test");
}

#[test]
fn age_and_number_choose_together() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("data/archive");
    for (name, at_ms) in [("n1-a", 1000), ("n1-b", 2000), ("n1-c", 3000), ("n2-d", 1000)] {
        put(&folder, name, at_ms);
    }
    let found = list(&[folder].into()).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(10);
    let chosen = |selection: &Selection| -> Vec<String> {
        select(&found, selection, now).into_iter().map(|it| it.name).collect()
    };
    let older_than = Some(Duration::from_millis(7500));
    assert_eq!(chosen(&Selection { keep: Some(1), ..Selection::default() }), ["n1-a", "n1-b"]);
    assert_eq!(chosen(&Selection { older_than, ..Selection::default() }), ["n1-a", "n2-d", "n1-b"]);
    let both = Selection { older_than, keep: Some(2), ..Selection::default() };
    assert_eq!(chosen(&both), ["n1-a"]);
    let named = Selection { names: ["n2-d".to_owned()].into(), ..Selection::default() };
    assert_eq!(chosen(&named), ["n2-d"]);
}

/// R4
#[test]
fn what_the_spec_uses_stays_wherever_it_lies() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("data/archive");
    put(&folder, "n1-ab", 1000);
    let found = list(&[folder.clone()].into()).unwrap();
    for used in ["data/archive/n1-ab", "data/archive/n1-ab/member", "data/archive"] {
        assert!(in_use(&found[0], &spec(root.path(), used)).is_some(), "{used}");
    }
    std::os::unix::fs::symlink(folder.join("n1-ab"), root.path().join("live")).unwrap();
    assert!(in_use(&found[0], &spec(root.path(), "live")).is_some());
    assert!(in_use(&found[0], &spec(root.path(), "data/n1")).is_none());
    purge(&found[0]).unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "its note goes along");
}
