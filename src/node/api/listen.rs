//! Serves a router on a listener, HTTP/1.1 and HTTP/2 by what the connection says first.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tls::{Refusals, ServerTls};
use tokio::{net::TcpListener, sync::watch};
use tracing::debug;

use super::authority::MendedAuthority;

/// A client that does not finish its request's head in this time is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Go's server pings an idle gRPC connection this often …
const PING_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);
/// … and gives it up when no answer comes.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Flow-control windows of a gRPC stream and of its connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// How long running requests may take once the server stops.
const DRAIN: Duration = Duration::from_secs(3);

/// Accepts until `stop` turns true, then lets running requests finish for a moment. With `tls` only what passes its
/// handshake is served; a slow handshake holds up nobody else.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<ServerTls>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    let server = Arc::new(builder());
    let refusals = Refusals::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: give others a moment to end.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let (server, tls, refusals) = (Arc::clone(&server), tls.clone(), refusals.clone());
        let (watcher, mut stop) = (graceful.watcher(), stop.clone());
        tokio::spawn(async move {
            let admitted = tokio::select! {
                admitted = tls::admit(tls.as_ref(), stream, from) => admitted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let io = match admitted {
                Ok(io) => TokioIo::new(MendedAuthority::new(io)),
                Err(error) => return refusals.log(from, &error),
            };
            let connection = server.serve_connection_with_upgrades(io, service);
            if let Err(error) = watcher.watch(connection).await {
                debug!(error = %error, "client connection ended");
            }
        });
    }
    drop(tokio::time::timeout(DRAIN, graceful.shutdown()).await);
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
