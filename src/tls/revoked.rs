//! Certificate revocation lists, read as etcd reads them: a certificate of the chain whose serial number is listed is
//! refused, whoever signed either.

use std::{collections::BTreeSet, path::Path};

use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use crate::{certificate::significant, error::TlsError, pem};

/// Serial numbers, big-endian without leading zeroes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Revoked(BTreeSet<Vec<u8>>);

impl Revoked {
    pub(crate) fn load(file: &Path) -> Result<Self, TlsError> {
        let der = pem::revocations(file)?;
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|error| {
            TlsError::BadRevocations { file: file.to_owned(), reason: error.to_string() }
        })?;
        Ok(Self(
            list.iter_revoked_certificates().map(|one| significant(one.raw_serial())).collect(),
        ))
    }

    pub(crate) fn contains(&self, serial: &[u8]) -> bool {
        self.0.contains(serial)
    }
}
