//! POST, PUT and DELETE on /v2/members: the changes of API v2, with its status codes and words.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base::MemberId;
use serde_json::Value;
use state::ApiError;

use super::{MemberV2, cluster_header, message, success};
use crate::server::{Server, Standing, parse_peer_urls};

/// A request that is answered without asking the cluster.
struct Unfit(StatusCode, String);

/// `POST /v2/members` with `{"peerURLs":[…]}`: a new voter.
pub(super) async fn add(server: &Server, headers: &HeaderMap, body: &[u8]) -> Response {
    let urls = match peer_urls(headers, body) {
        Ok(urls) => urls,
        Err(Unfit(code, text)) => return message(server, code, &text),
    };
    match server.add_member(&urls, Standing::Voter).await {
        Ok((member, _)) => success(server, StatusCode::CREATED, &MemberV2::from(member)),
        Err(ApiError::PeerUrlExists) => conflict(server, "membership: peerURL exists"),
        Err(ApiError::MemberExists) => conflict(server, "membership: ID exists"),
        Err(error) => failed(server, &error),
    }
}

/// `PUT /v2/members/ID` with `{"peerURLs":[…]}`: other URLs of a member.
pub(super) async fn update(
    server: &Server,
    id: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let member = match parse_id(server, id) {
        Ok(member) => member,
        Err(refusal) => return *refusal,
    };
    let urls = match peer_urls(headers, body) {
        Ok(urls) => urls,
        Err(Unfit(code, text)) => return message(server, code, &text),
    };
    match server.update_member(member, urls).await {
        Ok(_) => (StatusCode::NO_CONTENT, cluster_header(server)).into_response(),
        Err(ApiError::PeerUrlExists) => conflict(server, "membership: peerURL exists"),
        Err(ApiError::MemberNotFound) if !server.membership().is_removed(member) => {
            unknown(server, &member.to_string())
        }
        Err(error) => failed(server, &error),
    }
}

/// `DELETE /v2/members/ID`.
pub(super) async fn remove(server: &Server, id: &str) -> Response {
    let member = match parse_id(server, id) {
        Ok(member) => member,
        Err(refusal) => return *refusal,
    };
    let was_removed = server.membership().is_removed(member);
    match server.remove_member(member).await {
        Ok(_) => (StatusCode::NO_CONTENT, cluster_header(server)).into_response(),
        Err(ApiError::MemberNotFound) if was_removed || server.membership().is_removed(member) => {
            let text = format!("Member permanently removed: {member}");
            message(server, StatusCode::GONE, &text)
        }
        Err(ApiError::MemberNotFound) => unknown(server, &member.to_string()),
        Err(error) => failed(server, &error),
    }
}

fn conflict(server: &Server, text: &str) -> Response {
    message(server, StatusCode::CONFLICT, text)
}

fn unknown(server: &Server, id: &str) -> Response {
    message(server, StatusCode::NOT_FOUND, &format!("No such member: {id}"))
}

/// API v2 does not tell a client why; the log does.
fn failed(server: &Server, error: &ApiError) -> Response {
    tracing::warn!(%error, "a change of the members by API v2 was refused");
    message(server, StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn parse_id(server: &Server, id: &str) -> Result<MemberId, Box<Response>> {
    if id.is_empty() {
        let refusal =
            (StatusCode::METHOD_NOT_ALLOWED, cluster_header(server), "Method Not Allowed\n");
        return Err(Box::new(refusal.into_response()));
    }
    id.parse().map_err(|_not_hex| Box::new(unknown(server, id)))
}

fn peer_urls(headers: &HeaderMap, body: &[u8]) -> Result<Vec<String>, Unfit> {
    let bad = |text: String| Unfit(StatusCode::BAD_REQUEST, text);
    let given = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    // As in etcd: letter case counts unless parameters follow.
    let kind = match given.unwrap_or_default().split_once(';') {
        Some((kind, _)) => kind.to_lowercase().trim().to_owned(),
        None => given.unwrap_or_default().to_owned(),
    };
    if kind != "application/json" {
        let text = format!("Bad Content-Type {kind}, accept application/json");
        return Err(Unfit(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    if body.is_empty() {
        return Err(bad("unexpected end of JSON input".to_owned()));
    }
    let value = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    let urls = listed(value).map_err(|text| bad(text.to_owned()))?;
    parse_peer_urls(&urls).map_err(bad)
}

/// The list under `peerURLs`, in any letter case as Go takes it; empty if there is none.
fn listed(value: Value) -> Result<Vec<String>, &'static str> {
    let Value::Object(fields) = value else { return Err("the body must be a JSON object") };
    let found = fields.into_iter().rfind(|(name, _)| name.eq_ignore_ascii_case("peerURLs"));
    match found {
        None | Some((_, Value::Null)) => Ok(Vec::new()),
        Some((_, list)) => {
            serde_json::from_value(list).map_err(|_error| "peerURLs must be a list of strings")
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn parsed(kind: &'static str, body: &str) -> Result<Vec<String>, (u16, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        peer_urls(&headers, body.as_bytes()).map_err(|Unfit(code, text)| (code.as_u16(), text))
    }

    #[test]
    fn bodies_are_taken_as_etcd_takes_them() {
        let url = vec!["http://127.0.0.1:1".to_owned()];
        let body = r#"{"peerURLs":["http://127.0.0.1:1"]}"#;
        assert_eq!(parsed("application/json", body), Ok(url.clone()));
        assert_eq!(parsed("Application/JSON; charset=utf-8", body), Ok(url.clone()));
        let lower = r#"{"other":1,"peerurls":["http://127.0.0.1:1"]}"#;
        assert_eq!(parsed("application/json", lower), Ok(url));
    }

    #[test]
    fn unfit_bodies_are_refused_with_etcds_codes_and_words() {
        let refused = |kind: &'static str, body: &str| parsed(kind, body).unwrap_err();
        let (code, text) = refused("text/plain", "{}");
        assert_eq!(
            (code, text.as_str()),
            (415, "Bad Content-Type text/plain, accept application/json")
        );
        for (body, text) in [
            ("", "unexpected end of JSON input"),
            ("{}", "no valid URLs given"),
            (r#"{"peerURLs":null}"#, "no valid URLs given"),
            (r#"{"peerURLs":["xx"]}"#, "URL scheme must be http, https, unix, or unixs: xx"),
            (r#"{"peerURLs":"xx"}"#, "peerURLs must be a list of strings"),
        ] {
            assert_eq!(refused("application/json", body), (400, text.to_owned()));
        }
    }
}
