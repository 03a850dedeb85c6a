//! `etcd-manager agent`: takes the state dir, opens the control group, adopts what runs, serves the
//! socket, and reconciles. Ending it never ends a node (R10, R14).

mod caller;
pub(crate) mod cluster;
mod control_mark;
mod equal_specs;
mod follow;
mod founding;
mod gateway;
mod govern;
pub(crate) mod init;
mod journal;
pub(crate) mod link;
mod listen;
pub mod local;
mod mailbox;
mod many;
mod metrics;
mod orders;
mod pause;
mod peer_service;
mod peers;
pub(crate) mod planner;
pub(crate) mod reconcile;
mod service;
mod spec_watch;
pub(crate) mod tail;
pub(crate) mod voice;

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base::{Clock, ErrorChain};
use disk::Disk;
use tls::{ClientTls, Role, Usage};
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_stream::wrappers::UnixListenerStream;
use wire::agentpb::agent_server::AgentServer;

use crate::{
    control::{Control, ControlError, mark::Marks},
    guarded, pki,
    spec::agent_file::{AgentFile, AgentTls},
    supervise::folders::make_private,
};
use cluster::{Cluster, Tools};
use gateway::Gateway;
use mailbox::Mailbox;
use many::Many;
use peers::Peers;
use reconcile::{REQUESTS_MAX, Reconciler};
use service::Service;

/// Events of nodes waiting for the journal.
const EVENTS_MAX: usize = 64;

/// Name of the socket in the state dir.
pub const SOCKET: &str = "agent.sock";

/// What an agent is started with.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Path of `etcd-manager`, which is also the shim.
    pub manager: PathBuf,
    /// The state dir; made if absent.
    pub state_dir: PathBuf,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where to write a pid file once it is up.
    pub pid_file: Option<PathBuf>,
    /// What `agent.toml` says; none for the embedded agent of a single machine.
    pub file: Option<AgentFile>,
}

/// Why an agent ends with a failure.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Another agent has the state dir.
    #[error("another agent runs on {}", .0.display())]
    Taken(PathBuf),
    /// The state dir cannot be used.
    #[error("cannot use the state dir {}", path.display())]
    StateDir {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The control state is unreadable or cannot be written: nothing is done (R13).
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The address for other agents cannot be served.
    #[error("cannot serve {address}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its certificates cannot be used.
    #[error("the certificates that agent.toml names cannot be used")]
    Tls(#[from] tls::TlsError),
    /// Its certificate is another's.
    #[error("{} is no certificate of the agent of {host}, but of {found}: `etcd-manager pki issue {host}` makes it", file.display())]
    WrongCertificate {
        /// Its file.
        file: PathBuf,
        /// This host.
        host: String,
        /// Whose it is.
        found: String,
    },
    /// The socket cannot be served.
    #[error("cannot serve {}", path.display())]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Runs until asked to end (SIGTERM, SIGINT or the API).
///
/// # Errors
/// [`AgentError`].
pub async fn run(options: AgentOptions) -> Result<(), AgentError> {
    let in_state_dir = |source| AgentError::StateDir { path: options.state_dir.clone(), source };
    make_private(&*options.disk, &options.state_dir).map_err(in_state_dir)?;
    let state_dir = options.state_dir.canonicalize().map_err(in_state_dir)?;
    let _lock = match options.disk.lock(&state_dir.join("lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(AgentError::Taken(state_dir));
        }
        Err(source) => return Err(in_state_dir(source)),
    };
    tracing::info!("agent {} on {}", env!("CARGO_PKG_VERSION"), state_dir.display());
    let records = record_dir(options.file.as_ref(), &state_dir);
    let (control, many) = open_control(&options, (&state_dir, &records)).await?;
    let socket = state_dir.join(SOCKET);
    let tools = Tools {
        manager: options.manager,
        records,
        state_dir,
        disk: options.disk,
        clock: options.clock,
        pulse: Arc::default(),
    };
    let (events_in, events) = mpsc::channel(EVENTS_MAX);
    let (wishes_in, wishes) = mpsc::channel(REQUESTS_MAX);
    let (shutdown, ending) = watch::channel(false);
    let cluster = Cluster::new(tools, control, many, events_in);
    let gateway = Gateway { cluster: cluster.clone(), wishes: wishes_in };
    let mut tasks = JoinSet::new();
    tasks.spawn(never_over(spec_watch::run(gateway.clone())));
    tasks.spawn(never_over(orders::run(cluster.clone())));
    tasks.spawn(never_over(metrics::run(cluster.clone())));
    let in_control = |error: ControlError| {
        tracing::error!("{}; this agent ends, the nodes run on", ErrorChain(&error));
        AgentError::from(error)
    };
    let journal = journal::run(cluster.clone(), events);
    tasks.spawn(async move { journal.await.map_err(in_control) });
    let reconciler = Reconciler::new(cluster.clone(), wishes);
    tasks.spawn(async move { reconciler.run().await.map_err(in_control) });
    let service = Service { gateway: gateway.clone(), shutdown };
    if let Some(many) = cluster.many.clone() {
        among_others(&mut tasks, &gateway, many, (service.clone(), ending.clone()));
    }
    let broken = cluster.control.clone();
    tasks.spawn(async move { Err(in_control(ControlError::Broken(broken.broken().await))) });
    let mut serving = tokio::spawn(serve((socket, options.pid_file), service, ending.clone()));
    let reporting = tokio::spawn(init::report(cluster.clone()));
    let mut is_drained = false;
    let ended = tokio::select! {
        Some(done) = tasks.join_next() => done.unwrap_or(Ok(())),
        served = &mut serving => served.unwrap_or(Ok(())),
        drains = asked_to_end(ending) => {
            is_drained = drains;
            Ok(())
        }
    };
    init::tell(sd_notify::NotifyState::Stopping);
    tasks.abort_all();
    if is_drained {
        init::drain(cluster).await;
    } else {
        tracing::info!("agent ends; nodes run on");
    }
    reporting.abort();
    serving.abort();
    ended
}

/// What an agent does besides where there are others.
fn among_others(
    tasks: &mut JoinSet<Result<(), AgentError>>,
    gateway: &Gateway,
    many: Arc<Many>,
    (service, ending): (Service, watch::Receiver<bool>),
) {
    let cluster = &gateway.cluster;
    tasks.spawn(never_over(equal_specs::run(gateway.clone(), many.clone())));
    tasks.spawn(never_over(many.clone().follow_addresses(cluster.control.clone())));
    let marks = Marks::new(cluster.tools.disk.clone(), &cluster.tools.records, &many.file.host);
    tasks.spawn(never_over(control_mark::run(cluster.control.clone(), marks)));
    tasks.spawn(never_over(govern::run(cluster.clone(), many.clone())));
    tasks.spawn(listen::serve_others(service, cluster.clone(), many, ending));
}

fn record_dir(file: Option<&AgentFile>, state_dir: &Path) -> PathBuf {
    let named = file.and_then(|file| file.record_dir.clone());
    named.unwrap_or_else(|| guarded::default_root(state_dir))
}

async fn never_over(task: impl Future<Output = ()>) -> Result<(), AgentError> {
    task.await;
    // Its reason to end is another's, who tells it.
    std::future::pending().await
}

/// The control group: of one, or a seat in one of many.
async fn open_control(
    options: &AgentOptions,
    (state_dir, records): (&Path, &Path),
) -> Result<(Control, Option<Arc<Many>>), AgentError> {
    let dir = state_dir.join("control");
    let (disk, clock) = (options.disk.clone(), options.clock.clone());
    let Some(file) = options.file.clone() else {
        return Ok((Control::open(disk, clock, &dir).await?, None));
    };
    let tls = file.tls.as_ref().map(|tls| means(tls, &file.host, &*clock)).transpose()?;
    let peers = Arc::new(Peers::new(tls));
    let mailbox = Arc::new(Mailbox::new(peers.clone()));
    let marks = Marks::new(disk.clone(), records, &file.host);
    let (control, seat) = Control::open_seat(disk, clock, (&dir, &marks), |seat| {
        mailbox.learn(seat.contacts().iter().cloned());
        mailbox.clone()
    })?;
    mailbox.attach(control.clone());
    Ok((control, Some(Arc::new(Many::new(file, peers, mailbox, seat)))))
}

/// How it dials others; its own certificate must be what others will take it for.
fn means(tls: &AgentTls, host: &str, clock: &dyn Clock) -> Result<ClientTls, AgentError> {
    let found = tls::check(&tls.pair, &tls.trusted, Usage::Both, &[], clock.wall())?;
    if found.role() != Some(Role::Agent) || found.host() != Some(pki::bare(host)) {
        return Err(AgentError::WrongCertificate {
            file: tls.pair.certificate.clone(),
            host: host.to_owned(),
            found: found.subject,
        });
    }
    Ok(link::dialer(tls.pair.clone(), tls.trusted.clone())?)
}

/// Returns whether this host's nodes are to be stopped as well (SIGUSR1).
async fn asked_to_end(mut ending: watch::Receiver<bool>) -> bool {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut drain)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::user_defined1()),
    ) else {
        return false;
    };
    let by_api = async {
        if ending.wait_for(|ending| *ending).await.is_err() {
            std::future::pending::<()>().await;
        }
        // The answer to the call is on its way.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        _ = drain.recv() => true,
        () = by_api => false,
    }
}

async fn serve(
    (path, pid_file): (PathBuf, Option<PathBuf>),
    service: Service,
    mut ending: watch::Receiver<bool>,
) -> Result<(), AgentError> {
    let disk = service.gateway.cluster.tools.disk.clone();
    let listener =
        bind(&path, &*disk).map_err(|source| AgentError::Socket { path: path.clone(), source })?;
    init::leave_pid_file(&*disk, pid_file.as_ref());
    init::tell(sd_notify::NotifyState::Ready);
    let stop = async move {
        drop(ending.wait_for(|ending| *ending).await);
    };
    let served = tonic::transport::Server::builder()
        .add_service(AgentServer::new(service))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop)
        .await;
    served.map_err(|error| AgentError::Socket { path, source: io::Error::other(error) })?;
    // Streams may still be open; the owner decides when it is over.
    std::future::pending().await
}

/// The state dir's lock is held, so a socket that is there is a dead agent's. The new one gets its
/// mode before it gets its name: nobody else can ever connect.
fn bind(path: &Path, disk: &dyn Disk) -> io::Result<UnixListener> {
    let draft = path.with_extension("new");
    if disk.exists(&draft)? {
        disk.remove_file(&draft)?;
    }
    let listener = UnixListener::bind(&draft)?;
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600))?;
    disk.rename(&draft, path)?;
    Ok(listener)
}
