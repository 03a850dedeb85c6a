//! Who is let in, and who is not.

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};

use super::*;

#[tokio::test]
async fn both_ends_with_certificates_of_one_authority_meet() {
    let pki = Pki::new();
    let server = pki.server();
    let identity = pki.issue("alice", &[], Purpose::Person(Role::Operator));
    let (at_server, at_client) = meet(&server, &pki.client(Some(identity)), "127.0.0.1").await;
    let seen = at_server.unwrap();
    assert_eq!((seen[0].common_name.as_str(), seen[0].role()), ("alice", Some(Role::Operator)));
    assert_eq!(at_client.unwrap()[0].common_name, "server");
}

#[tokio::test]
async fn without_a_certificate_or_with_a_foreign_or_expired_one_nobody_is_let_in() {
    let (pki, foreign) = (Pki::new(), Pki::named("foreign"));
    let server = pki.server();
    let stranger = foreign.issue("stranger", &[], Purpose::Client);
    let day = Duration::from_secs(24 * 3600);
    let expired = pki.issue_at("old", &[], Purpose::Client, now() - day);
    for (identity, reason) in [
        (None, "peer sent no certificates"),
        (Some(stranger), "invalid peer certificate: UnknownIssuer"),
        (Some(expired), "invalid peer certificate: certificate expired"),
    ] {
        let (at_server, at_client) = meet(&server, &pki.client(identity), "127.0.0.1").await;
        let error = at_server.unwrap_err();
        assert!(error.contains(reason), "{error}");
        at_client.unwrap_err();
    }
}

#[tokio::test]
async fn only_listed_names_and_hosts_are_let_in() {
    let pki = Pki::new();
    let identity = pki.issue("n", &["127.0.0.1"], Purpose::Server);
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    for (allowed, good) in [
        (Allowed::CommonNames(list(&["a", "b"])), true),
        (Allowed::CommonNames(list(&["a"])), false),
        (Allowed::Hosts(list(&["x.example", "b.example"])), true),
        (Allowed::Hosts(list(&["10.0.0.2"])), true),
        (Allowed::Hosts(list(&["c.example"])), false),
    ] {
        let mut settings = ServerSettings::mutual(identity.clone(), pki.bundle());
        settings.clients = Clients::Certified {
            authorities: pki.bundle(),
            allowed: allowed.clone(),
            revoked: None,
            from_its_host: false,
        };
        let server = ServerTls::new(settings).unwrap();
        let client = pki.client(Some(pki.issue("b", &["b.example", "10.0.0.2"], Purpose::Peer)));
        let (at_server, _) = meet(&server, &client, "127.0.0.1").await;
        assert_eq!(at_server.is_ok(), good, "{allowed:?}: {at_server:?}");
        if let Err(error) = at_server {
            assert!(error.contains("client certificate authentication failed"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_dialer_wants_the_name_and_the_authority_and_the_allowed_name() {
    let (pki, foreign) = (Pki::new(), Pki::named("foreign"));
    let server = pki.server();
    let identity = pki.issue("c", &[], Purpose::Client);
    let (_, wrong_name) = meet(&server, &pki.client(Some(identity.clone())), "n.example").await;
    assert!(wrong_name.unwrap_err().contains("not valid for name"));
    let (_, wrong_authority) = meet(&server, &foreign.client(None), "127.0.0.1").await;
    assert!(wrong_authority.unwrap_err().contains("UnknownIssuer"));
    let mut settings = ClientSettings::new(Some(identity), Roots::File(pki.bundle()));
    settings.allowed = Allowed::CommonNames(vec!["another".to_owned()]);
    let picky = ClientTls::new(settings.clone()).unwrap();
    let (_, not_allowed) = meet(&server, &picky, "127.0.0.1").await;
    assert!(not_allowed.unwrap_err().contains("authentication failed"));
    settings.allowed = Allowed::Any;
    settings.roots = Roots::Anyone;
    let easy = ClientTls::new(settings).unwrap();
    meet(&server, &easy, "n.example").await.1.unwrap();
}

#[tokio::test]
async fn a_peer_that_comes_from_another_host_than_its_own_is_refused() {
    let pki = Pki::new();
    let mut settings =
        ServerSettings::mutual(pki.issue("n", &["127.0.0.1"], Purpose::Peer), pki.bundle());
    settings.clients = Clients::Certified {
        authorities: pki.bundle(),
        allowed: Allowed::Any,
        revoked: None,
        from_its_host: true,
    };
    let server = ServerTls::new(settings).unwrap();
    for (hosts, good) in [(&["127.0.0.1"][..], true), (&["10.9.9.9"], false), (&[], true)] {
        let client = pki.client(Some(pki.issue("p", hosts, Purpose::Peer)));
        let (at_server, _) = meet(&server, &client, "127.0.0.1").await;
        assert_eq!(at_server.is_ok(), good, "{hosts:?}: {at_server:?}");
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_the_list_is_read_again() {
    let pki = Pki::new();
    let files = pki.issue("r", &[], Purpose::Client);
    let serial = authority::inspect(&files.certificate).unwrap()[0].serial.clone();
    let list = |serials: &[&[u8]]| {
        let key = KeyPair::generate().unwrap();
        let params = authority::params("crl", now(), Duration::from_secs(60)).unwrap();
        let issuer = Issuer::new(params, key);
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: now().into(),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: now().into(),
            next_update: (now() + Duration::from_secs(60)).into(),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&issuer).unwrap().pem().unwrap()
    };
    put(&pki.path("crl.pem"), &list(&[b"\x01\x02"]));
    let mut settings =
        ServerSettings::mutual(pki.issue("n", &["127.0.0.1"], Purpose::Server), pki.bundle());
    settings.clients = Clients::Certified {
        authorities: pki.bundle(),
        allowed: Allowed::Any,
        revoked: Some(pki.path("crl.pem")),
        from_its_host: false,
    };
    let server = ServerTls::new(settings).unwrap();
    let client = pki.client(Some(files));
    meet(&server, &client, "127.0.0.1").await.0.unwrap();
    put(&pki.path("crl.pem"), &list(&[b"\x01\x02", &serial]));
    let refused = meet(&server, &client, "127.0.0.1").await.0.unwrap_err();
    assert!(refused.starts_with("transport: certificate serial"), "{refused}");
}

#[tokio::test]
async fn versions_and_suites_are_kept_to() {
    let pki = Pki::new();
    let identity = pki.issue("n", &["127.0.0.1"], Purpose::Server);
    let mut settings = ServerSettings::mutual(identity.clone(), pki.bundle());
    settings.min = Version::Tls13;
    let server = ServerTls::new(settings).unwrap();
    let mut old = ClientSettings::new(Some(identity), Roots::File(pki.bundle()));
    old.max = Some(Version::Tls12);
    let (refused, _) = meet(&server, &ClientTls::new(old.clone()).unwrap(), "127.0.0.1").await;
    refused.unwrap_err();
    meet(&pki.server(), &ClientTls::new(old).unwrap(), "127.0.0.1").await.0.unwrap();
}

/// etcd's own `--auto-tls` makes keys on P-521: such a certificate must be shown and verified.
#[tokio::test]
async fn keys_that_etcd_generates_itself_are_served() {
    let pki = Pki::new();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let mut params = authority::params("p521", now(), Duration::from_secs(3600)).unwrap();
    params.subject_alt_names.push(rcgen::SanType::IpAddress("127.0.0.1".parse().unwrap()));
    let files =
        CertificateFiles { certificate: pki.path("p521.pem"), key: pki.path("p521-key.pem") };
    put(&files.certificate, &params.self_signed(&key).unwrap().pem());
    put(&files.key, &key.serialize_pem());
    let server = ServerTls::new(ServerSettings {
        clients: Clients::Anonymous,
        ..ServerSettings::mutual(files.clone(), pki.bundle())
    })
    .unwrap();
    let mut pinned = ClientSettings::new(None, Roots::File(files.certificate));
    for max in [Version::Tls12, Version::Tls13] {
        pinned.max = Some(max);
        let client = ClientTls::new(pinned.clone()).unwrap();
        meet(&server, &client, "127.0.0.1").await.1.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_comes_ends() {
    let pki = Pki::new();
    let server = pki.server();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (io, from) = listener.accept().await.unwrap();
    let error = server.accept(io, from).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Timeout), "{error}");
}
