//! A certificate with its key, loaded and checked.

use std::{path::Path, sync::Arc, time::SystemTime};

use rustls::{InconsistentKeys, crypto::CryptoProvider, sign::CertifiedKey};

use crate::{
    certificate::{Certificate, shown},
    error::TlsError,
    pem,
    settings::CertificateFiles,
};

/// What one end shows to the other.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    files: CertificateFiles,
    certificate: Certificate,
}

impl Identity {
    /// Loads a pair of files.
    ///
    /// # Errors
    /// They cannot be read, or are no pair. What can be used in spite of a fault is told by [`Identity::faults`].
    pub fn load(files: &CertificateFiles, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let chain = pem::certificates(&files.certificate)?;
        let certificate = parse(&files.certificate, &chain[0])?;
        let key = pem::key(&files.key)?;
        let signer = provider.key_provider.load_private_key(key).map_err(|error| {
            TlsError::BadKey { file: files.key.clone(), reason: error.to_string() }
        })?;
        let key = CertifiedKey::new(chain, signer);
        match key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(_) => {
                return Err(TlsError::KeyMismatch {
                    certificate: files.certificate.clone(),
                    key: files.key.clone(),
                });
            }
        }
        Ok(Self { key: Arc::new(key), files: files.clone(), certificate })
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What is wrong with it now, though it can be shown: its time, its names, its key's permissions.
    #[must_use]
    pub fn faults(&self, now: SystemTime) -> Vec<TlsError> {
        let (file, certificate) = (self.files.certificate.clone(), &self.certificate);
        let subject = certificate.subject.clone();
        let mut faults = Vec::new();
        if now > certificate.not_after {
            let at = shown(certificate.not_after);
            faults.push(TlsError::Expired { file: file.clone(), subject: subject.clone(), at });
        }
        if now < certificate.not_before {
            let from = shown(certificate.not_before);
            let (file, subject) = (file.clone(), subject.clone());
            faults.push(TlsError::NotYetValid { file, subject, from });
        }
        if !certificate.names_a_host() {
            faults.push(TlsError::NoNames { file, subject });
        }
        match pem::mode(&self.files.key) {
            Ok(mode) if mode & 0o077 != 0 => {
                faults.push(TlsError::OpenKey { file: self.files.key.clone(), mode });
            }
            Ok(_) => {}
            Err(error) => faults.push(error),
        }
        faults
    }
}

/// Reads a certificate of a file.
pub(crate) fn parse(file: &Path, der: &[u8]) -> Result<Certificate, TlsError> {
    Certificate::parse(der)
        .map_err(|reason| TlsError::BadCertificate { file: file.to_owned(), reason })
}
