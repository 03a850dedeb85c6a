//! Connections to peers: plain for `http`, TLS for `https`, by the URL alone.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tls::{ClientTls, TlsIo};
use tokio::{net::TcpStream, time::timeout};

/// How long a handshake may take; Go's transports have the same.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Opens connections to peers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    /// How long a TCP connection may take to open.
    pub(crate) dial_timeout: Duration,
    /// For `https` URLs; without it they are not dialled.
    pub(crate) tls: Option<ClientTls>,
}

impl Connector {
    /// One that waits so long for TCP connections.
    #[must_use]
    pub fn new(dial_timeout: Duration, tls: Option<ClientTls>) -> Self {
        Self { dial_timeout, tls }
    }

    /// Connects to `authority` (`host:port`).
    pub(crate) async fn connect(&self, authority: &str, secure: bool) -> io::Result<TlsIo> {
        let limit = self.dial_timeout;
        let io = timeout(limit, TcpStream::connect(authority)).await.map_err(|_elapsed| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{authority} did not accept a connection within {limit:?}"),
            )
        })??;
        io.set_nodelay(true)?;
        if !secure {
            return Ok(TlsIo::Plain(io));
        }
        let Some(tls) = &self.tls else {
            return Err(io::Error::other(
                "the peer's URL is https and this member has no --peer-trusted-ca-file and no --peer-cert-file",
            ));
        };
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        match timeout(HANDSHAKE_LIMIT, tls.connect(host, io)).await {
            Ok(connected) => connected,
            Err(_elapsed) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{authority} did not finish the TLS handshake within {HANDSHAKE_LIMIT:?}"),
            )),
        }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = PeerIo;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<PeerIo>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let secure = uri.scheme_str() == Some("https");
            let host = uri.host().unwrap_or_default();
            let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
            let io = connector.connect(&format!("{host}:{port}"), secure).await?;
            Ok(PeerIo(TokioIo::new(io)))
        })
    }
}

/// A connection as hyper's client wants it.
#[derive(Debug)]
pub struct PeerIo(TokioIo<TlsIo>);

impl Connection for PeerIo {
    fn connected(&self) -> Connected {
        // Peers speak HTTP/1.1, also over TLS.
        Connected::new()
    }
}

impl Read for PeerIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for PeerIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
