//! The manager's authority.

use std::os::unix::fs::PermissionsExt;

use disk::RealDisk;

use super::*;
use crate::authority::{BUNDLE_FILE, KEY_FILE};

#[test]
fn an_authority_is_kept_for_its_owner_alone_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("pki");
    let authority = Authority::create("c1", now()).unwrap();
    authority.save(&RealDisk, &place).unwrap();
    for file in [KEY_FILE, BUNDLE_FILE] {
        let mode = fs::metadata(place.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    let found = Authority::load(&place).unwrap();
    assert_eq!(found.bundle(), authority.bundle());
    let other = Authority::create("c2", now()).unwrap();
    put(&place.join(BUNDLE_FILE), &other.bundle());
    let error = Authority::load(&place).unwrap_err();
    assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error}");
}

#[test]
fn roles_hosts_names_and_times_are_in_the_certificate() {
    let pki = Pki::new();
    let read = |files: &CertificateFiles| authority::inspect(&files.certificate).unwrap().remove(0);
    let agent =
        read(&pki.issue("h1", &["h1.example", "10.0.0.1"], Purpose::Agent("h1".to_owned())));
    assert_eq!((agent.role(), agent.host()), (Some(Role::Agent), Some("h1")));
    assert_eq!((agent.dns.as_slice(), agent.ips.len()), (&["h1.example".to_owned()][..], 1));
    assert!(agent.not_before < now() - Duration::from_secs(3000) && agent.not_after > now());
    assert!(agent.renew_at() > agent.not_before && agent.renew_at() < agent.not_after);
    assert!(!agent.is_authority);
    for role in [Role::Reader, Role::Operator] {
        let person = read(&pki.issue("p", &[], Purpose::Person(role)));
        assert_eq!((person.role(), person.host()), (Some(role), None));
    }
    let peer = read(&pki.issue("n1", &["n1.example"], Purpose::Peer));
    assert_eq!((peer.role(), peer.host()), (None, None));
    let authority = authority::inspect(&pki.bundle()).unwrap().remove(0);
    assert!(authority.is_authority && authority.common_name == "test");
}

#[test]
fn an_unclear_role_is_none() {
    let certificate = |uris: &[&str]| {
        let pki = Pki::new();
        let files = pki.issue("x", &[], Purpose::Peer);
        let mut read = authority::inspect(&files.certificate).unwrap().remove(0);
        read.uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
        read
    };
    let (agent, reader) = ("urn:etcd-manager:role:agent", "urn:etcd-manager:role:reader");
    assert_eq!(certificate(&["https://x", agent]).role(), Some(Role::Agent));
    assert_eq!(certificate(&[agent, reader]).role(), None);
    assert_eq!(certificate(&["urn:etcd-manager:role:root"]).role(), None);
    assert_eq!(certificate(&["urn:etcd-manager:host:a", "urn:etcd-manager:host:b"]).host(), None);
}

#[tokio::test]
async fn during_a_rotation_certificates_of_both_authorities_are_let_in() {
    let mut pki = Pki::new();
    let server = pki.server();
    let old = pki.client(Some(pki.issue("old", &[], Purpose::Client)));
    pki.authority = pki.authority.succeed("next", now()).unwrap();
    assert_eq!(pki.authority.older(), 1);
    put(&pki.bundle(), &pki.authority.bundle());
    let new = pki.client(Some(pki.issue("new", &[], Purpose::Client)));
    meet(&server, &old, "127.0.0.1").await.0.unwrap();
    meet(&server, &new, "127.0.0.1").await.0.unwrap();
    // The last step, once the server shows a certificate of the new authority.
    pki.issue("server", &["127.0.0.1"], Purpose::Server);
    pki.authority.drop_older();
    put(&pki.bundle(), &pki.authority.bundle());
    meet(&server, &new, "127.0.0.1").await.0.unwrap();
    meet(&server, &old, "127.0.0.1").await.0.unwrap_err();
}

#[test]
fn a_self_signed_certificate_is_made_once_and_again_when_it_expired() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("fixtures/client");
    let hosts = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let ensure = |at| self_signed::ensure(&RealDisk, &place, &hosts, 1, at).unwrap();
    let files = ensure(now());
    let read = || authority::inspect(&files.certificate).unwrap().remove(0);
    let first = read();
    assert_eq!(first.ips.len() + first.dns.len(), 2);
    assert!(first.subject.contains("O=etcd"), "{}", first.subject);
    assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
    ensure(now());
    assert_eq!(read(), first);
    ensure(now() + Duration::from_secs(366 * 24 * 3600));
    assert_ne!(read(), first);
    let none = self_signed::ensure(&RealDisk, &place, &hosts, 0, now()).unwrap_err();
    assert!(none.to_string().contains("selfSignedCertValidity"));
}
