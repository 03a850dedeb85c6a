//! Serves the peer port: accepts connections and ends those that stall. Streams, posts and gRPC
//! share it (HTTP/1.1 and HTTP/2 are told apart by their first bytes).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tls::{Refusals, ServerTls, TlsIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    sync::Semaphore,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{dial::READ_DEADLINE, router::WRITE_DEADLINE};

/// Connections at a time; further ones wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 1024;
/// Pause after a failed accept (out of file descriptors, mostly).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves `router` on a peer listener until cancelled; resolves when all connections have ended. With `tls` only what
/// passes its handshake is served.
pub async fn serve(
    listener: TcpListener,
    tls: Option<ServerTls>,
    router: Router,
    cancel: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let refusals = Refusals::default();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accept = async {
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let (io, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a peer's connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let (router, cancel) = (router.clone(), cancel.clone());
            let (tls, refusals) = (tls.clone(), refusals.clone());
            tasks.spawn(async move {
                let serve = async {
                    match tls::admit(tls.as_ref(), io, from).await {
                        Ok(io) => serve_connection(io, router).await,
                        Err(error) => refusals.log(from, &error),
                    }
                };
                cancel.run_until_cancelled(serve).await;
                drop(permit);
            });
        }
    };
    cancel.run_until_cancelled(accept).await;
    tasks.close();
    tasks.wait().await;
}

async fn serve_connection(io: TlsIo, router: Router) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Also ends connections kept alive without a request, as etcd does.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(READ_DEADLINE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(10));
    let io = TokioIo::new(Deadlines::new(io));
    let service = TowerToHyperService::new(router);
    if let Err(error) = builder.serve_connection_with_upgrades(io, service).await {
        tracing::debug!(%error, "a peer's connection ended");
    }
}

/// A connection that fails when its first bytes do not come, or when it takes no bytes for
/// [`WRITE_DEADLINE`].
#[derive(Debug)]
pub(crate) struct Deadlines<T> {
    io: T,
    /// Until the first byte was read.
    first_read: Option<Pin<Box<Sleep>>>,
    /// While a write waits.
    write: Option<Pin<Box<Sleep>>>,
}

impl<T> Deadlines<T> {
    pub(crate) fn new(io: T) -> Self {
        let first_read = Some(Box::pin(sleep_until(Instant::now() + READ_DEADLINE)));
        Self { io, first_read, write: None }
    }

    /// Passes a write's outcome on, unless it has waited for too long.
    fn judge<R>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.write = None;
            return outcome;
        }
        let timer = self
            .write
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + WRITE_DEADLINE)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Deadlines<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_read(cx, buffer);
        if outcome.is_ready() {
            self.first_read = None;
            return outcome;
        }
        if let Some(timer) = &mut self.first_read {
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Deadlines<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.judge(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.judge(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        self.judge(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        self.judge(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_takes_nothing_fails_after_the_deadline() {
        let (io, _peer) = tokio::io::duplex(16);
        let mut io = Deadlines::new(io);
        let started = Instant::now();
        let error = io.write_all(&[0; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed(), WRITE_DEADLINE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_but_steady_reader_is_waited_for() {
        let (io, mut peer) = tokio::io::duplex(16);
        let mut io = Deadlines::new(io);
        let write = async {
            io.write_all(&[0; 64]).await.unwrap();
            drop(io);
        };
        let read = async {
            let mut all = Vec::new();
            let mut piece = [0; 8];
            while all.len() < 64 {
                tokio::time::sleep(WRITE_DEADLINE / 2).await;
                let read = peer.read(&mut piece).await.unwrap();
                all.extend_from_slice(&piece[..read]);
            }
        };
        tokio::join!(write, read);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_asks_fails_but_a_stream_may_be_silent() {
        let (io, mut peer) = tokio::io::duplex(16);
        let mut io = Deadlines::new(io);
        assert_eq!(io.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let (other, mut other_peer) = tokio::io::duplex(16);
        let mut other = Deadlines::new(other);
        other_peer.write_u8(1).await.unwrap();
        assert_eq!(other.read_u8().await.unwrap(), 1);
        let silent = tokio::time::timeout(READ_DEADLINE * 3, other.read_u8()).await;
        assert!(silent.is_err(), "still waiting");
        peer.shutdown().await.unwrap();
    }
}
