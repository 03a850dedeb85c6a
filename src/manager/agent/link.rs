//! The one place where connections between agents, and from the command line to an agent, are made: by mutual TLS
//! where there are certificates, else in plain text, which `agent.toml` allows on loopback or by `insecure = true` only.

use std::{io, path::PathBuf, time::Duration};

use hyper_util::rt::TokioIo;
use tls::{Certificate, CertificateFiles, ClientSettings, ClientTls, Role, Roots, TlsError, TlsIo};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// A connection without an answer to its pings for this long is dead.
const PING_PAUSE: Duration = Duration::from_secs(2);
/// Largest message: a snapshot of the control state, or a status document.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A connection that is made when it is first used, and again when it was lost. With TLS the other end has to be the
/// agent of the host that the address names.
///
/// # Errors
/// If `address` is not `HOST:PORT`.
pub(crate) fn channel(address: &str, tls: Option<&ClientTls>) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| format!("{address:?} is not HOST:PORT: {error}"))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_MAX)
        .http2_keep_alive_interval(PING_PAUSE)
        .keep_alive_timeout(PING_PAUSE)
        .keep_alive_while_idle(true);
    let Some(tls) = tls.cloned() else { return Ok(endpoint.connect_lazy()) };
    let address = address.to_owned();
    let dial = service_fn(move |_| {
        let (tls, address) = (tls.clone(), address.clone());
        async move { dial(&tls, &address).await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_with_connector_lazy(dial))
}

async fn dial(tls: &ClientTls, address: &str) -> io::Result<TlsIo> {
    let io = TcpStream::connect(address).await?;
    io.set_nodelay(true)?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let io = tls.connect(host, io).await?;
    let leaf = io.peer_certificates().first().and_then(|der| Certificate::parse(der).ok());
    let shown = leaf.ok_or_else(|| io::Error::other("it shows no certificate"))?;
    if shown.role() == Some(Role::Agent) {
        return Ok(io);
    }
    Err(io::Error::other(format!("its certificate ({}) is not an agent's", shown.subject)))
}

/// TLS of a dialer that shows this pair and trusts this bundle; new files are taken at the next connection.
///
/// # Errors
/// A file cannot be used.
pub(crate) fn dialer(pair: CertificateFiles, trusted: PathBuf) -> Result<ClientTls, TlsError> {
    let mut settings = ClientSettings::new(Some(pair), Roots::File(trusted));
    settings.protocols = vec!["h2".to_owned()];
    ClientTls::new(settings)
}

/// What went wrong, without the layers of the connection around it.
pub(crate) fn reason(status: &tonic::Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    if status.code() == tonic::Code::Unavailable && !text.contains("status:") {
        return text;
    }
    status.message().to_owned()
}
