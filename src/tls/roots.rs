//! Whom to trust: a bundle of certificate authorities.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;

use crate::{error::TlsError, pem, settings::Roots};

/// Where distributions keep the authorities that they trust (the places that Go looks at).
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Every certificate of a bundle.
pub(crate) fn load(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for der in pem::certificates(file)? {
        roots.add(der).map_err(|error| TlsError::BadCertificate {
            file: file.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

/// The file that says whom to trust; none if anyone is.
pub(crate) fn file_of(roots: &Roots) -> Result<Option<PathBuf>, TlsError> {
    match roots {
        Roots::File(file) => Ok(Some(file.clone())),
        Roots::Anyone => Ok(None),
        Roots::System => {
            let found = SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.exists());
            found.map(Some).ok_or(TlsError::NoSystemRoots)
        }
    }
}

/// The machine's bundle: a certificate that cannot be read is left out, as by Go.
pub(crate) fn load_system(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(pem::certificates(file)?);
    if added == 0 { Err(TlsError::NoSystemRoots) } else { Ok(roots) }
}
