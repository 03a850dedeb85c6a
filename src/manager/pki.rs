//! A folder of certificates for a cluster: who signs, what each host and each person carries, and how the authority is
//! changed. The command line calls it; nothing here runs by itself. Layout and use: docs/pki.md

mod issue;
mod names;
pub(crate) mod preflight;
mod rotate;
mod show;
mod store;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, time::Duration};

use tls::TlsError;

pub use issue::{Deed, Done};
pub(crate) use names::bare;
pub use names::names_of_host;
pub use rotate::Phase;
pub use show::{Shown, ShownCertificate};
pub use store::Store;

/// Folder of the authority in use: its key never leaves the machine that signs.
pub(crate) const AUTHORITY: &str = "ca";
/// Folder of the authority that a rotation has begun to introduce.
const NEXT: &str = "next";
/// One folder per host, to be carried there.
pub(crate) const HOSTS: &str = "hosts";
/// One folder per person or program.
const PEOPLE: &str = "people";
/// What was in use before.
const ARCHIVE: &str = "archive";
/// Whom to trust, in each folder that is carried.
pub(crate) const BUNDLE: &str = "ca.pem";

/// Whose certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A machine of the spec: its agent, its nodes towards clients and peers, and the manager as their client.
    Host,
    /// Somebody who may change clusters.
    Operator,
    /// Somebody who may look at them.
    Reader,
    /// A client of etcd alone; its name is its etcd user where auth is on.
    Client,
}

/// What is to be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Host of the spec, or name of the person.
    pub name: String,
    /// Whose it is.
    pub holder: Holder,
    /// Names and addresses that a host's certificates must be valid for.
    pub hosts: Vec<String>,
    /// How long from now.
    pub life: Duration,
    /// Whether certificates that are there are replaced.
    pub renew: bool,
}

/// Why nothing, or not everything, was done.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// It would harm, or comes out of order; the text says what to do.
    #[error("{0}")]
    Refused(String),
    /// A file is not what it should be.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The folder cannot be read or written; see to the file system and run it again.
    #[error("{}: {source}", path.display())]
    Disk {
        /// What was to be read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
