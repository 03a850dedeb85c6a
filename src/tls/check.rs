//! Judges certificate files before anything is started with them: readable, a pair, in their time, signed by an authority
//! of the bundle, good for what they are used for, and valid for the hosts they are shown as.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use rustls::{
    RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{ParsedCertificate, WebPkiClientVerifier},
};

use crate::{
    certificate::{Certificate, shown},
    error::TlsError,
    identity::{self, Identity},
    pem, provider, roots,
    settings::{CertificateFiles, Suites},
};

/// What a certificate must be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// To listen with (serverAuth).
    Server,
    /// To dial with (clientAuth).
    Client,
    /// Both.
    Both,
}

/// Judges one pair of files; returns what the certificate says.
///
/// # Errors
/// The first thing that is wrong, with the file's name and what to do.
pub fn check(
    files: &CertificateFiles,
    authorities: &Path,
    usage: Usage,
    hosts: &[String],
    now: SystemTime,
) -> Result<Certificate, TlsError> {
    let chain = pem::certificates(&files.certificate)?;
    let identity = Identity::load(files, &provider::provider(&Suites::default()))?;
    let certificate = identity.certificate().clone();
    let (file, subject) = (files.certificate.clone(), certificate.subject.clone());
    if now > certificate.not_after {
        return Err(TlsError::Expired { file, subject, at: shown(certificate.not_after) });
    }
    if now < certificate.not_before {
        return Err(TlsError::NotYetValid { file, subject, from: shown(certificate.not_before) });
    }
    verify(&chain, roots::load(authorities)?, usage, now).map_err(|reason| {
        TlsError::Untrusted { file: file.clone(), authorities: authorities.to_owned(), reason }
    })?;
    let parsed = ParsedCertificate::try_from(&chain[0]).map_err(|error| {
        TlsError::BadCertificate { file: file.clone(), reason: error.to_string() }
    })?;
    let covers = |host: &String| {
        ServerName::try_from(host.as_str())
            .is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
    };
    if let Some(host) = hosts.iter().find(|host| !covers(host)) {
        let (host, names) = (host.clone(), certificate.names().join(", "));
        return Err(TlsError::LacksHost { file, subject, host, names });
    }
    Ok(certificate)
}

/// Whether the first certificate of a file is signed by this authority (PEM) and in its time.
///
/// # Errors
/// The file cannot be read.
pub fn is_signed_by(file: &Path, authority: &str, now: SystemTime) -> Result<bool, TlsError> {
    let chain = pem::certificates(file)?;
    let der = pem::first_certificate(authority.as_bytes(), file)?;
    let mut roots = RootCertStore::empty();
    let added = roots.add(der);
    let certificate = identity::parse(file, &chain[0])?;
    // A moment of its own life: the question is only who signed it.
    let then = now.clamp(certificate.not_before, certificate.not_after.max(certificate.not_before));
    Ok(added.is_ok() && verify(&chain, roots, Usage::Client, then).is_ok())
}

fn verify(
    chain: &[CertificateDer<'static>],
    roots: RootCertStore,
    usage: Usage,
    now: SystemTime,
) -> Result<(), String> {
    let provider = provider::provider(&Suites::default());
    let at = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    let (leaf, issuers) = chain.split_first().ok_or("no certificate")?;
    if usage != Usage::Client {
        let parsed = ParsedCertificate::try_from(leaf).map_err(|error| error.to_string())?;
        let algorithms = provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, issuers, at, algorithms)
            .map_err(|error| error.to_string())?;
    }
    if usage != Usage::Server {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(std::sync::Arc::new(roots), provider)
                .build()
                .map_err(|error| error.to_string())?;
        let verified = verifier.verify_client_cert(leaf, issuers, at);
        verified.map(drop).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Whether both files can be read and belong together.
#[must_use]
pub fn is_pair(files: &CertificateFiles) -> bool {
    Identity::load(files, &provider::provider(&Suites::default())).is_ok()
}
