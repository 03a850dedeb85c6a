//! What peers ask of us: `/raft`, `/raft/stream/...`, `/raft/snapshot`, `/raft/probing`, with
//! etcd's checks, status codes and texts. 403 and 410 make a Go peer stop for good, so they are
//! answered to ids in the removed set only.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use base::{MemberId, limits::PEER_MESSAGE_BYTES_MAX};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use prost::Message;
use wire::raftpb;

use super::{
    Inner,
    codec::{StreamKind, is_link_heartbeat, wide},
    dial::READ_DEADLINE,
    directory::Directory,
    link::{
        CLUSTER_ID, MIN_CLUSTER_VERSION, MIN_VERSION, PEER_URLS, RAFT_TO, SERVER_FROM,
        SERVER_VERSION, Shared,
    },
    outgoing::OutgoingStream,
    reader::{Inadmissible, check_message},
    receive_snapshot, rfc3339,
};

/// The routes of the peer port that belong to raft.
pub(crate) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/raft", any(take_message))
        .route("/raft/snapshot", any(take_snapshot))
        .route("/raft/probing", any(answer_probe))
        .route("/raft/stream/{*rest}", any(open_stream))
        .with_state(inner)
}

/// An answer that is not a success, in the form Go's `http.Error` gives it.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    text: String,
    allow: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), allow: None }
    }

    fn method(allow: &'static str) -> Self {
        let text = "Method Not Allowed".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, text, allow: Some(allow) }
    }

    pub(crate) fn removed_sender() -> Self {
        Self::new(StatusCode::FORBIDDEN, "cannot process message from removed member")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.text)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

async fn take_message(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let answer = match request.method() {
        &Method::POST => take_message_checked(&inner, request).await,
        _ => return Refusal::method("POST").into_response(),
    };
    with_cluster(&inner.shared, answer.map(|()| StatusCode::NO_CONTENT.into_response()))
}

async fn take_message_checked(inner: &Inner, request: Request) -> Result<(), Refusal> {
    let shared = &inner.shared;
    check_headers(request.headers(), shared)?;
    inner.add_remote_from(request.headers());
    let sender = sender_of(request.headers());
    let counters = shared.counters(sender);
    let unreadable = |text: &str| {
        counters.received_failures.add(1);
        Refusal::new(StatusCode::BAD_REQUEST, text)
    };
    let body = read_body(request.into_body())
        .await
        .ok_or_else(|| unreadable("error reading raft message"))?;
    let bytes = wide(body.len());
    let message = raftpb::Message::decode(body)
        .map_err(|_bad| unreadable("error unmarshalling raft message"))?;
    if is_link_heartbeat(&message) {
        return Ok(());
    }
    shared.counters(MemberId::new(message.from)).received_bytes.add(bytes);
    let nobody = MemberId::default();
    match check_message(&message, shared.config.member, nobody, &*shared.events) {
        Ok(()) => shared.events.step(message),
        Err(Inadmissible::RemovedSender) => return Err(Refusal::removed_sender()),
        Err(reason @ (Inadmissible::OtherReceiver | Inadmissible::BareSnapshot)) => {
            counters.received_failures.add(1);
            tracing::warn!(%sender, kind = message.r#type, %reason, "refused a posted message");
            let text = "error processing raft message";
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text));
        }
    }
    Ok(())
}

/// The whole body; none if it breaks off, stalls or is too long (which is seen beforehand if it
/// tells its length).
async fn read_body(mut body: Body) -> Option<Bytes> {
    if body.size_hint().lower() > PEER_MESSAGE_BYTES_MAX {
        return None;
    }
    let mut all = BytesMut::new();
    while let Some(chunk) = next_chunk(&mut body).await.ok()? {
        all.extend_from_slice(&chunk);
        if wide(all.len()) > PEER_MESSAGE_BYTES_MAX {
            return None;
        }
    }
    Some(all.freeze())
}

/// The next bytes of a body, none at its end. They must come within the read deadline.
pub(crate) async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, String> {
    loop {
        let frame = tokio::time::timeout(READ_DEADLINE, body.frame()).await;
        match frame {
            Err(_elapsed) => return Err(format!("nothing came for {READ_DEADLINE:?}")),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(error.to_string()),
            Ok(Some(Ok(frame))) => {
                if let Ok(chunk) = frame.into_data() {
                    return Ok(Some(chunk));
                }
            }
        }
    }
}

async fn take_snapshot(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let answer = match request.method() {
        &Method::POST => take_snapshot_checked(&inner, request).await,
        _ => return Refusal::method("POST").into_response(),
    };
    with_cluster(&inner.shared, answer.map(|()| StatusCode::NO_CONTENT.into_response()))
}

async fn take_snapshot_checked(inner: &Inner, request: Request) -> Result<(), Refusal> {
    check_headers(request.headers(), &inner.shared)?;
    inner.add_remote_from(request.headers());
    receive_snapshot::run(&inner.shared, request.into_body()).await
}

async fn answer_probe(State(inner): State<Arc<Inner>>) -> Response {
    let now = rfc3339::format(inner.shared.config.clock.wall());
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (headers, format!("{{\"OK\":true,\"Now\":\"{now}\"}}\n")).into_response()
}

async fn open_stream(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return Refusal::method("GET").into_response();
    }
    let answer = open_stream_checked(&inner, &request);
    let mut response = with_cluster(&inner.shared, answer);
    if let Some(version) = inner.shared.headers.get(SERVER_VERSION) {
        response.headers_mut().insert(SERVER_VERSION, version.clone());
    }
    response
}

fn open_stream_checked(inner: &Inner, request: &Request) -> Result<Response, Refusal> {
    let shared = &inner.shared;
    check_headers(request.headers(), shared)?;
    let not_found = |text: &str| Refusal::new(StatusCode::NOT_FOUND, text);
    let path = request.uri().path().strip_prefix("/raft/stream/").unwrap_or_default();
    let (kind, from) = match path.split_once('/') {
        Some(("msgapp", from)) => (StreamKind::Appends, from),
        Some(("message", from)) => (StreamKind::Messages, from),
        _ => return Err(not_found("invalid path")),
    };
    if from.contains('/') {
        return Err(not_found("invalid path"));
    }
    let from: MemberId = from.parse().map_err(|_not_an_id| not_found("invalid from"))?;
    if shared.events.is_removed(from) {
        return Err(Refusal::new(StatusCode::GONE, "removed member"));
    }
    let directory: &Directory = &inner.directory.load();
    let Some(peer) = directory.peer(from) else {
        inner.add_remote_urls(from, request.headers());
        tracing::debug!(%from, "a member that is not known here asked for a stream");
        return Err(not_found("error sender not found"));
    };
    let to = text_of(request.headers(), &RAFT_TO);
    if to != shared.config.member.to_string() {
        return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "to field mismatch"));
    }
    let slot = peer.slot(kind).clone();
    let stream = OutgoingStream::attach(shared.clone(), peer.link.clone(), slot, kind);
    Ok(Response::new(Body::new(stream)))
}

fn with_cluster(shared: &Shared, answer: Result<Response, Refusal>) -> Response {
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    if let Some(cluster) = shared.headers.get(CLUSTER_ID) {
        response.headers_mut().insert(CLUSTER_ID, cluster.clone());
    }
    response
}

/// The version rule, then the cluster's id.
fn check_headers(headers: &HeaderMap, shared: &Shared) -> Result<(), Refusal> {
    let refuse = |text: &str| Refusal::new(StatusCode::PRECONDITION_FAILED, text);
    let own = &shared.config.server_version;
    let compatible = match (version_of(headers, &SERVER_VERSION), version_of(headers, &MIN_VERSION))
    {
        (Some(server), Some(min)) => {
            minor(&server) >= minor(&MIN_CLUSTER_VERSION) && minor(&min) <= minor(own)
        }
        _ => false,
    };
    if !compatible {
        return Err(refuse("incompatible version"));
    }
    if text_of(headers, &CLUSTER_ID) != shared.config.cluster.to_string() {
        return Err(refuse("cluster ID mismatch"));
    }
    Ok(())
}

fn minor(version: &semver::Version) -> (u64, u64) {
    (version.major, version.minor)
}

/// A missing version counts as 2.0.0, a malformed one as none.
fn version_of(headers: &HeaderMap, name: &HeaderName) -> Option<semver::Version> {
    match text_of(headers, name) {
        "" => Some(semver::Version::new(2, 0, 0)),
        text => semver::Version::parse(text).ok(),
    }
}

pub(crate) fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn sender_of(headers: &HeaderMap) -> MemberId {
    text_of(headers, &SERVER_FROM).parse().unwrap_or_default()
}

impl Inner {
    /// Whoever posts to us can be answered, even if our log does not know it yet.
    fn add_remote_from(&self, headers: &HeaderMap) {
        if let Ok(from) = text_of(headers, &SERVER_FROM).parse() {
            self.add_remote_urls(from, headers);
        }
    }

    fn add_remote_urls(&self, from: MemberId, headers: &HeaderMap) {
        let urls = text_of(headers, &PEER_URLS);
        if !urls.is_empty() && !self.directory.load().knows(from) {
            let urls: Vec<String> = urls.split(',').map(str::to_owned).collect();
            self.add_remote(from, &urls);
        }
    }
}

/// Requests in a peer's stalled connection end after this time.
pub(crate) const WRITE_DEADLINE: Duration = READ_DEADLINE;
