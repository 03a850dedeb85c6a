//! Opens the store and the state over it; replaces the store by a received snapshot where a crash
//! interrupted that.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use backend::{Backend, Options};
use base::{ClusterId, Index, MemberId};
use state::{LeaseOptions, Machine, MachineOptions};
use wire::raftpb;

use super::{Start, StartupError, Surroundings};
use crate::{config::Config, server::import_snapshot_db};

/// Store and state.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) backend: Backend,
    pub(super) machine: Machine,
}

/// The options of a member's store, with hooks that feed its metrics and tell of its failure.
#[must_use]
pub fn store_options(config: &Config, around: &Surroundings) -> Options {
    let commits = Arc::clone(&around.metrics.backend_commit);
    Options {
        clock: Arc::clone(&around.clock),
        on_commit: Some(Arc::new(move |took| commits.observe(took))),
        on_failure: Some(Arc::clone(&around.on_store_failure)),
        ..config.settings.backend.clone()
    }
}

impl Start<'_> {
    fn store_options(&self) -> Options {
        store_options(self.config, self.around)
    }

    /// Opens the store, which is made if absent, and reads the state in it.
    pub(super) fn open_store(
        &self,
        member: MemberId,
        cluster: ClusterId,
    ) -> Result<Opened, StartupError> {
        let disk = Arc::clone(&self.around.disk);
        let backend = Backend::open(disk, &self.layout.store, self.store_options())
            .map_err(StartupError::Store)?;
        self.defragment(&backend)?;
        let half_up = self.config.settings.election.as_millis() * 3;
        let ttl_min_seconds = i64::try_from(half_up.div_ceil(2000)).unwrap_or(i64::MAX);
        let options = MachineOptions {
            member,
            cluster,
            quota_bytes: self.config.settings.quota_backend_bytes,
            leases: LeaseOptions { ttl_min_seconds, ..LeaseOptions::default() },
        };
        let machine = Machine::open(backend.clone(), options)?;
        Ok(Opened { backend, machine })
    }

    /// `--experimental-bootstrap-defrag-threshold-megabytes`.
    fn defragment(&self, backend: &Backend) -> Result<(), StartupError> {
        let threshold = self.config.defrag_threshold_bytes;
        let sizes = backend.sizes();
        let free = sizes.total_bytes.saturating_sub(sizes.in_use_bytes);
        if threshold == 0 || free < threshold {
            return Ok(());
        }
        tracing::info!(free_bytes = free, "defragmenting the store before the start");
        backend.defragment().map_err(StartupError::Store)
    }

    /// Where a leader's snapshot of that index is received.
    fn received(&self, index: u64) -> PathBuf {
        self.layout.snap.join(format!("{index:016x}.snap.db"))
    }

    /// Opens the store that belongs to the newest snapshot. If the store is behind it, a leader's
    /// snapshot was being taken: its database is still there, and takes the store's place.
    pub(super) fn recover_store(
        &self,
        (member, cluster): (MemberId, ClusterId),
        newest: Option<&raftpb::Snapshot>,
    ) -> Result<Opened, StartupError> {
        let disk = &self.around.disk;
        let index = newest.map_or(0, |snapshot| snapshot.metadata.index);
        let received = self.received(index);
        let exists =
            |path: &PathBuf| disk.exists(path).map_err(StartupError::disk("look for", path));
        let has_received = index > 0 && exists(&received)?;
        if exists(&self.layout.store)? {
            let mut opened = self.open_store(member, cluster)?;
            let consistent = opened.machine.consistent_index();
            if consistent < Index::new(index) {
                if !has_received {
                    return Err(StartupError::Inconsistent(format!(
                        "the store {} has entries up to {consistent} but the log begins after {index}: what lies between is lost",
                        self.layout.store.display()
                    )));
                }
                opened.backend.close().map_err(StartupError::Store)?;
                drop(opened);
                opened = self.replace_store((member, cluster), (&received, index))?;
            }
            return Ok(opened);
        }
        if index == 0 {
            tracing::warn!(
                store = %self.layout.store.display(),
                "the store is missing: it is rebuilt from the log, which is complete"
            );
            return self.open_store(member, cluster);
        }
        if has_received {
            return self.replace_store((member, cluster), (&received, index));
        }
        Err(StartupError::Inconsistent(format!(
            "database file ({}) of the backend is missing, and the log begins after entry {index}: the data cannot be rebuilt here",
            self.layout.store.display()
        )))
    }

    fn replace_store(
        &self,
        (member, cluster): (MemberId, ClusterId),
        (received, index): (&Path, u64),
    ) -> Result<Opened, StartupError> {
        tracing::info!(from = %received.display(), "taking the leader's snapshot, which was interrupted");
        let disk = &self.around.disk;
        let incoming = self.layout.store.with_extension("incoming");
        import_snapshot_db(disk, (received, index), &incoming, self.store_options())?;
        disk.rename(&incoming, &self.layout.store)
            .map_err(StartupError::disk("rename the imported store to", &self.layout.store))?;
        self.open_store(member, cluster)
    }

    /// Removes what interrupted transfers left behind. Not vital, so failures are only logged.
    pub(super) fn sweep(&self, newest: u64) {
        let Ok(items) = self.around.disk.list(&self.layout.snap) else { return };
        for item in items {
            let index = item.name.strip_suffix(".snap.db").map(|hex| u64::from_str_radix(hex, 16));
            let stale = matches!(index, Some(Ok(index)) if index <= newest);
            if item.is_dir || !(stale || item.name.starts_with("tmp")) {
                continue;
            }
            match self.around.disk.remove_file(&item.path) {
                Ok(()) => {
                    tracing::info!(path = %item.path.display(), "removed an unfinished snapshot");
                }
                Err(error) => {
                    tracing::warn!(%error, path = %item.path.display(), "cannot remove an unfinished snapshot");
                }
            }
        }
    }
}
