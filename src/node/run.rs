//! The life of a member's process: bind the ports, start, open the client port once published, wait
//! for an end, stop in order.

mod listeners;
mod signals;
mod starting;
mod tls;

use std::sync::Arc;

use base::{Clock, ErrorChain, SystemClock};
use disk::RealDisk;
use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{listeners::ListenError, signals::Signals};
use self::{
    listeners::{Listeners, Port},
    starting::Routes,
    tls::Tls,
};
use crate::{
    api,
    config::Config,
    managed::Forbidden,
    members_http,
    peer::{self, fetch::Fetcher},
    server::{Metrics, Server, Settings, StartError, StopReason, compare_with_peers, connector},
    startup::{self, Started, StartupError, Surroundings},
};

/// How a member's process ends.
#[derive(Debug)]
pub enum Ended {
    /// By a signal, in order.
    Signal(Signal),
    /// It is no member any more. Status 0, as in etcd.
    Removed,
    /// Going on could have lost data. Status 1.
    Failed(String),
}

/// Why a member's process did not come to run. Status 1.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No runtime.
    #[error("start the runtime")]
    Runtime(#[source] std::io::Error),
    /// A certificate, key or bundle cannot be used.
    #[error(transparent)]
    Tls(#[from] ::tls::TlsError),
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Data dir, settings or cluster do not allow it.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// The initial corruption check did not pass.
    #[error("checkInitialHashKV failed: {0}")]
    Corrupt(String),
    /// The server's parts did not start.
    #[error(transparent)]
    Server(#[from] StartError),
}

impl RunError {
    /// Status of the process: etcd's 1, save where a record forbids to run the dir.
    #[must_use]
    pub const fn exit(&self) -> u8 {
        match self.forbidden() {
            Some(forbidden) => forbidden.exit(),
            None => 1,
        }
    }

    const fn forbidden(&self) -> Option<&Forbidden> {
        match self {
            Self::Startup(StartupError::Forbidden(forbidden))
            | Self::Server(StartError::Forbidden(forbidden)) => Some(forbidden),
            _ => None,
        }
    }
}

/// Runs a member until its end, on a runtime of its own. `notes` are remarks on how the settings came
/// together.
///
/// # Errors
/// See [`RunError`].
pub fn run(config: &Config, notes: &[String], signals: &Signals) -> Result<Ended, RunError> {
    announce(config, notes);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(WORKERS_MAX))
        .max_blocking_threads(BLOCKING_MAX)
        .thread_name("etcd-node")
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = live(config, signals) => ended,
            signal = signals.received_before_start() => Ok(Ended::Signal(signal)),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    if let Err(error) = &ended {
        tracing::error!(error = describe(error), "this member does not run");
    }
    ended
}

fn announce(config: &Config, notes: &[String]) {
    tracing::info!(
        etcd_version = crate::VERSION,
        etcd_node_version = env!("CARGO_PKG_VERSION"),
        name = config.settings.name,
        data_dir = %config.data_dir.display(),
        wal_dir = %config.wal_dir.display(),
        listen_peer_urls = config.listen.peer.join(","),
        listen_client_urls = config.listen.client.join(","),
        initial_cluster = %config.cluster,
        initial_cluster_token = config.cluster.token,
        pre_vote = config.election.pre_vote,
        "starting an etcd-node"
    );
    for note in notes {
        tracing::warn!("{note}");
    }
    if !config.sync {
        tracing::warn!("--unsafe-no-fsync: a crash of this machine loses acknowledged writes");
    }
    warn_of_open_dir(&config.data_dir);
}

/// etcd wants its data dir for itself; others' permissions are not changed here.
fn warn_of_open_dir(dir: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(found) = std::fs::metadata(dir) else { return };
    let mode = found.permissions().mode() & 0o777;
    if mode != 0o700 {
        let mode = format!("{mode:03o}");
        tracing::warn!(dir = %dir.display(), mode, "the data dir should have mode 700");
    }
}

/// Raft and apply have threads of their own; more workers only cost switches.
const WORKERS_MAX: usize = 2;
/// Hashes, snapshots, defragmenting: few at a time.
const BLOCKING_MAX: usize = 16;

async fn live(config: &Config, signals: &Signals) -> Result<Ended, RunError> {
    let tls = Tls::prepare(config, &RealDisk, &SystemClock)?;
    let mut config = config.clone();
    config.settings.peer_tls = tls.dialer.clone();
    let ports = Ports::bind(Listeners::bind(&config.listen, &tls)?);
    let ended = live_on(&config, signals, &ports).await;
    ports.close().await;
    ended
}

async fn live_on(config: &Config, signals: &Signals, ports: &Ports) -> Result<Ended, RunError> {
    let (store_failed, store) = watch::channel(None);
    let around = surroundings(config, store_failed);
    let started = match startup::start(config, &around).await {
        Err(StartupError::Removed(_)) => return Ok(removed()),
        started => started?,
    };
    if config.initial_corrupt_check {
        check_initial_hash(&started, &around.fetcher).await?;
    }
    let Started { parts, lock } = started;
    // A store that comes with a leader's snapshot gets the same hooks as the first one.
    let backend = startup::store_options(config, &around);
    let server = Server::start(Settings { backend, ..config.settings.clone() }, parts)?;
    signals.handle_from_now_on();
    ports.serve_peers(&server);
    let ended = wait(&server, ports, signals, store).await;
    let reason = match &ended {
        Ended::Signal(signal) => {
            tracing::info!(signal = signal.as_str(), "received signal; shutting down");
            StopReason::Asked
        }
        Ended::Removed => StopReason::Removed,
        Ended::Failed(text) => {
            tracing::error!(reason = text, "stopping: what was acknowledged is in the log");
            StopReason::Failed(text.clone())
        }
    };
    if reason == StopReason::Asked {
        server.hand_over().await;
        // What clients have asked for is answered while it still can be.
        ports.close_to_clients().await;
    }
    server.shut_down(reason).await;
    drop(lock);
    Ok(ended)
}

fn surroundings(config: &Config, store_failed: watch::Sender<Option<String>>) -> Surroundings {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Surroundings {
        disk: Arc::new(RealDisk),
        clock,
        fetcher: Fetcher::new(connector(&config.settings)),
        metrics: Metrics::default(),
        on_store_failure: Arc::new(move |reason| {
            store_failed.send_replace(Some(format!("the store failed: {reason}")));
        }),
    }
}

/// `--experimental-initial-corrupt-check`: before anything is served or voted on.
async fn check_initial_hash(started: &Started, fetcher: &Fetcher) -> Result<(), RunError> {
    let parts = &started.parts;
    let mut peers = parts.machine.membership.members();
    peers.retain(|member| member.id != parts.member);
    let found = compare_with_peers(&parts.machine.kv, &peers, fetcher, parts.cluster)
        .await
        .map_err(|error| RunError::Corrupt(error.to_string()))?;
    if found.is_empty() {
        tracing::info!(member = %parts.member, "initial corruption checking passed; no corruption");
        return Ok(());
    }
    Err(RunError::Corrupt(format!(
        "{} found data inconsistency with peers: {found:?}",
        parts.member
    )))
}

/// Waits for whichever end comes first, opening the client port as soon as it may.
async fn wait(
    server: &Arc<Server>,
    ports: &Ports,
    signals: &Signals,
    mut store: watch::Receiver<Option<String>>,
) -> Ended {
    let mut ready = server.ready();
    let opened = async {
        if ready.wait_for(|ready| *ready).await.is_ok() {
            ports.serve_clients(server);
            tracing::info!("ready to serve client requests");
            if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
                tracing::warn!(%error, "systemd was not told that this member is ready");
            }
        }
        std::future::pending::<()>().await;
    };
    let store = async {
        match store.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = opened => Ended::Failed("the wait for the publication ended".to_owned()),
        signal = signals.received() => Ended::Signal(signal),
        reason = store => Ended::Failed(reason),
        reason = server.stopping() => match reason {
            StopReason::Removed => removed(),
            StopReason::Failed(text) => Ended::Failed(text),
            StopReason::Asked => Ended::Failed("the server stopped by itself".to_owned()),
        },
    }
}

fn removed() -> Ended {
    tracing::warn!(
        error = "the member has been permanently removed from the cluster",
        "server error"
    );
    tracing::warn!("data-dir used by this member must be removed");
    Ended::Removed
}

/// The serving of all ports.
#[derive(Debug)]
struct Ports {
    /// Those of clients, until they are served.
    closed: parking_lot::Mutex<Option<Listeners>>,
    peer_routes: Routes,
    /// Servers of the ports: of peers, and of clients.
    tasks: TaskTracker,
    clients: TaskTracker,
    stop_peers: CancellationToken,
    stop_clients: watch::Sender<bool>,
}

impl Ports {
    /// Peers get an answer at once, if only that there is no server yet; clients must wait.
    fn bind(mut listeners: Listeners) -> Self {
        let (tasks, clients) = (TaskTracker::new(), TaskTracker::new());
        let stop_peers = CancellationToken::new();
        let peer_routes = Routes::default();
        for Port { listener, tls } in listeners.peer.drain(..) {
            tasks.spawn(peer::serve(listener, tls, peer_routes.router(), stop_peers.clone()));
        }
        let closed = parking_lot::Mutex::new(Some(listeners));
        let stop_clients = watch::Sender::new(false);
        Self { closed, peer_routes, tasks, clients, stop_peers, stop_clients }
    }

    fn serve_peers(&self, server: &Arc<Server>) {
        let raft = server.transport().map(peer::Transport::router).unwrap_or_default();
        self.peer_routes.open(raft.merge(members_http::router(server)));
    }

    fn serve_clients(&self, server: &Arc<Server>) {
        let Some(listeners) = self.closed.lock().take() else { return };
        let all = api::router(server);
        let metrics = api::metrics_router(server);
        let clients = listeners.client.into_iter().map(|listener| (listener, &all));
        let metrics = listeners.metrics.into_iter().map(|listener| (listener, &metrics));
        for (Port { listener, tls }, router) in clients.chain(metrics) {
            let stop = self.stop_clients.subscribe();
            self.clients.spawn(api::serve(listener, tls, router.clone(), stop));
        }
    }

    /// Takes no more requests, and lets those under way finish for a moment.
    async fn close_to_clients(&self) {
        self.stop_clients.send_replace(true);
        self.clients.close();
        self.clients.wait().await;
    }

    async fn close(&self) {
        self.close_to_clients().await;
        self.stop_peers.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A failure of [`run`] as it is logged and printed.
#[must_use]
pub fn describe(error: &RunError) -> String {
    match error.forbidden() {
        Some(forbidden) => format!("{}: {}", forbidden.code(), ErrorChain(error)),
        None => ErrorChain(error).to_string(),
    }
}
