//! Takes all ports before anything else happens, so that a port in use stops a start that has not
//! touched the data dir yet.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use ::tls::ServerTls;
use base::flags;
use tokio::net::{TcpListener, TcpSocket};

use super::tls::Tls;
use crate::config::{Listen, is_https};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// The bound listeners; connections wait in their backlog until they are served.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) peer: Vec<Port>,
    pub(super) client: Vec<Port>,
    pub(super) metrics: Vec<Port>,
}

/// A bound listener.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) listener: TcpListener,
    /// If its URL is https; then nothing else is served on it.
    pub(super) tls: Option<ServerTls>,
}

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("listen tcp {address}: {reason} (--{flag})")]
pub struct ListenError {
    /// `host:port` as given.
    pub address: String,
    /// Go's words where it has some.
    pub reason: String,
    /// Which flag names it.
    pub flag: &'static str,
}

impl Listeners {
    /// Binds all.
    pub(super) fn bind(listen: &Listen, tls: &Tls) -> Result<Self, ListenError> {
        let bind = |flag, urls: &[String], tls: &Option<ServerTls>| {
            let port = |url: &String| {
                let tls =
                    is_https(url).then(|| tls.clone().expect("https was checked to have TLS"));
                Ok(Port { listener: bind(listen, flag, url)?, tls })
            };
            urls.iter().map(port).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            peer: bind("listen-peer-urls", &listen.peer, &tls.peer)?,
            client: bind("listen-client-urls", &listen.client, &tls.client)?,
            metrics: bind("listen-metrics-urls", &listen.metrics, &tls.metrics)?,
        })
    }
}

fn bind(listen: &Listen, flag: &'static str, url: &str) -> Result<TcpListener, ListenError> {
    let address = flags::parse_url(url).map_or(url, |(_, address)| address);
    bind_address(listen, address).map_err(|error| ListenError {
        address: address.to_owned(),
        reason: match error.kind() {
            io::ErrorKind::AddrInUse => "bind: address already in use".to_owned(),
            io::ErrorKind::AddrNotAvailable => "bind: cannot assign requested address".to_owned(),
            io::ErrorKind::PermissionDenied => "bind: permission denied".to_owned(),
            _ => error.to_string(),
        },
        flag,
    })
}

fn bind_address(listen: &Listen, address: &str) -> io::Result<TcpListener> {
    let mut places: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    // As Go does: of a name's addresses the first IPv4 one.
    places.sort_by_key(SocketAddr::is_ipv6);
    let place = places.first().ok_or_else(|| io::Error::other("no address of that name"))?;
    let socket = if place.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Go always sets it: without, a restart would wait for old connections to time out.
    socket.set_reuseaddr(true)?;
    if listen.reuse_port {
        socket.set_reuseport(true)?;
    }
    socket.bind(*place)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(client: &str) -> Listen {
        Listen {
            peer: vec!["http://127.0.0.1:0".to_owned()],
            client: vec![client.to_owned()],
            metrics: Vec::new(),
            reuse_port: false,
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_in_go_s_words() {
        let taken = Listeners::bind(&listen("http://localhost:0"), &Tls::default()).unwrap();
        let address = taken.client[0].listener.local_addr().unwrap();
        let error =
            Listeners::bind(&listen(&format!("http://{address}")), &Tls::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("listen tcp {address}: bind: address already in use (--listen-client-urls)")
        );
    }
}
