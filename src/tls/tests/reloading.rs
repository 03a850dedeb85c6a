//! New files are taken without a restart; unusable ones change nothing.

use super::*;

#[tokio::test]
async fn a_new_certificate_and_key_are_shown_from_the_next_connection_on() {
    let pki = Pki::new();
    let server = pki.server();
    let client = pki.client(Some(pki.issue("c", &[], Purpose::Client)));
    let shown = async || meet(&server, &client, "127.0.0.1").await.1.unwrap()[0].serial.clone();
    let first = shown().await;
    assert_eq!(shown().await, first);
    pki.issue("server", &["127.0.0.1"], Purpose::Server);
    assert_ne!(shown().await, first);
}

#[tokio::test]
async fn a_new_bundle_is_trusted_by_listeners_and_dialers() {
    let (pki, other) = (Pki::new(), Pki::named("foreign"));
    let server = pki.server();
    let client = pki.client(Some(other.issue("c", &[], Purpose::Client)));
    meet(&server, &client, "127.0.0.1").await.0.unwrap_err();
    put(&pki.bundle(), &(pki.authority.bundle() + &other.authority.bundle()));
    meet(&server, &client, "127.0.0.1").await.0.unwrap();
    put(&pki.bundle(), &other.authority.bundle());
    let (_, untrusted) = meet(&server, &client, "127.0.0.1").await;
    assert!(untrusted.unwrap_err().contains("UnknownIssuer"));
}

#[tokio::test]
async fn a_broken_new_file_keeps_the_old_one_in_use_until_it_is_mended() {
    let pki = Pki::new();
    let server = pki.server();
    let client = pki.client(Some(pki.issue("c", &[], Purpose::Client)));
    let shown = async || meet(&server, &client, "127.0.0.1").await.1.unwrap()[0].serial.clone();
    let first = shown().await;
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    for file in ["server.pem", "server-key.pem", "ca.pem"] {
        let good = fs::read_to_string(pki.path(file)).unwrap();
        put(&pki.path(file), broken);
        assert_eq!(shown().await, first, "{file} broken");
        fs::remove_file(pki.path(file)).unwrap();
        assert_eq!(shown().await, first, "{file} gone");
        put(&pki.path(file), &good);
        assert_eq!(shown().await, first, "{file} back");
    }
    // A pair is put in place one file after the other.
    let next = pki.issue("next", &["127.0.0.1"], Purpose::Server);
    put(&pki.path("server.pem"), &fs::read_to_string(&next.certificate).unwrap());
    assert_eq!(shown().await, first, "half of a pair");
    put(&pki.path("server-key.pem"), &fs::read_to_string(&next.key).unwrap());
    assert_ne!(shown().await, first);
}

/// Otherwise a client that is trusted no more could come back by its session.
#[tokio::test]
async fn no_session_is_resumed() {
    let pki = Pki::new();
    let server = pki.server();
    assert!(!server.config().session_storage.can_cache());
    assert_eq!(server.config().send_tls13_tickets, 0);
}
