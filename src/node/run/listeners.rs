//! Takes all ports before anything else happens, so that a port in use stops a start that has not
//! touched the data dir yet.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use base::flags;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::Listen;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// The bound listeners; connections wait in their backlog until they are served.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) peer: Vec<TcpListener>,
    pub(super) client: Vec<TcpListener>,
    pub(super) metrics: Vec<TcpListener>,
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
    pub(super) fn bind(listen: &Listen) -> Result<Self, ListenError> {
        let bind = |flag, urls: &[String]| {
            urls.iter().map(|url| bind(listen, flag, url)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            peer: bind("listen-peer-urls", &listen.peer)?,
            client: bind("listen-client-urls", &listen.client)?,
            metrics: bind("listen-metrics-urls", &listen.metrics)?,
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
        let taken = Listeners::bind(&listen("http://localhost:0")).unwrap();
        let address = taken.client[0].local_addr().unwrap();
        let error = Listeners::bind(&listen(&format!("http://{address}"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("listen tcp {address}: bind: address already in use (--listen-client-urls)")
        );
    }
}
