//! What a record says about a dir, for every state of both.

use base::{Epoch, Index, Term};
use disk::RealDisk;
use lineage::{Attempt, EntryId};
use tempfile::TempDir;

use super::*;
use crate::plan::fixture::spec;

struct Host {
    root: TempDir,
    disk: Arc<dyn Disk>,
    lineage: Lineage,
}

impl Host {
    fn new() -> Self {
        let lineage = Lineage::first(&spec(1, ""), Uuid::from_u128(7));
        Self { root: tempfile::tempdir().unwrap(), disk: Arc::new(RealDisk), lineage }
    }

    fn records(&self) -> PathBuf {
        default_root(&self.root.path().join("agent"))
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn charter(&self, dir: &str) -> NewCharter {
        NewCharter {
            identity: self.lineage.identity(),
            node: "n1".to_owned(),
            data_dir: self.dir(dir),
        }
    }

    fn prepare(&self, dir: &str) -> Result<(), String> {
        prepare(&self.disk, &self.records(), &self.charter(dir), None)
    }

    fn word(&self, dir: &str) -> Option<Word> {
        word(&self.disk, &self.records(), Some(&self.lineage), ("n1", &self.dir(dir)))
    }

    fn record(&self) -> Record {
        let dir = record_dir(&self.records(), self.lineage.uuid, "n1").unwrap();
        Record::look(self.disk.clone(), &dir)
    }

    fn form(&self) {
        let charter: Charter = self.record().read().unwrap().unwrap();
        self.record().write(&Charter { bootstrap: Latch::Formed, ..charter }).unwrap();
    }
}

const FORMED: DataDir =
    DataDir::Formed { cluster: base::ClusterId::new(1), member: base::MemberId::new(2) };

#[test]
fn a_node_is_started_again_by_its_own_record_only() {
    let host = Host::new();
    assert_eq!(host.word("d"), None);
    host.prepare("d").unwrap();
    assert_eq!(host.word("d"), None, "it never had a log");
    host.form();
    host.prepare("d").unwrap();
    assert_eq!(host.word("d"), Some(Word::Formed));
    assert_eq!(host.word("other"), Some(Word::Unmarked), "R17");
    assert!(host.prepare("other").unwrap_err().contains("E-NODE-03"));
    let retired = retire(&host.disk, &host.records(), (host.lineage.uuid, "n1"), "n1-2").unwrap();
    assert!(retired.unwrap().ends_with("n1-2"));
    host.prepare("other").unwrap();
    assert!(matches!(host.word("d"), Some(Word::Unusable(_))), "its life is over");
}

#[test]
fn a_bootstrap_that_was_given_up_starts_nothing_any_more_r3() {
    let mut host = Host::new();
    host.prepare("d").unwrap();
    let first = host.charter("d");
    host.lineage = host.lineage.after_abort(&spec(1, ""));
    host.prepare("d").unwrap();
    assert!(prepare(&host.disk, &host.records(), &first, None).is_err());
}

#[test]
fn a_promise_holds_whatever_the_dir_is_r3() {
    let host = Host::new();
    host.prepare("d").unwrap();
    let fence: Fence = host.record().read().unwrap().unwrap();
    let attempt = Attempt { epoch: Epoch::new(2), by: Uuid::nil() };
    host.record().write(&Fence { promised: attempt, hold: Hold::Promised, ..fence }).unwrap();
    assert_eq!(host.word("d"), Some(Word::Fenced));
    assert_eq!(host.word("other"), Some(Word::Fenced), "a dir that was emptied too");
}

#[test]
fn a_record_that_lost_a_part_says_nothing_r13() {
    let host = Host::new();
    host.prepare("d").unwrap();
    host.disk.remove_file(&host.record().dir().join("fence")).unwrap();
    assert!(matches!(host.word("d"), Some(Word::Unusable(_))));
    assert!(host.prepare("d").is_err());
}

#[test]
fn the_word_goes_before_what_the_dir_says() {
    let known = |word: Word, found, is_own| word.judge(Fact::Known(found), is_own);
    assert_eq!(known(Word::Formed, DataDir::Empty, false), Fact::Known(DataDir::Emptied));
    assert_eq!(known(Word::Unmarked, DataDir::Empty, false), Fact::Known(DataDir::Emptied));
    assert_eq!(known(Word::Formed, FORMED, true), Fact::Known(FORMED));
    assert_eq!(known(Word::Unmarked, FORMED, true), Fact::Known(DataDir::Stale));
    assert_eq!(known(Word::Unmarked, FORMED, false), Fact::Known(FORMED), "another's");
    assert_eq!(known(Word::Fenced, FORMED, true), Fact::Known(DataDir::Fenced));
    let said = known(Word::Unusable("damaged".to_owned()), FORMED, true);
    assert_eq!(said, Fact::Unknown("its record: damaged".to_owned()));
}

#[test]
fn a_log_that_ends_before_the_mark_is_stale_r17() {
    let host = Host::new();
    host.prepare("d").unwrap();
    let log = |index| LogPosition {
        term: Term::new(2),
        commit: Index::new(index),
        last: EntryId { term: Term::new(2), index: Index::new(index) },
    };
    assert!(!is_stale(&host.disk, &host.dir("d"), &log(4)), "no mark yet");
    let mark = HighWater { term: Term::new(2), commit: Index::new(5), ..HighWater::default() };
    host.record().write(&mark).unwrap();
    assert!(is_stale(&host.disk, &host.dir("d"), &log(4)));
    assert!(!is_stale(&host.disk, &host.dir("d"), &log(5)));
    assert!(!is_stale(&host.disk, &host.dir("other"), &log(4)), "no record is named there");
}

/// Needs root; without it there is no other user to give anything to.
#[test]
fn a_record_and_its_marker_belong_to_the_nodes_user_who_can_reach_them() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let host = Host::new();
    prepare(&host.disk, &host.records(), &host.charter("d"), Some("nobody")).unwrap();
    let nobody = Account::find("nobody").unwrap().uid.as_raw();
    let record = host.record().dir().to_owned();
    let marker = Marker::path(&host.dir("d"));
    let own = [record.join("charter"), record.join("fence"), record.clone(), marker.clone()];
    for place in own.iter().map(PathBuf::as_path).chain(marker.parent()) {
        assert_eq!(std::fs::metadata(place).unwrap().uid(), nobody, "{}", place.display());
    }
    let parents = record.ancestors().skip(1).take_while(|it| it.starts_with(host.records()));
    for parent in parents {
        let mode = std::fs::metadata(parent).unwrap().mode();
        assert_eq!(mode & 0o011, 0o011, "{} can be passed", parent.display());
    }
    prepare(&host.disk, &host.records(), &host.charter("d"), Some("nobody")).unwrap();
    let unknown = prepare(&host.disk, &host.records(), &host.charter("e"), Some("no-such-user"));
    assert!(unknown.unwrap_err().contains("no-such-user"));
}
