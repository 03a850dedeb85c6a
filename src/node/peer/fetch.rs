//! Questions to a peer's HTTP port, for bootstrap, the version monitor and the corruption check:
//! members, version, hash of the key space, promotion of a learner. Every answer is bounded in
//! time and size.

use std::time::Duration;

use base::{ClusterId, MemberId, Revision};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Deserialize, Serialize};

use super::{
    connect::Connector,
    urls::{PeerUrl, PeerUrlError},
};

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much of an error's body is kept.
const ERROR_TEXT_BYTES_MAX: usize = 512;

/// Asks peers. Cheap to clone; keeps connections alive for less than etcd's read deadline of 5 s.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client<Connector, Full<Bytes>>,
}

/// Why a question to a peer has no answer. Any but `Url` may succeed when asked again.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL cannot be dialled.
    #[error("refuse the peer's URL")]
    Url(#[source] PeerUrlError),
    /// No connection, or it broke.
    #[error("reach {url}")]
    Connect {
        /// The URL asked.
        url: String,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("{url} did not answer within {limit:?}")]
    Timeout {
        /// The URL asked.
        url: String,
        /// The time given.
        limit: Duration,
    },
    /// An answer that is not a success.
    #[error("{url} answered {status}: {text}")]
    Status {
        /// The URL asked.
        url: String,
        /// The status.
        status: StatusCode,
        /// The start of the body, without the newline at its end.
        text: String,
    },
    /// An answer that cannot be understood.
    #[error("{url} answered something else than expected: {reason}")]
    Answer {
        /// The URL asked.
        url: String,
        /// What was wrong with it.
        reason: String,
    },
}

/// A member as `/members` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchedMember {
    /// Its id.
    pub id: u64,
    /// Where its peers reach it.
    #[serde(rename = "peerURLs", default, deserialize_with = "null_is_empty")]
    pub peer_urls: Vec<String>,
    /// Whether it has no vote.
    #[serde(rename = "isLearner", default)]
    pub is_learner: bool,
    /// Its name; empty until it has published itself.
    #[serde(default)]
    pub name: String,
    /// Where clients reach it; empty until it has published itself.
    #[serde(rename = "clientURLs", default, deserialize_with = "null_is_empty")]
    pub client_urls: Vec<String>,
}

/// A cluster as one of its members sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedMembers {
    /// From the answer's header.
    pub cluster: ClusterId,
    /// All members.
    pub members: Vec<FetchedMember>,
}

/// Versions as `/version` tells them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FetchedVersion {
    /// Of the server.
    #[serde(rename = "etcdserver")]
    pub server: String,
    /// Of the cluster; `not_decided` before the first decision.
    #[serde(rename = "etcdcluster", default)]
    pub cluster: String,
}

/// A hash of the key space as `/members/hashkv` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedHashKv {
    /// The cluster, if the peer named it.
    pub cluster: Option<ClusterId>,
    /// The peer's current revision.
    pub revision: Revision,
    /// The hash at the revision asked for.
    pub hash: u32,
    /// The peer's compacted revision; -1 if it never compacted.
    pub compact_revision: Revision,
}

#[derive(Serialize)]
struct HashKvQuestion {
    revision: i64,
}

#[derive(Deserialize)]
struct HashKvAnswer {
    #[serde(default)]
    header: HashKvHeader,
    #[serde(default)]
    hash: u32,
    #[serde(default)]
    compact_revision: i64,
}

#[derive(Default, Deserialize)]
struct HashKvHeader {
    #[serde(default)]
    revision: i64,
}

struct Answer {
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Fetcher {
    /// Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(connector: Connector) -> Self {
        Self { client: http_client(connector) }
    }

    /// `GET /members`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn members(&self, url: &str, limit: Duration) -> Result<FetchedMembers, FetchError> {
        let answer = self.ask(url, "/members", Question::get(limit)).await?;
        let Some(cluster) = answer.cluster() else {
            return Err(answer.misunderstood("no X-Etcd-Cluster-ID header"));
        };
        Ok(FetchedMembers { cluster, members: answer.json()? })
    }

    /// `GET /version`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn version(&self, url: &str, limit: Duration) -> Result<FetchedVersion, FetchError> {
        self.ask(url, "/version", Question::get(limit)).await?.json()
    }

    /// `GET /members/hashkv` at a revision (0: the peer's current one).
    ///
    /// # Errors
    /// See [`FetchError`]; a compacted or future revision is a `Status` with 400.
    pub async fn hash_kv(
        &self,
        url: &str,
        cluster: ClusterId,
        revision: Revision,
        limit: Duration,
    ) -> Result<FetchedHashKv, FetchError> {
        let body = serde_json::to_vec(&HashKvQuestion { revision: revision.get() })
            .expect("a struct of one number is JSON");
        let question =
            Question { body: body.into(), cluster: Some(cluster), ..Question::get(limit) };
        let answer = self.ask(url, "/members/hashkv", question).await?;
        let cluster = answer.cluster();
        let hash: HashKvAnswer = answer.json()?;
        Ok(FetchedHashKv {
            cluster,
            revision: Revision::new(hash.header.revision),
            hash: hash.hash,
            compact_revision: Revision::new(hash.compact_revision),
        })
    }

    /// `GET /downgrade/enabled`; a 3.4 peer answers 404.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn downgrade_enabled(&self, url: &str, limit: Duration) -> Result<bool, FetchError> {
        let answer = self.ask(url, "/downgrade/enabled", Question::get(limit)).await?;
        match answer.body.as_ref() {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(answer.misunderstood("neither true nor false")),
        }
    }

    /// `POST /members/promote/ID`: asks the leader to give a learner its vote.
    ///
    /// # Errors
    /// See [`FetchError`]; 404 no such member, 412 no learner or not caught up.
    pub async fn promote(
        &self,
        url: &str,
        learner: MemberId,
        limit: Duration,
    ) -> Result<Vec<FetchedMember>, FetchError> {
        let path = format!("/members/promote/{}", learner.get());
        let question = Question { method: Method::POST, ..Question::get(limit) };
        self.ask(url, &path, question).await?.json()
    }

    async fn ask(&self, url: &str, path: &str, question: Question) -> Result<Answer, FetchError> {
        let url = PeerUrl::parse(url).map_err(FetchError::Url)?.join(path);
        let limit = question.limit;
        match tokio::time::timeout(limit, self.ask_unbounded(&url, question)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(FetchError::Timeout { url, limit }),
        }
    }

    async fn ask_unbounded(&self, url: &str, question: Question) -> Result<Answer, FetchError> {
        let mut request = Request::builder().method(question.method).uri(url);
        if let Some(cluster) = question.cluster {
            request = request.header("X-Etcd-Cluster-ID", cluster.to_string());
        }
        if !question.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(question.body))
            .map_err(|error| misunderstood(url, &format!("no request to it: {error}")))?;
        let broken = |source| FetchError::Connect { url: url.to_owned(), source };
        let response =
            self.client.request(request).await.map_err(|error| broken(Box::new(error)))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(broken)?.to_bytes();
        if !parts.status.is_success() {
            let start = body.slice(..body.len().min(ERROR_TEXT_BYTES_MAX));
            let text = String::from_utf8_lossy(&start).trim_end().to_owned();
            return Err(FetchError::Status { url: url.to_owned(), status: parts.status, text });
        }
        Ok(Answer { url: url.to_owned(), headers: parts.headers, body })
    }
}

struct Question {
    method: Method,
    body: Bytes,
    cluster: Option<ClusterId>,
    limit: Duration,
}

impl Question {
    fn get(limit: Duration) -> Self {
        Self { method: Method::GET, body: Bytes::new(), cluster: None, limit }
    }
}

impl Answer {
    fn cluster(&self) -> Option<ClusterId> {
        self.headers.get("X-Etcd-Cluster-ID")?.to_str().ok()?.parse().ok()
    }

    fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, FetchError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| misunderstood(&self.url, &error.to_string()))
    }

    fn misunderstood(&self, reason: &str) -> FetchError {
        misunderstood(&self.url, reason)
    }
}

fn misunderstood(url: &str, reason: &str) -> FetchError {
    FetchError::Answer { url: url.to_owned(), reason: reason.to_owned() }
}

/// Go writes an empty list as null.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// An HTTP/1.1 client whose idle connections end before the peer's read deadline ends them.
pub(crate) fn http_client<B>(connector: Connector) -> Client<Connector, B>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(4))
        .pool_timer(TokioTimer::new())
        .build(connector)
}

#[cfg(test)]
mod tests;
