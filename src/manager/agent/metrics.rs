//! The agent's metrics port: plain HTTP, `/metrics` for Prometheus and `/health`. docs/metrics.md

mod page;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use super::cluster::Cluster;
use crate::control::Leadership;

/// Connections at a time; further ones wait.
const CONNECTIONS_MAX: usize = 16;
/// How long a client may take to ask.
const HEADER_MAX: Duration = Duration::from_secs(10);
/// Between two attempts to have the address.
const PAUSE: Duration = Duration::from_secs(2);

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// Serves where it is told to, if it is; follows what the spec says until the control group is gone.
pub(super) async fn run(cluster: Arc<Cluster>) {
    let mut states = cluster.control.watch();
    loop {
        let Some(address) = wanted(&cluster) else {
            if states.changed().await.is_err() {
                return;
            }
            continue;
        };
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!("serves metrics on {address}");
                tokio::select! {
                    () = serve(listener, &cluster) => {}
                    gone = states.wait_for(|_| wanted(&cluster) != Some(address)) => {
                        if gone.is_err() {
                            return;
                        }
                    }
                }
            }
            Err(error) => {
                tracing::warn!("metrics are not served on {address}: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn wanted(cluster: &Cluster) -> Option<SocketAddr> {
    match &cluster.many {
        Some(many) => many.file.metrics,
        None => cluster.spec().ok().flatten()?.running.metrics,
    }
}

async fn serve(listener: TcpListener, cluster: &Arc<Cluster>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(seat) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let cluster = cluster.clone();
                connections.spawn(async move {
                    converse(stream, cluster).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!("metrics: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, cluster: Arc<Cluster>) {
    let answer = service_fn(move |request| {
        let cluster = cluster.clone();
        async move { Ok::<_, Infallible>(answer(&request, &cluster).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!("metrics: {error}");
    }
}

async fn answer(request: &Request<Incoming>, cluster: &Arc<Cluster>) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, TEXT, page::render(cluster).await)
        }
        (&Method::GET | &Method::HEAD, "/health") => health(cluster),
        (_, "/metrics" | "/health") => {
            (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, TEXT, "there are /metrics and /health\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

/// Whether the agents can decide.
fn health(cluster: &Cluster) -> (StatusCode, &'static str, String) {
    let (status, word, reason) = match cluster.control.leadership() {
        Leadership::Own(_) | Leadership::Other(_) => (StatusCode::OK, "true", ""),
        Leadership::Nobody => {
            (StatusCode::SERVICE_UNAVAILABLE, "false", "the agents have no quorum")
        }
        Leadership::NoGroup => {
            (StatusCode::SERVICE_UNAVAILABLE, "false", "this agent is in no group yet")
        }
    };
    (status, JSON, format!("{{\"health\":\"{word}\",\"reason\":\"{reason}\"}}\n"))
}
