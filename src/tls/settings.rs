//! What a listener or a dialer is to do, before any file is read.

use std::path::PathBuf;

use rustls::CipherSuite;

use crate::error::TlsError;

/// A certificate (with its chain) and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, its issuers after it.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Which of the certificates that are signed by a trusted authority are let in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Allowed {
    /// All.
    #[default]
    Any,
    /// Those whose subject has one of these common names, to the letter.
    CommonNames(Vec<String>),
    /// Those that are valid for one of these hosts or IP addresses.
    Hosts(Vec<String>),
}

impl Allowed {
    /// From etcd's two lists.
    ///
    /// # Errors
    /// Both are given; in etcd's words.
    pub fn from_lists(names: &[String], hosts: &[String]) -> Result<Self, TlsError> {
        match (names.is_empty(), hosts.is_empty()) {
            (true, true) => Ok(Self::Any),
            (false, true) => Ok(Self::CommonNames(names.to_vec())),
            (true, false) => Ok(Self::Hosts(hosts.to_vec())),
            (false, false) => Err(TlsError::Settings(format!(
                "AllowedCNs and AllowedHostnames are mutually exclusive (cns={names:?}, hostnames={hosts:?})"
            ))),
        }
    }
}

/// What a listener wants of those who connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clients {
    /// No certificate.
    Anonymous,
    /// A certificate.
    Certified {
        /// Bundle of the authorities trusted, PEM.
        authorities: PathBuf,
        /// Which of the certificates.
        allowed: Allowed,
        /// Revoked certificates; looked at by serial number, as etcd does.
        revoked: Option<PathBuf>,
        /// Whether the certificate's IP addresses and hosts (if it has any) must be where the connection comes from. etcd
        /// wants it of peers, not of clients.
        from_its_host: bool,
    },
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// What it shows.
    pub identity: CertificateFiles,
    /// Whom it lets in.
    pub clients: Clients,
    /// Suites for TLS 1.2.
    pub suites: Suites,
    /// Oldest version.
    pub min: Version,
    /// Newest version; none is the newest there is.
    pub max: Option<Version>,
}

/// Whom a dialer trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// The authorities of a bundle, PEM.
    File(PathBuf),
    /// Those of this machine.
    System,
    /// Anyone: self-signed certificates among members, as etcd's `--peer-auto-tls` does. Keeps listeners out, not
    /// men in the middle.
    Anyone,
}

/// A dialer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// What it shows if it is asked; none is nothing.
    pub identity: Option<CertificateFiles>,
    /// Whom it trusts.
    pub roots: Roots,
    /// Which of the certificates.
    pub allowed: Allowed,
    /// Protocols to offer (ALPN), in order of preference; none is no offer.
    pub protocols: Vec<String>,
    /// Suites for TLS 1.2.
    pub suites: Suites,
    /// Oldest version.
    pub min: Version,
    /// Newest version; none is the newest there is.
    pub max: Option<Version>,
}

impl ClientSettings {
    /// Shows `identity` and trusts `roots`; all else is left to defaults.
    #[must_use]
    pub fn new(identity: Option<CertificateFiles>, roots: Roots) -> Self {
        Self {
            identity,
            roots,
            allowed: Allowed::Any,
            protocols: Vec::new(),
            suites: Suites::default(),
            min: Version::Tls12,
            max: None,
        }
    }
}

impl ServerSettings {
    /// Mutual TLS: shows `identity`, lets in what `authorities` have signed.
    #[must_use]
    pub fn mutual(identity: CertificateFiles, authorities: PathBuf) -> Self {
        let clients = Clients::Certified {
            authorities,
            allowed: Allowed::Any,
            revoked: None,
            from_its_host: false,
        };
        Self { identity, clients, suites: Suites::default(), min: Version::Tls12, max: None }
    }
}

/// Suites of TLS 1.2 that were asked for; made by [`Suites::parse`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suites {
    /// In order of preference; empty is all.
    pub(crate) chosen: Vec<CipherSuite>,
    /// Asked for and not offered.
    pub(crate) left_out: Vec<String>,
}

impl Suites {
    /// Names that were asked for and are not offered.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// 1.2
    #[default]
    Tls12,
    /// 1.3
    Tls13,
}

impl Version {
    /// Reads `TLS1.2` or `TLS1.3`; an empty text is none.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn parse(text: &str) -> Result<Option<Self>, TlsError> {
        match text {
            "" => Ok(None),
            "TLS1.2" => Ok(Some(Self::Tls12)),
            "TLS1.3" => Ok(Some(Self::Tls13)),
            _ => Err(TlsError::Settings(format!(
                "unexpected TLS version {text:?} (must be one of: TLS1.2, TLS1.3)"
            ))),
        }
    }
}
