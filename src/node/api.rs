//! The client port: gRPC services, the HTTP endpoints beside them, and the loop that serves both on one listener.
//! Everything here is thin: it checks, asks the [`Server`], and words the answer as etcd does.

mod authority;
mod cluster;
mod guard;
mod health;
mod http;
mod kv;
mod listen;
mod maintenance;
mod members;
mod status;
mod wording;

pub(crate) use self::{http::refuse_method, listen::serve};

use std::sync::Arc;

use axum::Router;
use base::limits;
use tonic::service::Routes;
use wire::etcdserverpb::{
    cluster_server::ClusterServer, kv_server::KvServer, maintenance_server::MaintenanceServer,
};

use crate::server::Server;

/// All that the client port answers, for gRPC (by content type) and plain HTTP.
pub(crate) fn router(server: &Arc<Server>) -> Router {
    let largest = server.config().max_request_bytes + limits::GRPC_OVERHEAD_BYTES;
    let kv = KvServer::new(kv::KvService::new(Arc::clone(server)))
        .max_decoding_message_size(largest)
        .max_encoding_message_size(limits::GRPC_SEND_BYTES_MAX);
    let cluster = ClusterServer::new(cluster::ClusterService::new(Arc::clone(server)))
        .max_decoding_message_size(largest);
    let maintenance =
        MaintenanceServer::new(maintenance::MaintenanceService::new(Arc::clone(server)))
            .max_decoding_message_size(largest);
    Routes::new(kv)
        .add_service(cluster)
        .add_service(maintenance)
        .prepare()
        .into_axum_router()
        .layer(axum::middleware::map_response(wording::as_go_words_it))
        .layer(axum::middleware::from_fn(wording::name_unknown_methods))
        .merge(http::router(server))
        .fallback(wording::fallback)
}

/// What `--listen-metrics-urls` answers: /metrics and /health.
pub(crate) fn metrics_router(server: &Arc<Server>) -> Router {
    http::metrics_router(server)
}
