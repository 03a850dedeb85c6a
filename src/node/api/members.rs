//! GET /v2/members as etcd's API v2 answers it: what `curl` and the v2 etcdctl read first.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderName, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base::MemberId;
use serde::Serialize;

use super::http::refuse_method;
use crate::server::Server;

/// A member as API v2 shows it: the id as a hex string, empty lists and names present.
#[derive(Debug, Serialize)]
struct MemberV2 {
    id: String,
    name: String,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs")]
    client_urls: Vec<String>,
}

impl From<state::membership::Member> for MemberV2 {
    fn from(member: state::membership::Member) -> Self {
        Self {
            id: member.id.to_string(),
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
        }
    }
}

#[derive(Debug, Serialize)]
struct Members {
    members: Vec<MemberV2>,
}

/// `{"members":[…]}`.
pub(super) async fn list(State(server): State<Arc<Server>>, method: Method) -> Response {
    if let Some(refused) = refuse_method(&method) {
        return refused;
    }
    let members = server.membership().members().into_iter().map(MemberV2::from).collect();
    // Go ends what it encodes with a newline, but not its errors.
    answer(&server, StatusCode::OK, &Members { members }, "\n")
}

/// `/v2/members/leader`; any other sub-path is 404.
pub(super) async fn one(
    State(server): State<Arc<Server>>,
    method: Method,
    Path(rest): Path<String>,
) -> Response {
    if let Some(refused) = refuse_method(&method) {
        return refused;
    }
    if rest.trim_end_matches('/') != "leader" {
        return message(&server, StatusCode::NOT_FOUND, "Not found");
    }
    let leader = server.raft_status().leader;
    let member = leader.and_then(|id: MemberId| server.membership().member(id));
    match member {
        Some(member) => answer(&server, StatusCode::OK, &MemberV2::from(member), "\n"),
        None => message(&server, StatusCode::SERVICE_UNAVAILABLE, "During election"),
    }
}

fn message(server: &Server, code: StatusCode, text: &str) -> Response {
    answer(server, code, &serde_json::json!({ "message": text }), "")
}

fn answer(server: &Server, code: StatusCode, body: &impl Serialize, end: &str) -> Response {
    let mut text = serde_json::to_string(body).unwrap_or_default();
    text.push_str(end);
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (HeaderName::from_static("x-etcd-cluster-id"), server.cluster_id().to_string()),
    ];
    (code, headers, text).into_response()
}
