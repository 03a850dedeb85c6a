//! Every certificate of the folder for `pki show`: what it says, how long it lives, and what is wrong with it.

use std::path::Path;

use serde::Serialize;
use tls::{Certificate, CertificateFiles, Usage, authority};

use super::{
    AUTHORITY, BUNDLE, NEXT, PkiError, Store,
    issue::{pair, purpose_of, stem_of},
};

/// The whole folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Version of this document.
    pub schema: u32,
    /// `none`, `trust` (both authorities are trusted, the old one signs) or `reissue` (the new one signs); absent where
    /// there is no authority, as on a host.
    pub rotation: Option<&'static str>,
    /// One per certificate.
    pub certificates: Vec<ShownCertificate>,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownCertificate {
    /// File, relative to the folder.
    pub file: String,
    /// Its subject; empty if the file cannot be read.
    pub subject: String,
    /// `authority`, `agent`, `operator`, `reader`, `server`, `peer` or `client`.
    pub role: String,
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// RFC 3339.
    pub expires: Option<String>,
    /// Whole days; negative once it has expired.
    pub days_left: Option<i64>,
    /// `good`, `expiring`, `expired` or `unusable`.
    pub state: &'static str,
    /// What is wrong, and what to do.
    pub problem: Option<String>,
}

impl Store {
    /// Looks at all of them.
    ///
    /// # Errors
    /// The folder cannot be read. A file that cannot is part of the answer.
    pub fn show(&self) -> Result<Shown, PkiError> {
        let has_authority = self.exists(&self.dir.join(AUTHORITY))?;
        let rotation = if has_authority { Some(self.standing()?.word()) } else { None };
        let mut certificates = Vec::new();
        for folder in [AUTHORITY, NEXT] {
            let file = self.dir.join(folder).join(BUNDLE);
            if self.exists(&file)? {
                certificates.extend(self.bundle(&file));
            }
        }
        for folder in self.carried()? {
            for file in self.leaves(&folder)? {
                certificates.push(self.leaf_shown(&folder, &file));
            }
        }
        Ok(Shown { schema: 1, rotation, certificates })
    }

    fn bundle(&self, file: &Path) -> Vec<ShownCertificate> {
        match authority::inspect(file) {
            Ok(all) => all.iter().map(|it| self.described(file, it, "authority", None)).collect(),
            Err(error) => vec![self.unreadable(file, "authority", &error.to_string())],
        }
    }

    fn leaf_shown(&self, folder: &Path, file: &Path) -> ShownCertificate {
        let stem = stem_of(file);
        let certificate = match authority::inspect(file) {
            Ok(mut all) => all.swap_remove(0),
            Err(error) => return self.unreadable(file, &stem, &error.to_string()),
        };
        let usage = match purpose_of(&certificate, &stem) {
            authority::Purpose::Client | authority::Purpose::Person(_) => Usage::Client,
            _ => Usage::Both,
        };
        let (certificate_file, key) = pair(folder, &stem);
        let files = CertificateFiles { certificate: certificate_file, key };
        let checked = tls::check(&files, &folder.join(BUNDLE), usage, &[], self.now);
        let problem = checked.err().map(|error| error.to_string());
        let role = certificate.role().map_or(stem, |role| role.to_string());
        self.described(file, &certificate, &role, problem)
    }

    fn described(
        &self,
        file: &Path,
        certificate: &Certificate,
        role: &str,
        problem: Option<String>,
    ) -> ShownCertificate {
        let state = if self.now > certificate.not_after {
            "expired"
        } else if problem.is_some() {
            "unusable"
        } else if certificate.is_near_expiry(self.now) {
            "expiring"
        } else {
            "good"
        };
        ShownCertificate {
            file: self.relative(file),
            subject: certificate.subject.clone(),
            role: role.to_owned(),
            names: certificate.names(),
            expires: Some(certificate.expires()),
            days_left: Some(certificate.days_left(self.now)),
            state,
            problem,
        }
    }

    fn unreadable(&self, file: &Path, role: &str, problem: &str) -> ShownCertificate {
        ShownCertificate {
            file: self.relative(file),
            subject: String::new(),
            role: role.to_owned(),
            names: Vec::new(),
            expires: None,
            days_left: None,
            state: "unusable",
            problem: Some(problem.to_owned()),
        }
    }

    fn relative(&self, file: &Path) -> String {
        file.strip_prefix(&self.dir).unwrap_or(file).display().to_string()
    }
}
