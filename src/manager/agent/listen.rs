//! The address on which an agent serves other agents and the command line of other machines.

use std::{io, sync::Arc};

use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;
use wire::agentpb::{agent_server::AgentServer, peers_server::PeersServer};

use super::{
    AgentError, cluster::Cluster, link::MESSAGE_BYTES_MAX, many::Many, peer_service::PeerService,
    service::Service,
};

/// Serves until told to end.
pub(super) async fn serve_others(
    service: Service,
    cluster: Arc<Cluster>,
    many: Arc<Many>,
    mut ending: watch::Receiver<bool>,
) -> Result<(), AgentError> {
    let address = many.file.listen;
    let failed = |source| AgentError::Address { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    tracing::info!("serves other agents on {address}, as the agent of {}", many.file.host);
    let stop = async move {
        drop(ending.wait_for(|ending| *ending).await);
    };
    let peers = PeersServer::new(PeerService { cluster, many })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let served = tonic::transport::Server::builder()
        .add_service(AgentServer::new(service))
        .add_service(peers)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop)
        .await;
    served.map_err(|error| failed(io::Error::other(error)))?;
    // Streams may still be open; the owner decides when it is over.
    std::future::pending().await
}
