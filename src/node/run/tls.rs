//! Reads all TLS files before a port is bound, and makes the certificates of `--auto-tls`.

use base::{Clock, flags};
use disk::Disk;
use tls::{CertificateFiles, ClientTls, Identity, ServerTls, TlsError, provider};

use crate::config::{Config, Side, is_https};

/// TLS of the listeners and of the dialer to peers, as far as URLs ask for it.
#[derive(Debug, Default)]
pub(super) struct Tls {
    pub(super) client: Option<ServerTls>,
    pub(super) metrics: Option<ServerTls>,
    pub(super) peer: Option<ServerTls>,
    pub(super) dialer: Option<ClientTls>,
}

/// Where generated certificates are, below the data dir; etcd's names.
const FIXTURES: &str = "fixtures";

impl Tls {
    /// Reads the files.
    pub(super) fn prepare(
        config: &Config,
        disk: &dyn Disk,
        clock: &dyn Clock,
    ) -> Result<Self, TlsError> {
        let mut prepared = Self::default();
        let (listen, tls) = (&config.listen, &config.tls);
        let asked = |urls: &[String]| urls.iter().any(|url| is_https(url));
        let work = Preparation { config, disk, clock };
        if asked(&listen.client) || asked(&listen.metrics) {
            let urls = [listen.client.as_slice(), listen.metrics.as_slice()].concat();
            let identity = work.identity(&tls.client, "client", &urls)?;
            if let Some(identity) = identity {
                let server = |own| ServerTls::new(tls.client.server(identity.clone(), own));
                prepared.client = Some(server(false)?);
                prepared.metrics = Some(server(true)?);
            }
        }
        let members = config.cluster.members.values().flatten();
        if tls.peer.serves() || members.into_iter().any(|url| is_https(url)) {
            let identity = match asked(&listen.peer) {
                true => work.identity(&tls.peer, "peer", &listen.peer)?,
                false => tls.peer.identity.clone(),
            };
            if let (Some(identity), true) = (&identity, asked(&listen.peer)) {
                let settings = tls.peer.server(identity.clone(), tls.peer.from_its_host);
                prepared.peer = Some(ServerTls::new(settings)?);
            }
            let shown = tls.peer.dialer_identity.clone().or(identity);
            prepared.dialer = dialer(&tls.peer, shown)?;
        }
        Ok(prepared)
    }
}

/// Without an authority to trust anywhere, no peer with https can be dialled; everything else goes on, as in etcd.
fn dialer(side: &Side, shown: Option<CertificateFiles>) -> Result<Option<ClientTls>, TlsError> {
    match ClientTls::new(side.dialer(shown)) {
        Ok(dialer) => Ok(Some(dialer)),
        Err(error @ TlsError::NoSystemRoots) => {
            tracing::warn!(%error, "peers with https URLs cannot be dialled without --peer-trusted-ca-file");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

struct Preparation<'a> {
    config: &'a Config,
    disk: &'a dyn Disk,
    clock: &'a dyn Clock,
}

impl Preparation<'_> {
    /// The files that a side's listeners show, looked over; generated if flags ask for it.
    fn identity(
        &self,
        side: &Side,
        name: &str,
        urls: &[String],
    ) -> Result<Option<CertificateFiles>, TlsError> {
        let now = self.clock.wall();
        let files = match (&side.identity, side.auto) {
            (Some(files), _) => files.clone(),
            (None, None) => return Ok(None),
            (None, Some(years)) => {
                let folder = self.config.data_dir.join(FIXTURES).join(name);
                let hosts: Vec<String> = urls.iter().map(|url| host_of(url)).collect();
                tls::self_signed::ensure(self.disk, &folder, &hosts, years, now)?
            }
        };
        let identity = Identity::load(&files, &provider::provider(&side.suites))?;
        for fault in identity.faults(now) {
            tracing::warn!(side = name, "{fault}");
        }
        Ok(Some(files))
    }
}

/// The host of a checked URL, without brackets.
fn host_of(url: &str) -> String {
    let address = flags::parse_url(url).map_or("", |(_, address)| address);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}
