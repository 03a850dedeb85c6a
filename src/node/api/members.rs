//! /v2/members as etcd's API v2 answers it: what `curl` and the v2 etcdctl use to see and to change the members.
//! Facts: surface B.2.

mod change;

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

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

/// All methods on `/v2/members` and below.
pub(super) async fn serve(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let rest = uri.path().strip_prefix("/v2/members").unwrap_or_default();
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    match method {
        Method::GET => read(&server, rest),
        Method::POST => change::add(&server, &headers, &body).await,
        Method::PUT => change::update(&server, rest, &headers, &body).await,
        Method::DELETE => change::remove(&server, rest).await,
        _ => {
            let allow = [(header::ALLOW, "GET,POST,DELETE,PUT")];
            (StatusCode::METHOD_NOT_ALLOWED, allow, "Method Not Allowed\n").into_response()
        }
    }
}

/// `{"members":[…]}`, or the leader alone; any other sub-path is 404.
fn read(server: &Server, rest: &str) -> Response {
    let membership = server.membership();
    match rest {
        "" => {
            let members = membership.members().into_iter().map(MemberV2::from).collect();
            success(server, StatusCode::OK, &Members { members })
        }
        "leader" => {
            let leader = server.raft_status().leader;
            match leader.and_then(|id| membership.member(id)) {
                Some(member) => success(server, StatusCode::OK, &MemberV2::from(member)),
                None => message(server, StatusCode::SERVICE_UNAVAILABLE, "During election"),
            }
        }
        _ => message(server, StatusCode::NOT_FOUND, "Not found"),
    }
}

fn message(server: &Server, code: StatusCode, text: &str) -> Response {
    answer(server, code, &serde_json::json!({ "message": text }), "")
}

/// Go ends what it encodes with a newline, but not its errors.
fn success(server: &Server, code: StatusCode, body: &impl Serialize) -> Response {
    answer(server, code, body, "\n")
}

fn answer(server: &Server, code: StatusCode, body: &impl Serialize, end: &str) -> Response {
    let mut text = serde_json::to_string(body).unwrap_or_default();
    text.push_str(end);
    let json = [(header::CONTENT_TYPE, "application/json")];
    (code, json, cluster_header(server), text).into_response()
}

fn cluster_header(server: &Server) -> [(HeaderName, String); 1] {
    [(HeaderName::from_static("x-etcd-cluster-id"), server.cluster_id().to_string())]
}
