//! The address on which an agent serves other agents and the command line of other machines.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tls::{Refusals, ServerSettings, ServerTls, TlsIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tower::layer::layer_fn;
use wire::agentpb::{agent_server::AgentServer, peers_server::PeersServer};

use super::{
    AgentError,
    caller::{Caller, Guard},
    cluster::Cluster,
    link::MESSAGE_BYTES_MAX,
    many::Many,
    peer_service::PeerService,
    service::Service,
};

/// Connections whose handshake is done and that wait to be served.
const WAITING_MAX: usize = 16;
/// Pause after the system had no connection to give.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until told to end.
pub(super) async fn serve_others(
    service: Service,
    cluster: Arc<Cluster>,
    many: Arc<Many>,
    mut ending: watch::Receiver<bool>,
) -> Result<(), AgentError> {
    let address = many.file.listen;
    let failed = |source| AgentError::Address { address, source };
    let tls = many.file.tls.clone();
    let tls =
        tls.map(|it| ServerTls::new(ServerSettings::mutual(it.pair, it.trusted))).transpose()?;
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let how = if tls.is_some() { "with mutual TLS" } else { "in plain text" };
    tracing::info!("serves other agents on {address}, as the agent of {}, {how}", many.file.host);
    let (admitted, connections) = mpsc::channel(WAITING_MAX);
    let stop = async move {
        drop(ending.wait_for(|ending| *ending).await);
    };
    let peers = PeersServer::new(PeerService { cluster, many })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let served = tonic::transport::Server::builder()
        .layer(layer_fn(Guard))
        .add_service(AgentServer::new(service))
        .add_service(peers)
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), stop);
    let served = tokio::select! {
        served = served => served,
        () = accept(&listener, tls, &admitted) => Ok(()),
    };
    served.map_err(|error| failed(io::Error::other(error)))?;
    // Streams may still be open; the owner decides when it is over.
    std::future::pending().await
}

/// Takes connections for ever; a slow handshake holds up nobody else.
async fn accept(
    listener: &TcpListener,
    tls: Option<ServerTls>,
    admitted: &mpsc::Sender<io::Result<Connection>>,
) {
    let refusals = Refusals::default();
    loop {
        let (io, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("no connection could be taken: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (tls, admitted, refusals) = (tls.clone(), admitted.clone(), refusals.clone());
        tokio::spawn(async move {
            match tls::admit(tls.as_ref(), io, from).await {
                // Whoever serves has ended: so does the connection.
                Ok(io) => drop(admitted.send(Ok(Connection::new(io, from))).await),
                Err(error) => refusals.log(from, &error),
            }
        });
    }
}

/// A connection that knows who is at its other end.
#[derive(Debug)]
struct Connection {
    io: TlsIo,
    caller: Option<Caller>,
}

impl Connection {
    fn new(io: TlsIo, from: SocketAddr) -> Self {
        let caller = Caller::of(&io);
        tracing::debug!("{from} is {caller:?}");
        Self { io, caller }
    }
}

impl Connected for Connection {
    type ConnectInfo = Option<Caller>;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
