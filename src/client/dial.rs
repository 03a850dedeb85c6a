//! Connections with TLS for tonic's channels.

use std::{
    io,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tls::{CertificateFiles, ClientSettings, ClientTls, Roots, TlsError, TlsIo};
use tokio::net::TcpStream;

/// TLS towards members: trusts the bundle `authorities`, shows `identity` if it is asked for a certificate. The files are
/// read again when they change.
///
/// # Errors
/// A file cannot be used.
pub fn tls(authorities: &Path, identity: Option<CertificateFiles>) -> Result<ClientTls, TlsError> {
    let mut settings = ClientSettings::new(identity, Roots::File(authorities.to_owned()));
    settings.protocols = vec!["h2".to_owned()];
    ClientTls::new(settings)
}

/// Opens connections for one channel.
#[derive(Debug, Clone)]
pub(crate) struct Dialer(ClientTls);

impl Dialer {
    pub(crate) fn new(tls: ClientTls) -> Self {
        Self(tls)
    }
}

impl tower::Service<Uri> for Dialer {
    type Response = TokioIo<TlsIo>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TlsIo>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.0.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let io =
                TcpStream::connect(format!("{host}:{}", uri.port_u16().unwrap_or(443))).await?;
            io.set_nodelay(true)?;
            Ok(TokioIo::new(tls.connect(host, io).await?))
        })
    }
}
