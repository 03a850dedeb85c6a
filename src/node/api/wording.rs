//! Words answers of the gRPC layer as Go's library words them, for clients that map errors by text.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tonic::{Code, Status};

use super::http;

/// Begin of tonic's text for a message over the limit: `… found N bytes, the limit is: M bytes`.
const TOO_LARGE: &str = "Error, decoded message length too large: found ";

/// A message over the limit is ResourceExhausted in Go, with both numbers.
pub(super) async fn as_go_words_it(response: Response) -> Response {
    let Some(text) = message(response.headers()) else { return response };
    let Some(rest) = text.strip_prefix(TOO_LARGE) else { return response };
    let numbers: Vec<&str> = rest
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|word| !word.is_empty())
        .collect();
    let &[found, limit] = numbers.as_slice() else { return response };
    let text = format!("grpc: received message larger than max ({found} vs. {limit})");
    Status::resource_exhausted(text).into_http()
}

/// The decoded `grpc-message` of an answer without a body.
fn message(headers: &HeaderMap) -> Option<String> {
    headers.get("grpc-status")?;
    Status::from_header_map(headers).map(|status| status.message().to_owned())
}

/// An unknown method of a served service: Go says which.
pub(super) async fn name_unknown_methods(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let unnamed = response.headers().get("grpc-status").is_some_and(|code| code == "12")
        && response.headers().get("grpc-message").is_none_or(HeaderValue::is_empty);
    match path.trim_start_matches('/').split_once('/') {
        Some((service, method)) if unnamed => {
            let text = format!("unknown method {method} for service {service}");
            Status::unimplemented(text).into_http()
        }
        _ => response,
    }
}

/// Whatever no route serves: gRPC is told the service is unknown, HTTP gets Go's 404.
pub(super) async fn fallback(request: Request) -> Response {
    let grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if !grpc {
        let mut response = match *request.method() {
            Method::OPTIONS => StatusCode::OK.into_response(),
            _ => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
        };
        http::allow_any_origin(&mut response);
        return response;
    }
    let path = request.uri().path().trim_start_matches('/');
    let Some((service, _)) = path.rsplit_once('/') else {
        let text = format!("malformed method name: {:?}", request.uri().path());
        return Status::new(Code::Unimplemented, text).into_http();
    };
    Status::unimplemented(format!("unknown service {service}")).into_http()
}
