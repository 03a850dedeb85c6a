//! Posts single messages to a peer whose streams are not attached. One task per peer, up to four
//! posts at a time.

use std::{sync::Arc, time::Duration};

use base::ErrorChain;
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use prost::Message;
use tokio::sync::mpsc;
use wire::raftpb;

use super::{
    codec::wide,
    link::{Link, Shared},
};

/// Messages waiting for a post.
pub(crate) const PIPELINE_QUEUE_MAX: usize = 64;
/// Posts under way to one peer.
const POSTS_MAX: usize = 4;
/// How long a post may take once connected.
const POST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why a post failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    #[error("the peer has no usable URL")]
    NoUrl,
    #[error("no post can be made to {url}")]
    Request {
        url: String,
        #[source]
        source: http::Error,
    },
    #[error("post to {url}")]
    Connect {
        url: String,
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    #[error("read the answer of {url}")]
    Answer {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("no progress for {limit:?}")]
    Timeout { limit: Duration },
    #[error("the peer says this member is removed from the cluster")]
    Removed,
    #[error("the peer answered {status}: {text}")]
    Status { status: StatusCode, text: String },
}

/// Posts what comes from `queue` until the link is cancelled.
pub(crate) async fn run(
    shared: Arc<Shared>,
    link: Arc<Link>,
    mut queue: mpsc::Receiver<raftpb::Message>,
) {
    let mut posts = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            () = link.cancel.cancelled() => return,
            Some(()) = posts.next(), if !posts.is_empty() => {}
            message = queue.recv(), if posts.len() < POSTS_MAX => match message {
                Some(message) => posts.push(run_post(&shared, &link, message)),
                None => return,
            },
        }
    }
}

async fn run_post(shared: &Shared, link: &Link, message: raftpb::Message) {
    let body = Bytes::from(message.encode_to_vec());
    let bytes = wide(body.len());
    let limit = shared.config.connector.dial_timeout + POST_TIMEOUT;
    let result = match tokio::time::timeout(limit, post(shared, link, body)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(PostError::Timeout { limit }),
    };
    match result {
        Ok(()) => {
            link.status.activate();
            link.counters.sent_bytes.add(bytes);
        }
        Err(error) => {
            tracing::debug!(peer = %link.id, error = %ErrorChain(&error), "post to the peer failed");
            post_failed(shared, link, &error);
        }
    }
}

async fn post(shared: &Shared, link: &Link, body: Bytes) -> Result<(), PostError> {
    let url = link.urls.pick().ok_or(PostError::NoUrl)?;
    let target = url.join("/raft");
    let request = post_request(&shared.headers, &target, "application/protobuf", Full::new(body))?;
    let answer = async {
        let response = shared
            .posts
            .request(request)
            .await
            .map_err(|source| PostError::Connect { url: target.clone(), source })?;
        check_answer(&target, response).await
    };
    let result = answer.await;
    if result.is_err() {
        link.urls.unreachable(&url);
    }
    result
}

/// What every failed post means to the peer's state and to raft.
pub(crate) fn post_failed(shared: &Shared, link: &Link, error: &PostError) {
    link.counters.sent_failures.add(1);
    link.status.deactivate("post", error);
    shared.events.report_unreachable(link.id);
    if matches!(error, PostError::Removed) {
        shared.events.removed_from_cluster();
    }
}

/// A request that carries all headers a peer checks.
pub(crate) fn post_request<B>(
    headers: &HeaderMap,
    url: &str,
    content_type: &'static str,
    body: B,
) -> Result<Request<B>, PostError> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, content_type)
        .body(body)
        .map_err(|source| PostError::Request { url: url.to_owned(), source })?;
    let all = request.headers_mut();
    for (name, value) in headers {
        all.insert(name, value.clone());
    }
    Ok(request)
}

/// Reads the answer; only 204 is a success, and 403 means that we are removed.
pub(crate) async fn check_answer<B>(url: &str, response: http::Response<B>) -> Result<(), PostError>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|source| PostError::Answer { url: url.to_owned(), source })?
        .to_bytes();
    match status {
        StatusCode::NO_CONTENT => Ok(()),
        StatusCode::FORBIDDEN => Err(PostError::Removed),
        _ => {
            let text = String::from_utf8_lossy(&body).trim_end().to_owned();
            Err(PostError::Status { status, text })
        }
    }
}
