//! Answers the peer port while this member still starts: with 503 at once, so that members that start at
//! the same time do not wait for each other's answers until a timeout.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tower::ServiceExt;

/// Where the real routes are put once they exist.
#[derive(Debug, Clone, Default)]
pub(super) struct Routes(Arc<OnceLock<Router>>);

impl Routes {
    /// A router that goes by what was put here last.
    pub(super) fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    /// From now on these answer. To be called once.
    pub(super) fn open(&self, routes: Router) {
        // A second call would be a bug that changes nothing.
        drop(self.0.set(routes));
    }
}

async fn answer(State(routes): State<Routes>, request: Request) -> Response {
    match routes.0.get() {
        Some(router) => router.clone().oneshot(request).await.into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "this member is starting\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};

    use super::*;

    #[tokio::test]
    async fn before_the_routes_are_there_the_answer_is_503_and_then_theirs() {
        let routes = Routes::default();
        let router = routes.router();
        let ask = || {
            let request = Request::get("/members").body(Body::empty()).unwrap();
            let router = router.clone();
            async { router.oneshot(request).await.unwrap().status() }
        };
        assert_eq!(ask().await, StatusCode::SERVICE_UNAVAILABLE);
        routes.open(Router::new().route("/members", get(async || "[]")));
        assert_eq!(ask().await, StatusCode::OK);
    }
}
