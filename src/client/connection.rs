//! Lazy connections to a list of endpoints, and the one way a call is made.

use std::time::Duration;

use tls::ClientTls;
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};
use wire::etcdserverpb::{
    cluster_client::ClusterClient, kv_client::KvClient, maintenance_client::MaintenanceClient,
};

use crate::{
    dial::Dialer,
    error::{Advice, ClientError, from_status},
};

/// Deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientOptions {
    /// Longest wait for a TCP connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer, connecting included.
    pub request_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(1), request_timeout: Duration::from_secs(5) }
    }
}

/// Connections to the members of one cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    connections: Vec<Connection>,
    options: ClientOptions,
}

/// One endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    url: String,
    channel: Channel,
    limit: Duration,
}

impl Client {
    /// Prepares connections without TLS; none is dialled before the first call. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`], [`ClientError::NoTls`] or [`ClientError::NoEndpoints`].
    pub fn new<S: AsRef<str>>(
        endpoints: &[S],
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        Self::with_tls(endpoints, options, None)
    }

    /// The same with TLS (see [`crate::tls`]) for endpoints that are `https`; those that are `http` stay plain.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_tls<S: AsRef<str>>(
        endpoints: &[S],
        options: ClientOptions,
        tls: Option<&ClientTls>,
    ) -> Result<Self, ClientError> {
        let connections = endpoints
            .iter()
            .map(|url| Connection::new(url.as_ref(), options, tls))
            .collect::<Result<Vec<_>, _>>()?;
        if connections.is_empty() {
            return Err(ClientError::NoEndpoints);
        }
        Ok(Self { connections, options })
    }

    /// The endpoints, as given.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.connections.iter().map(|connection| connection.url.as_str())
    }

    /// The deadlines.
    #[must_use]
    pub fn options(&self) -> ClientOptions {
        self.options
    }

    /// The same connections with another deadline for answers.
    #[must_use]
    pub fn with_request_timeout(&self, limit: Duration) -> Self {
        let mut client = self.clone();
        client.options.request_timeout = limit;
        for connection in &mut client.connections {
            connection.limit = limit;
        }
        client
    }

    /// Makes a call at the first endpoint; goes on to the next while a call had no effect.
    pub(crate) async fn call<T, F>(
        &self,
        name: &'static str,
        mut request: impl FnMut(Connection) -> F,
    ) -> Result<(T, &str), ClientError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut last = ClientError::NoEndpoints;
        for connection in &self.connections {
            match connection.call(name, request(connection.clone())).await {
                Ok(answer) => return Ok((answer, &connection.url)),
                Err(error) if error.advice() == Advice::Retry => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

impl Connection {
    fn new(
        url: &str,
        options: ClientOptions,
        tls: Option<&ClientTls>,
    ) -> Result<Self, ClientError> {
        if url.starts_with("https://") && tls.is_none() {
            return Err(ClientError::NoTls { endpoint: url.to_owned() });
        }
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|source| ClientError::Endpoint { endpoint: url.to_owned(), source })?;
        let endpoint = endpoint.connect_timeout(options.connect_timeout).tcp_nodelay(true);
        let channel = match tls {
            Some(tls) if url.starts_with("https://") => {
                endpoint.connect_with_connector_lazy(Dialer::new(tls.clone()))
            }
            _ => endpoint.connect_lazy(),
        };
        Ok(Self { url: url.to_owned(), channel, limit: options.request_timeout })
    }

    async fn call<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, ClientError> {
        match tokio::time::timeout(self.limit, answer).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(from_status(call, &self.url, self.limit, &status)),
            Err(_elapsed) => {
                Err(ClientError::Deadline { call, endpoint: self.url.clone(), limit: self.limit })
            }
        }
    }

    pub(crate) fn keys(self) -> KvClient<Channel> {
        KvClient::new(self.channel).max_decoding_message_size(usize::MAX)
    }

    pub(crate) fn cluster(self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel)
    }

    pub(crate) fn maintenance(self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_is_unreachable_and_may_be_retried() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = Client::new(&[&url], ClientOptions::default()).unwrap();
        let error = client.status().await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
        assert_eq!(error.advice(), Advice::Retry);
    }

    #[tokio::test]
    async fn a_silent_server_meets_the_deadline() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let options =
            ClientOptions { request_timeout: Duration::from_millis(50), ..Default::default() };
        let error = Client::new(&[&url], options).unwrap().put("k", "v").await.unwrap_err();
        assert!(matches!(error, ClientError::Deadline { .. }), "{error:?}");
        assert_eq!(error.advice(), Advice::Look);
    }

    #[tokio::test]
    async fn no_endpoints_and_bad_endpoints_are_told_apart() {
        let none = Client::new::<&str>(&[], ClientOptions::default()).unwrap_err();
        assert!(matches!(none, ClientError::NoEndpoints));
        let bad = Client::new(&["http://[::1"], ClientOptions::default()).unwrap_err();
        assert!(matches!(bad, ClientError::Endpoint { .. }), "{bad:?}");
    }
}
