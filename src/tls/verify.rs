//! Verification of the other end: rustls's own, and then etcd's lists of allowed names.

use std::{fmt, io, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::{certificate::Certificate, error::TlsError, settings::Allowed};

/// In etcd's words.
#[derive(Debug, thiserror::Error)]
#[error("client certificate authentication failed")]
struct NotAllowed;

impl Allowed {
    fn check(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        let allowed = match self {
            Self::Any => true,
            Self::CommonNames(names) => {
                let certificate = Certificate::parse(leaf);
                certificate.is_ok_and(|certificate| names.contains(&certificate.common_name))
            }
            Self::Hosts(hosts) => {
                let parsed = ParsedCertificate::try_from(leaf)?;
                hosts.iter().any(|host| {
                    ServerName::try_from(host.as_str())
                        .is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
                })
            }
        };
        if allowed { Ok(()) } else { Err(other(NotAllowed)) }
    }
}

/// A failed handshake with its reason in words: rustls shows those of ours as they are in memory.
pub(crate) fn in_words(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(CertificateError::Other(reason))) = inner else {
        return error;
    };
    io::Error::new(error.kind(), reason.0.to_string())
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

/// Lets in who has a certificate of the roots that is allowed.
pub(crate) fn clients(
    roots: RootCertStore,
    allowed: Allowed,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| TlsError::Settings(error.to_string()))?;
    Ok(Arc::new(Clients { inner, allowed }))
}

struct Clients {
    inner: Arc<dyn ClientCertVerifier>,
    allowed: Allowed,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(leaf, intermediates, now)?;
        self.allowed.check(leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Accepts a listener that has a certificate of the roots for the dialled name, and that is allowed. Without roots
/// every certificate is accepted; that its holder has its key is verified all the same.
pub(crate) fn servers(
    roots: Option<RootCertStore>,
    allowed: Allowed,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let inner = roots
        .map(|roots| {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|error| TlsError::Settings(error.to_string()))
        })
        .transpose()?;
    Ok(Arc::new(Servers { inner, allowed, provider }))
}

#[derive(Debug)]
struct Servers {
    inner: Option<Arc<WebPkiServerVerifier>>,
    allowed: Allowed,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(inner) = &self.inner {
            inner.verify_server_cert(leaf, intermediates, name, stapled, now)?;
        }
        self.allowed.check(leaf)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
