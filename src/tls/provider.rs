//! The one place that names the cryptography: aws-lc-rs, with the suites and versions that were asked for.

use std::sync::Arc;

use rustls::{
    CipherSuite, NamedGroup, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    version::{TLS12, TLS13},
};

use crate::{
    error::TlsError,
    settings::{Suites, Version},
};

/// Suites by the names that Go and the IANA give them. Those of TLS 1.3 cannot be chosen, as in Go.
const OFFERED: &[(&str, CipherSuite)] = &[
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Suites that Go knows (crypto/tls: `CipherSuites` and `InsecureCipherSuites`) and that are not offered here.
const NOT_OFFERED: &[&str] = &[
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

/// Those of TLS 1.3: always offered where that version is.
const OF_TLS_13: &[&str] =
    &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

impl Suites {
    /// Reads the value of `--cipher-suites`, in order of preference. None given is all.
    ///
    /// # Errors
    /// In etcd's words for a name that Go does not know; or if none of them is offered.
    pub fn parse(names: &[String]) -> Result<Self, TlsError> {
        let mut suites = Self::default();
        for name in names {
            if let Some((_, suite)) = OFFERED.iter().find(|(known, _)| known == name) {
                suites.chosen.push(*suite);
            } else if NOT_OFFERED.contains(&name.as_str()) {
                suites.left_out.push(name.clone());
            } else if !OF_TLS_13.contains(&name.as_str()) {
                return Err(TlsError::Settings(format!("unexpected TLS cipher suite {name:?}")));
            }
        }
        if suites.chosen.is_empty() && !suites.left_out.is_empty() {
            return Err(TlsError::Settings(format!(
                "none of the TLS cipher suites {} is offered by this program: name at least one with ECDHE and GCM or CHACHA20",
                suites.left_out.join(",")
            )));
        }
        Ok(suites)
    }
}

/// The cryptography with these suites; all if none is chosen.
#[must_use]
pub fn provider(suites: &Suites) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    if !suites.chosen.is_empty() {
        let all = std::mem::take(&mut provider.cipher_suites);
        let of_13 = all.iter().filter(|suite| suite.tls13().is_some()).copied();
        let chosen = suites
            .chosen
            .iter()
            .filter_map(|name| all.iter().find(|suite| suite.suite() == *name).copied());
        provider.cipher_suites = of_13.chain(chosen).collect();
    }
    // Elliptic curves first, as Go's servers prefer them; the hybrid group costs a kilobyte a handshake.
    provider.kx_groups.sort_by_key(|group| group.name() == NamedGroup::X25519MLKEM768);
    Arc::new(provider)
}

/// The versions from `min` to `max`; no `max` is the newest.
///
/// # Errors
/// If there is none between.
pub fn versions(
    min: Version,
    max: Option<Version>,
) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    match (min, max) {
        (Version::Tls12, None | Some(Version::Tls13)) => Ok(vec![&TLS13, &TLS12]),
        (Version::Tls12, Some(Version::Tls12)) => Ok(vec![&TLS12]),
        (Version::Tls13, None | Some(Version::Tls13)) => Ok(vec![&TLS13]),
        (Version::Tls13, Some(Version::Tls12)) => Err(TlsError::Settings(
            "min version (TLS1.3) is greater than max version (TLS1.2)".to_owned(),
        )),
    }
}
