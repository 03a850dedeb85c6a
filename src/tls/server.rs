//! The listening end: a handshake with the files as they are now, and then what etcd asks of the other end's certificate.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    pki_types::CertificateDer,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::SingleCertAndKey,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::{
    certificate::Certificate,
    error::TlsError,
    identity::Identity,
    io::TlsIo,
    peers, provider,
    reload::Reloaded,
    revoked::Revoked,
    roots,
    settings::{Clients, ServerSettings},
    verify,
};

/// How long a handshake may take, checks of the certificate included.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Why a connection was not let in.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The handshake failed; the text is the library's.
    #[error("{0}")]
    Handshake(std::io::Error),
    /// It took too long.
    #[error("TLS handshake timeout ({HANDSHAKE_LIMIT:?})")]
    Timeout,
    /// Its serial number is on the revocation list; etcd's words.
    #[error("transport: certificate serial {0} revoked")]
    Revoked(String),
    /// It is not of the host that it comes from; Go's words.
    #[error("{0}")]
    WrongHost(String),
    /// It cannot be understood.
    #[error("the certificate cannot be read: {0}")]
    BadCertificate(String),
}

/// Makes an accepted connection ready to be read: by a handshake where there is TLS, as it is where there is none.
///
/// # Errors
/// The other end is not let in.
pub async fn admit(
    tls: Option<&ServerTls>,
    io: TcpStream,
    from: SocketAddr,
) -> Result<TlsIo, HandshakeError> {
    if let Err(error) = io.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    match tls {
        Some(tls) => tls.accept(io, from).await,
        None => Ok(TlsIo::Plain(io)),
    }
}

/// TLS of one listener. Cheap to clone; all clones see new files.
#[derive(Debug, Clone)]
pub struct ServerTls {
    config: Arc<Reloaded<Arc<ServerConfig>>>,
    revoked: Option<Arc<Reloaded<Revoked>>>,
    from_its_host: bool,
}

impl ServerTls {
    /// Reads all files.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn new(settings: ServerSettings) -> Result<Self, TlsError> {
        let mut files = vec![settings.identity.certificate.clone(), settings.identity.key.clone()];
        let mut revoked = None;
        let mut from_its_host = false;
        if let Clients::Certified { authorities, revoked: list, from_its_host: host, .. } =
            &settings.clients
        {
            files.push(authorities.clone());
            revoked = list.clone().map(revocations).transpose()?;
            from_its_host = *host;
        }
        let config = Reloaded::new(files, move || server_config(&settings))?;
        Ok(Self { config: Arc::new(config), revoked, from_its_host })
    }

    /// Does the handshake of an accepted connection.
    ///
    /// # Errors
    /// The other end is not let in.
    pub async fn accept(&self, io: TcpStream, from: SocketAddr) -> Result<TlsIo, HandshakeError> {
        let accept = async {
            let acceptor = TlsAcceptor::from(Arc::clone(&*self.config.current()));
            let io = acceptor.accept(io).await;
            let io = io.map_err(|error| HandshakeError::Handshake(verify::in_words(error)))?;
            let io = TlsIo::Tls(Box::new(io.into()));
            self.check(io.peer_certificates(), from).await?;
            Ok(io)
        };
        match tokio::time::timeout(HANDSHAKE_LIMIT, accept).await {
            Ok(accepted) => accepted,
            Err(_elapsed) => Err(HandshakeError::Timeout),
        }
    }

    /// The configuration of the files as they are now, for listeners that do the handshake themselves. Then what is
    /// looked at after it (revoked certificates, the host) is not.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&*self.config.current())
    }

    async fn check(
        &self,
        chain: &[CertificateDer<'_>],
        from: SocketAddr,
    ) -> Result<(), HandshakeError> {
        let Some(leaf) = chain.first() else { return Ok(()) };
        let parse = |der: &CertificateDer<'_>| {
            Certificate::parse(der).map_err(HandshakeError::BadCertificate)
        };
        if self.from_its_host {
            let checked = peers::check(&parse(leaf)?, from.ip()).await;
            checked.map_err(|error| HandshakeError::WrongHost(error.to_string()))?;
        }
        let Some(revoked) = &self.revoked else { return Ok(()) };
        let revoked = revoked.current();
        for der in chain {
            let serial = parse(der)?.serial;
            if revoked.contains(&serial) {
                let hex =
                    serial.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
                return Err(HandshakeError::Revoked(hex));
            }
        }
        Ok(())
    }
}

fn revocations(file: PathBuf) -> Result<Arc<Reloaded<Revoked>>, TlsError> {
    Ok(Arc::new(Reloaded::new(vec![file.clone()], move || Revoked::load(&file))?))
}

fn server_config(settings: &ServerSettings) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider::provider(&settings.suites);
    let identity = Identity::load(&settings.identity, &provider)?;
    let verifier = match &settings.clients {
        Clients::Anonymous => WebPkiClientVerifier::no_client_auth(),
        Clients::Certified { authorities, allowed, .. } => {
            verify::clients(roots::load(authorities)?, allowed.clone(), provider.clone())?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&provider::versions(settings.min, settings.max)?)
        .map_err(|error| TlsError::Settings(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session would not be verified again: not against a new bundle, nor against the clock.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
