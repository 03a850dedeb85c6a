//! The dialling end.

use std::{io, sync::Arc};

use rustls::{ClientConfig, client::Resumption, pki_types::ServerName, sign::SingleCertAndKey};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    error::TlsError,
    identity::Identity,
    io::TlsIo,
    provider,
    reload::Reloaded,
    roots,
    settings::{ClientSettings, Roots},
    verify,
};

/// TLS of one dialer. Cheap to clone; all clones see new files.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<Reloaded<Arc<ClientConfig>>>,
}

impl ClientTls {
    /// Reads all files.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn new(settings: ClientSettings) -> Result<Self, TlsError> {
        let bundle = roots::file_of(&settings.roots)?;
        let mut files: Vec<_> = bundle.iter().cloned().collect();
        if let Some(identity) = &settings.identity {
            files.extend([identity.certificate.clone(), identity.key.clone()]);
        }
        let config = Reloaded::new(files, move || client_config(&settings))?;
        Ok(Self { config: Arc::new(config) })
    }

    /// Does the handshake on a connection that was just opened to `host` (a name or IP address, brackets allowed). No
    /// limit of time: the caller has one for the whole dial.
    ///
    /// # Errors
    /// The other end is not who it should be, does not let us in, or speaks no TLS.
    pub async fn connect(&self, host: &str, io: TcpStream) -> io::Result<TlsIo> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(&*self.config.current()));
        let io = connector.connect(name, io).await.map_err(verify::in_words)?;
        Ok(TlsIo::Tls(Box::new(io.into())))
    }

    /// The configuration of the files as they are now.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&*self.config.current())
    }
}

fn client_config(settings: &ClientSettings) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider::provider(&settings.suites);
    let roots = match (&settings.roots, roots::file_of(&settings.roots)?) {
        (Roots::System, Some(file)) => Some(roots::load_system(&file)?),
        (_, file) => file.as_deref().map(roots::load).transpose()?,
    };
    let verifier = verify::servers(roots, settings.allowed.clone(), provider.clone())?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&provider::versions(settings.min, settings.max)?)
        .map_err(|error| TlsError::Settings(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let identity = Identity::load(files, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key)))
        }
    };
    config.alpn_protocols = settings.protocols.iter().map(|name| name.clone().into()).collect();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
