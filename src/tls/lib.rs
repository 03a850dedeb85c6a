//! TLS for nodes and agents: certificates from files that are read again when they change, whom to let in, and a small
//! certificate authority for the manager. Every listener and dialer of the project gets its TLS here, and never falls back
//! to plain text. The cryptography is aws-lc-rs behind rustls ([`provider`]); see docs/decisions/0010.

pub mod authority;
mod certificate;
mod check;
mod client;
mod error;
mod identity;
mod io;
mod peers;
mod pem;
pub mod provider;
mod refusals;
mod reload;
mod revoked;
mod role;
mod roots;
pub mod self_signed;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

pub use self::{
    certificate::{Certificate, shown as shown_time},
    check::{Usage, check, is_pair, is_signed_by},
    client::ClientTls,
    error::TlsError,
    identity::Identity,
    io::TlsIo,
    refusals::Refusals,
    role::{HOST_URN, ROLE_URN, Role},
    server::{HANDSHAKE_LIMIT, HandshakeError, ServerTls, admit},
    settings::{
        Allowed, CertificateFiles, ClientSettings, Clients, Roots, ServerSettings, Suites, Version,
    },
};
