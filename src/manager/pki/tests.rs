//! The folder over its whole life: made, filled, renewed, rotated, and cut off in between.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use base::{Clock, SystemClock};
use disk::{Disk, RealDisk};
use tempfile::TempDir;
use tls::{Role, authority};

use super::*;
use crate::{plan::fixture, spec::ClusterSpec};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Store {
        Store::open(Arc::new(RealDisk), self.0.path(), &SystemClock).unwrap()
    }

    fn filled() -> Self {
        let folder = Self::new();
        let store = folder.open();
        assert!(store.create("it").unwrap());
        store.issue(&order("127.0.0.1", Holder::Host)).unwrap();
        store.issue(&order("ann", Holder::Operator)).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn states(&self) -> Vec<(String, &'static str)> {
        let shown = self.open().show().unwrap();
        shown.certificates.into_iter().map(|it| (it.file, it.state)).collect()
    }

    fn is_all_good(&self) -> bool {
        self.states().iter().all(|(_, state)| *state == "good")
    }

    fn spec(&self, more: &str) -> ClusterSpec {
        let dir = self.0.path().display();
        fixture::spec(1, &format!("[tls]\nmode = \"managed\"\ndir = {:?}\n{more}", dir.to_string()))
    }
}

fn order(name: &str, holder: Holder) -> Order {
    let life = Duration::from_secs(365 * 24 * 3600);
    Order { name: name.to_owned(), holder, hosts: Vec::new(), life, renew: false }
}

fn refusal<T: std::fmt::Debug>(done: Result<T, PkiError>) -> String {
    match done {
        Err(PkiError::Refused(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_host_gets_what_its_agent_its_nodes_and_the_manager_show() {
    let folder = Folder::filled();
    let read = |name: &str| authority::inspect(&folder.path(name)).unwrap().swap_remove(0);
    let agent = read("hosts/127.0.0.1/agent.pem");
    assert_eq!((agent.role(), agent.host()), (Some(Role::Agent), Some("127.0.0.1")));
    assert!(agent.not_before < SystemClock.wall() - Duration::from_secs(3000), "back-dated");
    assert_eq!(read("hosts/127.0.0.1/client.pem").common_name, "root");
    assert_eq!(read("hosts/127.0.0.1/server.pem").role(), None);
    assert_eq!(read("people/ann/client.pem").role(), Some(Role::Operator));
    for key in ["ca/ca-key.pem", "hosts/127.0.0.1/peer-key.pem", "people/ann/client-key.pem"] {
        let mode = fs::metadata(folder.path(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    assert!(folder.is_all_good(), "{:?}", folder.states());
}

#[test]
fn what_is_there_stays_until_it_is_to_be_renewed() {
    let folder = Folder::filled();
    let store = folder.open();
    let before = folder.text("hosts/127.0.0.1/server-key.pem");
    assert!(!store.create("other").unwrap());
    let again = store.issue(&order("127.0.0.1", Holder::Host)).unwrap();
    assert!(again.iter().all(|done| done.deed == Deed::Kept));
    let mut more = order("127.0.0.1", Holder::Host);
    more.hosts.push("db.example".to_owned());
    let text = refusal(store.issue(&more));
    assert!(text.contains("db.example") && text.contains("--renew"), "{text}");
    assert_eq!(folder.text("hosts/127.0.0.1/server-key.pem"), before);
    more.renew = true;
    let renewed = store.issue(&more).unwrap();
    assert!(renewed.iter().all(|done| done.deed == Deed::Renewed));
    assert_ne!(folder.text("hosts/127.0.0.1/server-key.pem"), before);
    // A name that was given once is kept in later renewals.
    store.issue(&Order { renew: true, ..order("127.0.0.1", Holder::Host) }).unwrap();
    let server = authority::inspect(&folder.path("hosts/127.0.0.1/server.pem")).unwrap();
    assert!(server[0].dns.contains(&"db.example".to_owned()));
}

#[test]
fn a_key_without_a_certificate_is_put_away_and_not_overwritten() {
    let folder = Folder::filled();
    let key = folder.text("people/ann/client-key.pem");
    fs::remove_file(folder.path("people/ann/client.pem")).unwrap();
    folder.open().issue(&order("ann", Holder::Operator)).unwrap();
    let kept = fs::read_dir(folder.path("archive")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_to_string(kept).unwrap(), key);
    assert!(folder.is_all_good());
}

#[test]
fn a_name_that_would_leave_the_folder_is_refused() {
    let folder = Folder::filled();
    for name in ["../x", "a/b", "", ".", "-x"] {
        refusal(folder.open().issue(&order(name, Holder::Client)));
    }
}

#[test]
fn two_at_once_do_not_work_in_one_folder() {
    let folder = Folder::new();
    let _first = folder.open();
    let second = Store::open(Arc::new(RealDisk), folder.0.path(), &SystemClock);
    assert!(refusal(second).contains("another"));
}

#[test]
fn a_rotation_goes_through_its_phases_in_order_only() {
    let folder = Folder::filled();
    let store = folder.open();
    let old = folder.text("ca/ca.pem");
    assert!(refusal(store.rotate(Phase::Reissue, true)).contains("rotate trust"));
    store.rotate(Phase::Trust, false).unwrap();
    let both = folder.text("hosts/127.0.0.1/ca.pem");
    assert!(both.contains(&old) && both.len() > old.len());
    assert_eq!(folder.text("people/ann/ca.pem"), both);
    assert!(refusal(store.rotate(Phase::Drop, true)).contains("reissue"));
    assert!(refusal(store.rotate(Phase::Reissue, false)).contains("--carried"));
    // What is issued meanwhile is signed by the authority that all hosts know.
    store.issue(&order("bob", Holder::Client)).unwrap();
    assert!(signed(&folder.path("people/bob/client.pem"), &old));
    store.rotate(Phase::Reissue, true).unwrap();
    assert!(!signed(&folder.path("people/bob/client.pem"), &old));
    assert_eq!(folder.text("hosts/127.0.0.1/ca.pem"), both, "the old one is still trusted");
    assert!(refusal(store.rotate(Phase::Trust, false)).contains("drop"));
    assert!(refusal(store.rotate(Phase::Drop, false)).contains("--carried"));
    drop(store);
    assert!(folder.is_all_good(), "{:?}", folder.states());
    let store = folder.open();
    store.rotate(Phase::Drop, true).unwrap();
    assert!(!folder.text("hosts/127.0.0.1/ca.pem").contains(&old));
    assert!(store.rotate(Phase::Drop, false).unwrap().is_empty(), "nothing is left");
    drop(store);
    assert!(folder.is_all_good(), "{:?}", folder.states());
    let agent = authority::inspect(&folder.path("hosts/127.0.0.1/agent.pem")).unwrap();
    assert_eq!((agent[0].role(), agent[0].host()), (Some(Role::Agent), Some("127.0.0.1")));
    assert!(agent[0].names().contains(&"localhost".to_owned()));
}

fn signed(file: &Path, authority: &str) -> bool {
    tls::is_signed_by(file, authority, SystemClock.wall()).unwrap()
}

/// Everything that a cut can leave: the phase is run again and ends as if nothing had happened.
#[test]
fn a_phase_that_was_cut_off_is_finished_by_running_it_again() {
    let folder = Folder::filled();
    let old = folder.text("ca/ca.pem");
    // The key of the next authority was written, its certificate was not.
    fs::create_dir_all(folder.path("next")).unwrap();
    fs::copy(folder.path("ca/ca-key.pem"), folder.path("next/ca-key.pem")).unwrap();
    folder.open().rotate(Phase::Trust, false).unwrap();
    // The bundle had reached one of the folders only.
    fs::copy(folder.path("ca/ca.pem"), folder.path("people/ann/ca.pem")).unwrap();
    let written = folder.open().rotate(Phase::Trust, false).unwrap();
    assert_eq!(written, [folder.path("people/ann/ca.pem")]);
    // The old authority was put away, the new one not yet in its place.
    fs::create_dir_all(folder.path("archive")).unwrap();
    RealDisk.rename(&folder.path("ca"), &folder.path("archive/ca-0")).unwrap();
    folder.open().rotate(Phase::Reissue, true).unwrap();
    // A new key beside the old certificate.
    fs::copy(folder.path("hosts/127.0.0.1/peer-key.pem"), folder.path("people/ann/client-key.pem"))
        .unwrap();
    let text = refusal(folder.open().rotate(Phase::Drop, true));
    assert!(text.contains("people/ann/client.pem") && text.contains("reissue"), "{text}");
    let written = folder.open().rotate(Phase::Reissue, true).unwrap();
    assert_eq!(written, [folder.path("people/ann/client.pem")]);
    folder.open().rotate(Phase::Drop, true).unwrap();
    // The old one had been dropped in one folder only.
    disk::replace(&RealDisk, &folder.path("people/ann/ca.pem"), old.as_bytes()).unwrap();
    folder.open().rotate(Phase::Drop, true).unwrap();
    assert!(folder.is_all_good(), "{:?}", folder.states());
}

#[test]
fn certificates_that_cannot_be_used_are_shown_with_the_reason() {
    let folder = Folder::filled();
    let store = folder.open();
    store
        .issue(&Order { life: Duration::from_secs(1800), ..order("bob", Holder::Client) })
        .unwrap();
    fs::copy(folder.path("hosts/127.0.0.1/peer-key.pem"), folder.path("people/ann/client-key.pem"))
        .unwrap();
    let shown = store.show().unwrap();
    let of = |file: &str| shown.certificates.iter().find(|it| it.file == file).unwrap();
    assert_eq!(of("people/bob/client.pem").state, "expiring");
    assert_eq!(of("people/bob/client.pem").days_left, Some(0));
    let ann = of("people/ann/client.pem");
    assert_eq!((ann.state, ann.role.as_str()), ("unusable", "operator"));
    assert!(ann.problem.as_ref().unwrap().contains("does not belong"), "{ann:?}");
}

#[test]
fn a_spec_in_managed_mode_is_judged_file_by_file() {
    let folder = Folder::filled();
    let spec = folder.spec("");
    let now = SystemClock.wall();
    let check = |now| preflight::check(&spec.nodes[0], now);
    assert_eq!(check(now), Ok(()));
    let text = check(now + Duration::from_secs(366 * 24 * 3600)).unwrap_err();
    assert!(text.contains("expired") && text.contains("server.pem"), "{text}");
    let host = |name: &str| folder.path("hosts/127.0.0.1").join(name);
    // Another authority's bundle.
    let other = Folder::filled();
    fs::copy(other.path("ca/ca.pem"), host("ca.pem")).unwrap();
    let text = check(now).unwrap_err();
    assert!(text.contains("not good by the authorities in") && text.contains("ca.pem"), "{text}");
    fs::copy(folder.path("ca/ca.pem"), host("ca.pem")).unwrap();
    // Another pair's key.
    fs::copy(host("agent-key.pem"), host("peer-key.pem")).unwrap();
    let text = check(now).unwrap_err();
    assert!(text.contains("does not belong") && text.contains("peer-key.pem"), "{text}");
    fs::remove_file(host("server.pem")).unwrap();
    let text = check(now).unwrap_err();
    assert!(text.contains("server.pem") && text.contains("pki issue"), "{text}");
}

#[test]
fn a_certificate_that_lacks_its_host_is_found_before_a_start() {
    let folder = Folder::filled();
    let mut spec = folder.spec("");
    let node = &mut spec.nodes[0];
    node.advertise_peer_urls = vec!["https://db.example:2380".to_owned()];
    let text = preflight::check(node, SystemClock.wall()).unwrap_err();
    assert!(text.contains("peer.pem") && text.contains("not valid for db.example"), "{text}");
}

#[test]
fn the_names_of_a_host_come_from_all_its_urls() {
    let mut spec = fixture::spec(1, "");
    spec.nodes[0].host = "[fd00::1]".to_owned();
    spec.nodes[0].advertise_client_urls = vec!["https://db.example:2379".to_owned()];
    spec.nodes[0].listen_peer_urls = vec!["https://[::]:2380".to_owned()];
    let names = names_of_host(&spec, "fd00::1").unwrap();
    assert!(names.contains(&"fd00::1".to_owned()) && names.contains(&"db.example".to_owned()));
    assert!(!names.contains(&"::".to_owned()));
    assert_eq!(names_of_host(&spec, "10.0.0.9"), None);
}
