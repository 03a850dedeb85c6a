//! GET /health as etcd 3.5 answers it: alarms, then a leader, then a linearizable read.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use wire::etcdserverpb::{AlarmType, RangeRequest};

use super::http::refuse_method;
use crate::server::Server;

/// What the query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    /// Alarms that do not count (`exclude=NOSPACE`, repeatable).
    excluded: Vec<String>,
    /// Skip leader and quorum.
    serializable: bool,
}

/// 200 `{"health":"true","reason":""}`, or 503 with the reason.
pub(super) async fn health(
    State(server): State<Arc<Server>>,
    method: Method,
    RawQuery(query): RawQuery,
) -> Response {
    if let Some(refused) = refuse_method(&method) {
        return refused;
    }
    let query = parse(query.as_deref().unwrap_or_default());
    let reason = reason(&server, &query).await;
    server.count_health(reason.is_none());
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    match reason {
        None => (text, r#"{"health":"true","reason":""}"#.to_owned()).into_response(),
        Some(reason) => {
            let reason = serde_json::Value::from(reason);
            let body = format!("{{\"health\":\"false\",\"reason\":{reason}}}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text, body).into_response()
        }
    }
}

fn parse(query: &str) -> Query {
    let mut parsed = Query::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "exclude" => parsed.excluded.push(value.into_owned()),
            "serializable" => parsed.serializable = value == "true",
            _ => {}
        }
    }
    parsed
}

/// Why this member is not healthy.
async fn reason(server: &Server, query: &Query) -> Option<String> {
    for alarm in server.alarms().list() {
        let kind = AlarmType::try_from(alarm.alarm).unwrap_or_default();
        let name = kind.as_str_name();
        if kind != AlarmType::None && !query.excluded.iter().any(|excluded| excluded == name) {
            return Some(format!("ALARM {name}"));
        }
    }
    if !query.serializable {
        if server.raft_status().leader.is_none() {
            return Some("RAFT NO LEADER".to_owned());
        }
        if let Err(error) = server.linearizable_read().await {
            return Some(format!("RANGE ERROR:{error}"));
        }
    }
    let probe =
        RangeRequest { key: "health".into(), limit: 1, keys_only: true, ..Default::default() };
    server.kv().range(&probe).err().map(|error| format!("RANGE ERROR:{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excludes_repeat_and_serializable_is_spelt_out() {
        let query = parse("exclude=NOSPACE&exclude=CORRUPT&serializable=true&other=1");
        assert_eq!(query.excluded, ["NOSPACE", "CORRUPT"]);
        assert!(query.serializable);
        assert_eq!(parse("serializable=yes"), Query::default());
    }
}
