//! The control group of this agent: commits entries and publishes the state they add up to.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base::Clock;
use disk::{CheckedError, Disk};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    entry::{ENTRY_VERSION, Entry, Envelope},
    state::{ControlState, Rejected},
};
use crate::supervise::record::wall_ms;

/// Why an entry was not committed, or the group could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The control state is there and cannot be read: a human must look; it is never taken for
    /// fresh (R13).
    #[error("the control state cannot be read, so this agent does nothing")]
    Unreadable(#[source] CheckedError),
    /// Likewise.
    #[error("the control state in {} is not understood, so this agent does nothing", path.display())]
    NotUnderstood {
        /// Where.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It could not be made durable: the agent must stop.
    #[error("the control log cannot be written")]
    Write(#[source] std::io::Error),
    /// It was committed and has no effect.
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

/// Handle of the group. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    path: PathBuf,
    writing: Mutex<()>,
    publish: watch::Sender<Arc<ControlState>>,
}

impl Control {
    /// Opens the group's state below `dir`; fresh only if there is certainly nothing.
    ///
    /// # Errors
    /// [`ControlError::Unreadable`], [`ControlError::NotUnderstood`] or [`ControlError::Write`].
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
    ) -> Result<Self, ControlError> {
        let state = Self::read(&*disk, dir)?;
        let path = dir.join("state");
        disk.create_dir_all(dir).map_err(ControlError::Write)?;
        let (publish, _) = watch::channel(Arc::new(state));
        Ok(Self { group: Arc::new(Group { disk, clock, path, writing: Mutex::new(()), publish }) })
    }

    /// The committed state, without taking part. Reads only.
    ///
    /// # Errors
    /// [`ControlError::Unreadable`] or [`ControlError::NotUnderstood`].
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<ControlState, ControlError> {
        let path = dir.join("state");
        match disk::read_checked(disk, &path).map_err(ControlError::Unreadable)? {
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| ControlError::NotUnderstood { path, source }),
            None => Ok(ControlState::default()),
        }
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> Arc<ControlState> {
        self.group.publish.borrow().clone()
    }

    /// The state, followed as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<ControlState>> {
        self.group.publish.subscribe()
    }

    /// Commits an entry; returns the state after it.
    ///
    /// # Errors
    /// [`ControlError::Write`] or [`ControlError::Rejected`].
    #[expect(clippy::unused_async, reason = "replaced by the raft group")]
    pub async fn commit(&self, entry: Entry) -> Result<Arc<ControlState>, ControlError> {
        let group = &self.group;
        let _writing = group.writing.lock();
        let mut state = (*self.state()).clone();
        let at_ms = wall_ms(group.clock.wall());
        state.apply(&Envelope {
            version: ENTRY_VERSION,
            proposal: 0,
            incarnation: 0,
            at_ms,
            entry,
        })?;
        let bytes = serde_json::to_vec(&state)
            .map_err(|source| ControlError::NotUnderstood { path: group.path.clone(), source })?;
        disk::replace_checked(&*group.disk, &group.path, &bytes).map_err(ControlError::Write)?;
        let state = Arc::new(state);
        group.publish.send_replace(state.clone());
        Ok(state)
    }
}
