//! Plain HTTP on the client port: /version, /health, /metrics, /v2/members, with etcd's bodies and CORS headers.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::any,
};

use super::{health, members};
use crate::server::Server;

/// The plain HTTP endpoints.
pub(super) fn router(server: &Arc<Server>) -> Router {
    Router::new()
        .route("/version", any(version))
        .route("/health", any(health::health))
        .route("/metrics", any(metrics))
        .route("/v2/members", any(members::serve))
        .route("/v2/members/", any(members::serve))
        .route("/v2/members/{*rest}", any(members::serve))
        .layer(middleware::from_fn(cross_origin))
        .with_state(Arc::clone(server))
}

/// The endpoints of `--listen-metrics-urls`.
pub(super) fn metrics_router(server: &Arc<Server>) -> Router {
    Router::new()
        .route("/health", any(health::health))
        .route("/metrics", any(metrics))
        .with_state(Arc::clone(server))
}

/// The answer to any method but GET, as Go gives it: 405 with `Allow`.
pub(crate) fn refuse_method(method: &Method) -> Option<Response> {
    let allow = [(header::ALLOW, "GET")];
    let refusal = (StatusCode::METHOD_NOT_ALLOWED, allow, "Method Not Allowed\n");
    (method != Method::GET).then(|| refusal.into_response())
}

/// `{"etcdserver":"3.5.21","etcdcluster":"3.5.0"}`.
async fn version(State(server): State<Arc<Server>>, method: Method) -> Response {
    if let Some(refused) = refuse_method(&method) {
        return refused;
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, server.version_json()).into_response()
}

async fn metrics(State(server): State<Arc<Server>>, method: Method) -> Response {
    if let Some(refused) = refuse_method(&method) {
        return refused;
    }
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (text, server.metrics_text()).into_response()
}

/// Lets browsers of any origin in, as `--cors *` (the default) does.
async fn cross_origin(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response =
        if preflight { StatusCode::OK.into_response() } else { next.run(request).await };
    allow_any_origin(&mut response);
    response
}

/// Adds the headers.
pub(super) fn allow_any_origin(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE"),
    );
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("accept, content-type, authorization"),
    );
}
