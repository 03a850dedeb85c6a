//! What the peer port answers beside raft's traffic: who the members are, versions, hashes for the corruption check,
//! whether a downgrade is under way, and the promotion of a learner that another member was asked for. Facts: surface D.1.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use base::MemberId;
use serde::{Deserialize, Serialize};
use state::ApiError;

use crate::{api::refuse_method, server::Server};

const CLUSTER_ID: HeaderName = HeaderName::from_static("x-etcd-cluster-id");
const JSON: &str = "application/json";

/// The routes, to be merged with those of raft's traffic.
pub(crate) fn router(server: &Arc<Server>) -> Router {
    Router::new()
        .route("/members", any(members))
        .route("/version", any(version))
        .route("/members/hashkv", any(hash_kv))
        .route("/members/promote/{id}", any(promote))
        .route("/downgrade/enabled", any(downgrade_enabled))
        .with_state(Arc::clone(server))
}

async fn members(State(server): State<Arc<Server>>, method: Method) -> Response {
    if let Some(refused) = refuse_method(&method) {
        return refused;
    }
    let cluster = server.cluster_id().to_string();
    let headers = [(CLUSTER_ID, cluster.as_str()), (header::CONTENT_TYPE, JSON)];
    (headers, members_json(&server.membership().members())).into_response()
}

fn members_json(members: &[state::Member]) -> String {
    let members: Vec<String> = members.iter().map(state::Member::to_json).collect();
    format!("[{}]\n", members.join(","))
}

/// Another member passes a client's MemberPromote on to this one, which it takes for the leader. If it is not, the other
/// asks again: it is not passed on a second time.
async fn promote(
    State(server): State<Arc<Server>>,
    method: Method,
    Path(id): Path<String>,
) -> Response {
    if method != Method::POST {
        let allow = [(header::ALLOW, "POST")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "Method Not Allowed\n").into_response();
    }
    let cluster = [(CLUSTER_ID, server.cluster_id().to_string())];
    let Ok(number) = id.parse() else {
        let text = format!("member {id} not found in cluster\n");
        return (StatusCode::NOT_FOUND, cluster, text).into_response();
    };
    let json = [(header::CONTENT_TYPE, JSON)];
    match server.promote_as_leader(MemberId::new(number)).await {
        Ok(members) => (cluster, json, members_json(&members)).into_response(),
        Err(ApiError::MemberNotFound) => {
            (StatusCode::NOT_FOUND, cluster, "membership: ID not found\n").into_response()
        }
        Err(ApiError::MemberNotLearner) => {
            let text = "membership: can only promote a learner member\n";
            (StatusCode::PRECONDITION_FAILED, cluster, text).into_response()
        }
        Err(error @ ApiError::LearnerNotReady) => {
            (StatusCode::PRECONDITION_FAILED, cluster, format!("{error}\n")).into_response()
        }
        // Of anything else etcd says no more, either.
        Err(_) => {
            let text = r#"{"message":"Internal Server Error"}"#;
            (StatusCode::INTERNAL_SERVER_ERROR, cluster, json, text).into_response()
        }
    }
}

async fn version(State(server): State<Arc<Server>>, method: Method) -> Response {
    if let Some(refused) = refuse_method(&method) {
        return refused;
    }
    ([(header::CONTENT_TYPE, JSON)], server.version_json()).into_response()
}

#[derive(Debug, Deserialize)]
struct HashKvQuestion {
    #[serde(default)]
    revision: i64,
}

/// As Go writes the protobuf message: zeroes are left out.
#[derive(Debug, Serialize)]
struct HashKvAnswer {
    header: HashKvHeader,
    #[serde(skip_serializing_if = "is_zero")]
    hash: i64,
    #[serde(skip_serializing_if = "is_zero")]
    compact_revision: i64,
}

#[derive(Debug, Serialize)]
struct HashKvHeader {
    revision: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

async fn hash_kv(
    State(server): State<Arc<Server>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refused) = refuse_method(&method) {
        return refused;
    }
    let cluster = server.cluster_id().to_string();
    if headers.get(CLUSTER_ID).is_some_and(|theirs| theirs.as_bytes() != cluster.as_bytes()) {
        return (StatusCode::PRECONDITION_FAILED, "cluster ID mismatch\n").into_response();
    }
    let Ok(question) = serde_json::from_slice::<HashKvQuestion>(&body) else {
        return (StatusCode::BAD_REQUEST, "error unmarshalling request\n").into_response();
    };
    let kv = Arc::clone(server.kv());
    let hashed = tokio::task::spawn_blocking(move || kv.hash_kv(question.revision)).await;
    let hash = match hashed {
        Ok(Ok(hash)) => hash,
        Ok(Err(error)) => {
            let text = error.to_string();
            let plain = text.strip_prefix("etcdserver: ").unwrap_or(&text);
            return (StatusCode::BAD_REQUEST, format!("{plain}\n")).into_response();
        }
        Err(error) => {
            let text = format!("the hash was not finished: {error}\n");
            return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
        }
    };
    let answer = HashKvAnswer {
        header: HashKvHeader { revision: hash.current.get() },
        hash: i64::from(hash.hash),
        compact_revision: hash.compact_revision,
    };
    let text = serde_json::to_string(&answer).expect("numbers are JSON");
    let headers = [(CLUSTER_ID, cluster.as_str()), (header::CONTENT_TYPE, JSON)];
    (headers, text).into_response()
}

/// `true` or `false`, after a linearizable read, as in etcd.
async fn downgrade_enabled(State(server): State<Arc<Server>>, method: Method) -> Response {
    if let Some(refused) = refuse_method(&method) {
        return refused;
    }
    if let Err(error) = server.linearizable_read().await {
        let text = format!("failed linearized read: {error}\n");
        return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
    }
    let enabled = server.membership().downgrade_target().is_some();
    let cluster = server.cluster_id().to_string();
    ([(CLUSTER_ID, cluster)], enabled.to_string()).into_response()
}
