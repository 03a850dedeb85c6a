//! Certificates for tests, from the manager's own authority.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Result;
use base::{Clock, SystemClock};
use tempfile::TempDir;
use tls::{
    CertificateFiles,
    authority::{Authority, Purpose, Request},
};

/// An authority and a folder of what it issued.
pub(super) struct Pki {
    folder: TempDir,
    pub(super) authority: Authority,
}

/// Writes a file as tools do: a new one, renamed over the old.
#[expect(clippy::disallowed_methods, reason = "a test's file need not be durable")]
pub(super) fn put(file: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let draft = file.with_extension("new");
    fs::write(&draft, text)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o600))?;
    Ok(fs::rename(&draft, file)?)
}

impl Pki {
    pub(super) fn new(name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("etcd-it-pki-").tempdir()?;
        let pki = Self { folder, authority: Authority::create(name, SystemClock.wall())? };
        put(&pki.bundle(), &pki.authority.bundle())?;
        Ok(pki)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn bundle(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// For clients: no names but the common one.
    pub(super) fn client(&self, name: &str) -> Result<CertificateFiles> {
        self.issue(name, (name, &[]), Purpose::Client, SystemClock.wall())
    }

    /// For members on loopback.
    pub(super) fn member(&self, name: &str) -> Result<CertificateFiles> {
        self.issue(name, (name, &["127.0.0.1", "localhost"]), Purpose::Peer, SystemClock.wall())
    }

    /// Signed a day ago for an hour.
    pub(super) fn expired(&self, name: &str) -> Result<CertificateFiles> {
        let yesterday = SystemClock.wall() - Duration::from_secs(24 * 3600);
        self.issue(name, (name, &[]), Purpose::Client, yesterday)
    }

    /// Issues `file`.pem and `file`-key.pem.
    pub(super) fn issue(
        &self,
        file: &str,
        (common_name, hosts): (&str, &[&str]),
        purpose: Purpose,
        now: SystemTime,
    ) -> Result<CertificateFiles> {
        let request = Request {
            common_name: common_name.to_owned(),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            purpose,
            life: Duration::from_secs(3600),
        };
        let issued = self.authority.issue(&request, now)?;
        let files = CertificateFiles {
            certificate: self.path(&format!("{file}.pem")),
            key: self.path(&format!("{file}-key.pem")),
        };
        put(&files.key, &issued.key)?;
        put(&files.certificate, &issued.certificate)?;
        Ok(files)
    }

    /// Flags of mutual TLS for one side; `prefix` is empty or `peer-`.
    pub(super) fn mutual(
        &self,
        prefix: &str,
        files: &CertificateFiles,
    ) -> Vec<(&'static str, String)> {
        let names = match prefix {
            "peer-" => [
                "--peer-cert-file",
                "--peer-key-file",
                "--peer-trusted-ca-file",
                "--peer-client-cert-auth",
            ],
            _ => ["--cert-file", "--key-file", "--trusted-ca-file", "--client-cert-auth"],
        };
        let shown = |path: &Path| path.display().to_string();
        let values = [
            shown(&files.certificate),
            shown(&files.key),
            shown(&self.bundle()),
            "true".to_owned(),
        ];
        names.into_iter().zip(values).collect()
    }
}
