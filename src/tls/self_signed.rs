//! `--auto-tls` and `--peer-auto-tls`: a certificate that signs itself, made once and found again at each start.

use std::{
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use disk::Disk;
use rcgen::{
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};

use crate::{
    authority::{self, Issued},
    error::TlsError,
    identity, pem,
    settings::CertificateFiles,
};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The pair of files in `folder`, made if they are not there or expired: `cert.pem` and `key.pem`, as etcd names them.
/// `hosts` are those of the listeners; `years` the value of `--self-signed-cert-validity`.
///
/// # Errors
/// The folder cannot be written, or what is there cannot be read.
pub fn ensure(
    disk: &dyn Disk,
    folder: &Path,
    hosts: &[String],
    years: u32,
    now: SystemTime,
) -> Result<CertificateFiles, TlsError> {
    let files =
        CertificateFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    if years == 0 {
        return Err(TlsError::Settings(
            "selfSignedCertValidity is invalid,it should be greater than 0".to_owned(),
        ));
    }
    let there = |file: &Path| {
        disk.exists(file).map_err(|source| TlsError::Unreadable { file: file.to_owned(), source })
    };
    if there(&files.certificate)? && there(&files.key)? {
        let found = pem::certificates(&files.certificate)?;
        let found = identity::parse(&files.certificate, &found[0])?;
        if now < found.not_after {
            return Ok(files);
        }
        tracing::warn!(file = %files.certificate.display(), "the generated certificate has expired; making another");
    }
    let issued = make(hosts, years, now)?;
    let made = disk.create_dir_all(folder);
    made.map_err(|source| TlsError::Write { file: folder.to_owned(), source })?;
    issued.save(disk, &files.certificate, &files.key)?;
    tracing::warn!(certificate = %files.certificate.display(), "automatically generated certificates");
    Ok(files)
}

fn make(hosts: &[String], years: u32, now: SystemTime) -> Result<Issued, TlsError> {
    let key = KeyPair::generate()?;
    let mut params = authority::params("", now, YEAR * years)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "etcd");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for host in hosts {
        params.subject_alt_names.push(match host.parse::<IpAddr>() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName(host.as_str().try_into()?),
        });
    }
    let certificate = params.self_signed(&key)?;
    Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
}
