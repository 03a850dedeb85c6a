//! What can be wrong with keys, certificates and settings: which file, what, and what to do.

use std::{io, path::PathBuf};

/// Something that keeps TLS from being served as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}: {}", file.display(), remedy(source))]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No certificate in the file.
    #[error("{} holds no certificate: it must be PEM, with a block that begins with -----BEGIN CERTIFICATE-----", file.display())]
    NoCertificate {
        /// Which.
        file: PathBuf,
    },
    /// A certificate that cannot be understood.
    #[error("{} holds a certificate that cannot be read ({reason}): have it issued again", file.display())]
    BadCertificate {
        /// Which.
        file: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// No private key in the file.
    #[error("{} holds no private key: it must be PEM, PKCS#8, PKCS#1 or SEC1", file.display())]
    NoKey {
        /// Which.
        file: PathBuf,
    },
    /// The key needs a passphrase.
    #[error("the private key in {} is encrypted: store it decrypted, with mode 0600", file.display())]
    EncryptedKey {
        /// Which.
        file: PathBuf,
    },
    /// A key that cannot be used.
    #[error("{} holds a private key that cannot be used ({reason}): use RSA of 2048 bits and more, ECDSA or Ed25519", file.display())]
    BadKey {
        /// Which.
        file: PathBuf,
        /// What the library said.
        reason: String,
    },
    /// Key and certificate are not of one pair.
    #[error("the private key in {} does not belong to the certificate in {}: put the two files of one pair in place", key.display(), certificate.display())]
    KeyMismatch {
        /// Of the certificate.
        certificate: PathBuf,
        /// Of the key.
        key: PathBuf,
    },
    /// Its time is over.
    #[error("the certificate in {} ({subject}) expired {at}: have a new one issued", file.display())]
    Expired {
        /// Which.
        file: PathBuf,
        /// Its subject.
        subject: String,
        /// When, RFC 3339.
        at: String,
    },
    /// Its time has not come.
    #[error("the certificate in {} ({subject}) is not valid before {from}: check the clock of this machine, or wait", file.display())]
    NotYetValid {
        /// Which.
        file: PathBuf,
        /// Its subject.
        subject: String,
        /// From when on, RFC 3339.
        from: String,
    },
    /// Nothing can be dialled by that certificate.
    #[error("the certificate in {} ({subject}) names no host: have it issued with subject alternative names (the CN is not looked at)", file.display())]
    NoNames {
        /// Which.
        file: PathBuf,
        /// Its subject.
        subject: String,
    },
    /// No authority of the bundle signed it, or not for this use.
    #[error("the certificate in {} is not good by the authorities in {} ({reason}): have it issued by one of them, or put the right bundle in place", file.display(), authorities.display())]
    Untrusted {
        /// Which.
        file: PathBuf,
        /// The bundle.
        authorities: PathBuf,
        /// What the verifier said.
        reason: String,
    },
    /// It is not valid for a host that it is shown as.
    #[error("the certificate in {} ({subject}) is not valid for {host}, only for {names}: have it issued with that name", file.display())]
    LacksHost {
        /// Which.
        file: PathBuf,
        /// Its subject.
        subject: String,
        /// The host.
        host: String,
        /// What it is valid for.
        names: String,
    },
    /// Others than the owner can read the key.
    #[error("the private key in {} has mode {mode:03o}, which lets others read it: chmod 600 it", file.display())]
    OpenKey {
        /// Which.
        file: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A revocation list that cannot be understood.
    #[error("{} is no certificate revocation list ({reason}): give one in PEM or DER", file.display())]
    BadRevocations {
        /// Which.
        file: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// Nobody is trusted.
    #[error("no certificate authority of this machine was found: name the one to trust")]
    NoSystemRoots,
    /// Settings that cannot go together.
    #[error("{0}")]
    Settings(String),
    /// The library made no certificate.
    #[error("make a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("cannot write {}: {source}", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => {
            "make it readable for the user that this program runs as"
        }
        _ => "see to the file system",
    }
}
