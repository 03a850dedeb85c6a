//! Every fault of a file is named, with the file and what to do.

use super::*;

fn load(files: &CertificateFiles) -> Result<Identity, TlsError> {
    Identity::load(files, &provider::provider(&Suites::default()))
}

fn says(error: &TlsError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

#[test]
fn files_that_cannot_be_used_are_told_apart() {
    let pki = Pki::new();
    let good = pki.issue("good", &["localhost"], Purpose::Peer);
    let other = pki.issue("other", &["localhost"], Purpose::Peer);
    put(&pki.path("empty.pem"), "nothing here\n");
    put(&pki.path("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    put(
        &pki.path("sealed.pem"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    put(&pki.path("odd.pem"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let with = |certificate: &Path, key: &Path| {
        load(&CertificateFiles { certificate: certificate.to_owned(), key: key.to_owned() })
            .unwrap_err()
    };
    says(&with(&pki.path("none.pem"), &good.key), &["none.pem", "No such file", "check the path"]);
    says(&with(&pki.path("empty.pem"), &good.key), &["empty.pem", "no certificate", "PEM"]);
    says(&with(&pki.path("broken.pem"), &good.key), &["broken.pem", "cannot be read"]);
    says(&with(&good.certificate, &pki.path("none.pem")), &["none.pem", "No such file"]);
    says(&with(&good.certificate, &pki.path("empty.pem")), &["empty.pem", "no private key"]);
    says(&with(&good.certificate, &pki.path("sealed.pem")), &["sealed.pem", "is encrypted"]);
    says(&with(&good.certificate, &pki.path("odd.pem")), &["odd.pem", "cannot be used"]);
    let mismatch = with(&good.certificate, &other.key);
    says(&mismatch, &["other-key.pem", "does not belong", "good.pem"]);
    assert!(load(&good).unwrap().faults(now()).is_empty());
}

#[test]
fn a_certificate_that_can_be_shown_tells_its_faults() {
    let pki = Pki::new();
    let files = pki.issue("n", &["localhost"], Purpose::Peer);
    let identity = load(&files).unwrap();
    let late = identity.faults(now() + Duration::from_secs(7200));
    assert_eq!(late.len(), 1);
    says(&late[0], &["n.pem", "CN=n", "expired 20", "new one"]);
    let early = identity.faults(now() - Duration::from_secs(7200));
    says(&early[0], &["n.pem", "not valid before 20", "clock"]);
    let nameless = load(&pki.issue("nameless", &[], Purpose::Peer)).unwrap();
    says(&nameless.faults(now())[0], &["nameless.pem", "names no host"]);
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    says(&identity.faults(now())[0], &["n-key.pem", "mode 644", "chmod 600"]);
}

#[test]
fn listeners_and_dialers_name_the_bundle_or_list_that_is_wrong() {
    let pki = Pki::new();
    let files = pki.issue("n", &["localhost"], Purpose::Peer);
    put(&pki.path("empty.pem"), "");
    let server = ServerSettings::mutual(files.clone(), pki.path("empty.pem"));
    says(&ServerTls::new(server).unwrap_err(), &["empty.pem", "no certificate"]);
    let client = ClientSettings::new(Some(files.clone()), Roots::File(pki.path("none.pem")));
    says(&ClientTls::new(client).unwrap_err(), &["none.pem", "check the path"]);
    let mut server = ServerSettings::mutual(files, pki.bundle());
    server.clients = Clients::Certified {
        authorities: pki.bundle(),
        allowed: Allowed::Any,
        revoked: Some(pki.path("empty.pem")),
        from_its_host: false,
    };
    says(&ServerTls::new(server).unwrap_err(), &["empty.pem", "revocation list"]);
}

#[test]
fn suites_and_versions_are_read_as_etcd_reads_them() {
    let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let both =
        Suites::parse(&names("TLS_RSA_WITH_AES_128_CBC_SHA,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"))
            .unwrap();
    assert_eq!(both.left_out(), ["TLS_RSA_WITH_AES_128_CBC_SHA"]);
    let offered = provider::provider(&both);
    assert_eq!(offered.cipher_suites.iter().filter(|suite| suite.tls13().is_none()).count(), 1);
    says(
        &Suites::parse(&names("TLS_NOPE")).unwrap_err(),
        &["unexpected TLS cipher suite \"TLS_NOPE\""],
    );
    says(&Suites::parse(&names("TLS_RSA_WITH_RC4_128_SHA")).unwrap_err(), &["none of the TLS"]);
    assert_eq!(Version::parse("TLS1.3").unwrap(), Some(Version::Tls13));
    assert_eq!(Version::parse("").unwrap(), None);
    says(&Version::parse("TLS1.1").unwrap_err(), &["unexpected TLS version \"TLS1.1\""]);
    let none = provider::versions(Version::Tls13, Some(Version::Tls12)).unwrap_err();
    says(&none, &["min version (TLS1.3) is greater than max version (TLS1.2)"]);
    let both = Allowed::from_lists(&names("a"), &names("b")).unwrap_err();
    says(&both, &["mutually exclusive"]);
}
