//! From settings to a member ready to run: looks at the data dir, then forms a cluster, joins one, or
//! goes on from the log. Nothing is touched before all that can be checked was checked.
//!
//! | log | `--initial-cluster-state` | what happens |
//! |---|---|---|
//! | there | (not looked at) | `restart`: ids and members come from the log |
//! | none | `new` | `bootstrap`: the log begins with all members of `--initial-cluster` |
//! | none | `existing` | `join`: ids come from the members that run, the log from the leader |

mod bootstrap;
mod error;
mod join;
mod layout;
mod restart;
mod store;

use std::sync::Arc;

use base::{Clock, ClusterId, Index, MemberId, Term};
use consensus::Durable;
use disk::{Disk, DiskLock};
use lineage::{EntryId, LogPosition};
use wal::WalConfig;

use self::layout::Found;
pub use self::{
    error::StartupError,
    layout::{GUARD, Layout},
    store::store_options,
};
use crate::{
    config::{Config, InitialState},
    managed::Managed,
    peer::fetch::Fetcher,
    server::{Metrics, Parts},
};

/// What a start needs of the world.
#[derive(Clone)]
pub struct Surroundings {
    /// Where the data dir is.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Asks the other members.
    pub fetcher: Fetcher,
    /// Fed by log and store.
    pub metrics: Metrics,
    /// Told when the store has failed for good.
    pub on_store_failure: backend::FailureHook,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("disk", &self.disk).finish_non_exhaustive()
    }
}

/// A member that can be run.
#[derive(Debug)]
pub struct Started {
    /// For the server.
    pub parts: Parts,
    /// Held as long as the process may touch the data dir.
    pub lock: Box<dyn DiskLock>,
}

/// Log, ids and what else the three ways of starting find out.
struct Begun {
    member: MemberId,
    cluster: ClusterId,
    durable: Durable,
    opened: store::Opened,
    remotes: Vec<(MemberId, Vec<String>)>,
}

impl Begun {
    /// How far the log goes.
    fn position(&self) -> LogPosition {
        let Durable { snapshot, hard_state, entries, .. } = &self.durable;
        let last = entries.last().filter(|entry| entry.index > snapshot.index);
        let (term, index) =
            last.map_or((snapshot.term, snapshot.index), |entry| (entry.term, entry.index));
        LogPosition {
            term: Term::new(hard_state.term.max(term)),
            commit: Index::new(hard_state.commit),
            last: EntryId { term: Term::new(term), index: Index::new(index) },
        }
    }
}

/// What all three ways of starting work with.
struct Start<'a> {
    config: &'a Config,
    layout: &'a Layout,
    around: &'a Surroundings,
}

/// Makes a member ready to run.
///
/// # Errors
/// See [`StartupError`]; unless it says so the data dir is as it was.
pub async fn start(config: &Config, around: &Surroundings) -> Result<Started, StartupError> {
    let layout = Layout::new(&config.data_dir, &config.wal_dir);
    let start = Start { config, layout: &layout, around };
    let found = layout.look(&*around.disk)?;
    let mut managed = Managed::open(&around.disk, &config.data_dir)?;
    if let (Found::Nothing, Some(managed)) = (found, &managed) {
        managed.may_begin(&layout.wal)?;
    }
    let (begun, lock) = match (found, config.cluster.state) {
        (Found::Formed, _) => {
            let lock = layout.take(&*around.disk)?;
            (restart::restart(&start)?, lock)
        }
        (Found::Nothing, InitialState::New) => {
            let cluster = bootstrap::check(&start).await?;
            let lock = layout.take(&*around.disk)?;
            (bootstrap::form(&start, &cluster)?, lock)
        }
        (Found::Nothing, InitialState::Existing) => {
            let joined = join::check(&start).await?;
            let lock = layout.take(&*around.disk)?;
            (join::begin(&start, joined)?, lock)
        }
    };
    if let Some(managed) = &mut managed {
        managed.compare(&begun.position(), (begun.member, begun.cluster))?;
        managed.formed()?;
    }
    let parts = Parts {
        disk: Arc::clone(&around.disk),
        clock: Arc::clone(&around.clock),
        member: begun.member,
        cluster: begun.cluster,
        snap_dir: layout.snap.clone(),
        backend: begun.opened.backend,
        machine: begun.opened.machine,
        durable: begun.durable,
        raft: raft_config(config, begun.member, &around.clock),
        remotes: begun.remotes,
        managed,
        metrics: around.metrics.clone(),
    };
    Ok(Started { parts, lock })
}

fn raft_config(config: &Config, member: MemberId, clock: &Arc<dyn Clock>) -> consensus::Config {
    let ticks = config.settings.election.as_millis() / config.settings.heartbeat.as_millis().max(1);
    consensus::Config {
        id: member,
        tick: config.settings.heartbeat,
        election_ticks: usize::try_from(ticks).unwrap_or(usize::MAX),
        heartbeat_ticks: 1,
        pre_vote: config.election.pre_vote,
        fast_forward_election: config.election.fast_first,
        max_wals: config.max_wals,
        max_snaps: config.settings.max_snapshots,
        clock: Arc::clone(clock),
    }
}

impl Start<'_> {
    fn wal_config(&self) -> WalConfig {
        let fsync = Arc::clone(&self.around.metrics.wal_fsync);
        WalConfig {
            sync: self.config.sync,
            clock: Arc::clone(&self.around.clock),
            on_sync: Some(Arc::new(move |took| fsync.observe(took))),
            ..WalConfig::default()
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
