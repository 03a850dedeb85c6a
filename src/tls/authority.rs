//! A certificate authority in a folder, for the manager: `ca.pem` is the bundle that all machines trust (the authority in
//! use first, older ones after it until a rotation is finished), `ca-key.pem` signs. The key need not be on any machine
//! that runs a node. See docs/decisions/0010 for where roles are put.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use disk::Disk;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use crate::{
    certificate::Certificate,
    error::TlsError,
    identity, pem,
    role::{HOST_URN, ROLE_URN, Role},
};

/// The bundle in an authority's folder.
pub const BUNDLE_FILE: &str = "ca.pem";
/// The signing key in an authority's folder.
pub const KEY_FILE: &str = "ca-key.pem";
/// Certificates are valid from so long before they were made, for machines whose clocks are behind.
pub const BACKDATED: Duration = Duration::from_secs(60 * 60);
/// How long an authority lives: ten years.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How long other certificates live unless something else is asked for: one year.
pub const LEAF_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// An agent of this host (a `host` of the spec): listens and dials.
    Agent(String),
    /// A node among its peers: listens and dials.
    Peer,
    /// A node towards its clients.
    Server,
    /// A client of nodes; with auth on, its common name is the etcd user.
    Client,
    /// Somebody who talks to agents.
    Person(Role),
}

/// A certificate to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Common name.
    pub common_name: String,
    /// Host names and IP addresses to be valid for.
    pub hosts: Vec<String>,
    /// What for.
    pub purpose: Purpose,
    /// How long from now.
    pub life: Duration,
}

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key, PKCS#8.
    pub key: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Issued {
    /// Writes both, durably, for their owner alone. The certificate is written last: a reader that finds it finds its
    /// key.
    ///
    /// # Errors
    /// [`TlsError::Write`].
    pub fn save(&self, disk: &dyn Disk, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        write(disk, key, &self.key)?;
        write(disk, certificate, &self.certificate)
    }
}

/// An authority that signs.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    key: String,
    /// PEM of the authorities before it that are still trusted.
    older: Vec<String>,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// [`TlsError::Issue`].
    pub fn create(name: &str, now: SystemTime) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = params(name, now, AUTHORITY_LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, key: key.serialize_pem(), older: Vec::new() })
    }

    /// Reads one from its folder.
    ///
    /// # Errors
    /// A file is missing or cannot be used, or key and certificate are no pair.
    pub fn load(folder: &Path) -> Result<Self, TlsError> {
        let (bundle, key_file) = (folder.join(BUNDLE_FILE), folder.join(KEY_FILE));
        let mut all =
            pem::certificates(&bundle)?.into_iter().map(|der| pem::certificate_text(&der));
        let certificate =
            all.next().ok_or_else(|| TlsError::NoCertificate { file: bundle.clone() })?;
        let older = all.collect();
        // Read as a key once, for the precise error.
        pem::key(&key_file)?;
        let key = String::from_utf8_lossy(&pem::read(&key_file)?).into_owned();
        let pair = KeyPair::from_pem(&key).map_err(|error| TlsError::BadKey {
            file: key_file.clone(),
            reason: error.to_string(),
        })?;
        let authority = Self { certificate, key, older };
        if !authority.is_of(&pair, &bundle)? {
            return Err(TlsError::KeyMismatch { certificate: bundle, key: key_file });
        }
        Ok(authority)
    }

    fn is_of(&self, pair: &KeyPair, bundle: &Path) -> Result<bool, TlsError> {
        use x509_parser::prelude::FromDer;
        let der = pem::first_certificate(self.certificate.as_bytes(), bundle)?;
        let (_, parsed) =
            x509_parser::certificate::X509Certificate::from_der(&der).map_err(|error| {
                TlsError::BadCertificate { file: bundle.to_owned(), reason: error.to_string() }
            })?;
        Ok(parsed.public_key().subject_public_key.data.as_ref() == pair.public_key_raw())
    }

    /// Writes key and bundle, for their owner alone.
    ///
    /// # Errors
    /// [`TlsError::Write`].
    pub fn save(&self, disk: &dyn Disk, folder: &Path) -> Result<(), TlsError> {
        let made = disk.create_dir_all(folder);
        made.map_err(|source| TlsError::Write { file: folder.to_owned(), source })?;
        write(disk, &folder.join(KEY_FILE), &self.key)?;
        write(disk, &folder.join(BUNDLE_FILE), &self.bundle())
    }

    /// What all machines are to trust, PEM: this authority first, and those before it.
    #[must_use]
    pub fn bundle(&self) -> String {
        std::iter::once(&self.certificate).chain(&self.older).map(String::as_str).collect()
    }

    /// Its own certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// How many authorities before this one are still trusted.
    #[must_use]
    pub fn older(&self) -> usize {
        self.older.len()
    }

    /// A new authority that signs from now on, while this one stays trusted: first step of a rotation. The bundle goes
    /// to all machines before the first certificate that the new one signs.
    ///
    /// # Errors
    /// [`TlsError::Issue`].
    pub fn succeed(&self, name: &str, now: SystemTime) -> Result<Self, TlsError> {
        let mut next = Self::create(name, now)?;
        next.older.push(self.certificate.clone());
        next.older.extend(self.older.iter().cloned());
        Ok(next)
    }

    /// Trusts none of those before: last step of a rotation, when no certificate of theirs is in use.
    pub fn drop_older(&mut self) {
        self.older.clear();
    }

    /// Makes a certificate with a new key.
    ///
    /// # Errors
    /// [`TlsError::Issue`], for example for a host that is no name.
    pub fn issue(&self, request: &Request, now: SystemTime) -> Result<Issued, TlsError> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, KeyPair::from_pem(&self.key)?)?;
        let key = KeyPair::generate()?;
        let mut params = params(&request.common_name, now, request.life)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages(&request.purpose);
        for host in &request.hosts {
            params.subject_alt_names.push(match host.parse::<IpAddr>() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName(host.as_str().try_into()?),
            });
        }
        for uri in uris(&request.purpose) {
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into()?));
        }
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// The certificates of a PEM file, for reports: subject, names, times.
///
/// # Errors
/// It cannot be read, or one of them cannot.
pub fn inspect(file: &Path) -> Result<Vec<Certificate>, TlsError> {
    let all = pem::certificates(file)?;
    all.iter().map(|der| identity::parse(file, der)).collect()
}

fn usages(purpose: &Purpose) -> Vec<ExtendedKeyUsagePurpose> {
    match purpose {
        // etcd shows a server's certificate as its own client's, too.
        Purpose::Agent(_) | Purpose::Peer | Purpose::Server => {
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
        }
        Purpose::Client | Purpose::Person(_) => vec![ExtendedKeyUsagePurpose::ClientAuth],
    }
}

fn uris(purpose: &Purpose) -> Vec<String> {
    match purpose {
        Purpose::Agent(host) => {
            vec![format!("{ROLE_URN}{}", Role::Agent), format!("{HOST_URN}{host}")]
        }
        Purpose::Person(role) => vec![format!("{ROLE_URN}{role}")],
        Purpose::Peer | Purpose::Server | Purpose::Client => Vec::new(),
    }
}

/// What all certificates have in common.
pub(crate) fn params(
    common_name: &str,
    now: SystemTime,
    life: Duration,
) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = OffsetDateTime::from(now - BACKDATED);
    params.not_after = OffsetDateTime::from(now + life);
    Ok(params)
}

pub(crate) fn write(disk: &dyn Disk, file: &Path, text: &str) -> Result<(), TlsError> {
    disk::replace(disk, file, text.as_bytes())
        .map_err(|source| TlsError::Write { file: PathBuf::from(file), source })
}
