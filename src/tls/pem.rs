//! Reads PEM files.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use crate::error::TlsError;

/// A whole file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|source| TlsError::Unreadable { file: file.to_owned(), source })
}

/// All certificates of a file, at least one.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if all.is_empty() => Err(TlsError::NoCertificate { file: file.to_owned() }),
        Ok(all) => Ok(all),
        Err(error) => {
            Err(TlsError::BadCertificate { file: file.to_owned(), reason: error.to_string() })
        }
    }
}

/// The first private key of a file.
pub(crate) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(file)?;
    // An old-style encrypted key has a label like that of a plain one.
    let encrypted = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| text.windows(mark.len()).any(|window| window == mark.as_bytes()));
    if encrypted {
        return Err(TlsError::EncryptedKey { file: file.to_owned() });
    }
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoKey { file: file.to_owned() }),
        Err(error) => Err(TlsError::BadKey { file: file.to_owned(), reason: error.to_string() }),
    }
}

/// A revocation list's DER, whether the file is PEM or DER itself.
pub(crate) fn revocations(file: &Path) -> Result<Vec<u8>, TlsError> {
    let text = read(file)?;
    // No PEM: it must be the list itself.
    Ok(CertificateRevocationListDer::from_pem_slice(&text).map_or(text, |list| list.to_vec()))
}

/// Permission bits of a file.
pub(crate) fn mode(file: &Path) -> Result<u32, TlsError> {
    use std::os::unix::fs::PermissionsExt;
    let found = fs::metadata(file)
        .map_err(|source| TlsError::Unreadable { file: file.to_owned(), source })?;
    Ok(found.permissions().mode() & 0o777)
}

/// The first certificate of a text that was read from `file`.
pub(crate) fn first_certificate(
    text: &[u8],
    file: &Path,
) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_slice(text).map_err(|error| TlsError::BadCertificate {
        file: file.to_owned(),
        reason: error.to_string(),
    })
}

/// A certificate as PEM.
pub(crate) fn certificate_text(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
