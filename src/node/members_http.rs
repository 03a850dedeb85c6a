//! What the peer port answers beside raft's traffic: who the members are, versions, hashes for the
//! corruption check, and whether a downgrade is under way. Facts: surface D.1.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use serde::{Deserialize, Serialize};

use crate::{api::refuse_method, server::Server};

const CLUSTER_ID: HeaderName = HeaderName::from_static("x-etcd-cluster-id");
const JSON: &str = "application/json";

/// The routes, to be merged with those of raft's traffic.
pub(crate) fn router(server: &Arc<Server>) -> Router {
    Router::new()
        .route("/members", any(members))
        .route("/version", any(version))
        .route("/members/hashkv", any(hash_kv))
        .route("/downgrade/enabled", any(downgrade_enabled))
        .with_state(Arc::clone(server))
}

async fn members(State(server): State<Arc<Server>>, method: Method) -> Response {
    if let Some(refused) = refuse_method(&method) {
        return refused;
    }
    let members: Vec<String> =
        server.membership().members().iter().map(state::Member::to_json).collect();
    let cluster = server.cluster_id().to_string();
    let headers = [(CLUSTER_ID, cluster.as_str()), (header::CONTENT_TYPE, JSON)];
    (headers, format!("[{}]\n", members.join(","))).into_response()
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
