//! The backend's thread: the only one that writes to the file.

use std::{io, sync::Arc, thread::JoinHandle};

use base::ErrorChain;

use super::{Shared, control::Job};
use crate::{
    BackendError,
    store::{CompactFailure, Store},
};

/// Starts the thread.
pub(super) fn start(shared: Arc<Shared>, store: Store) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("backend".to_owned()).spawn(move || run(&shared, store))
}

fn run(shared: &Shared, mut store: Store) {
    let _on_panic = FailOnPanic(shared);
    loop {
        let outcome = match shared.control.next_job() {
            Job::Flush => flush(shared, &mut store),
            Job::Compact => compact(shared, &mut store),
            Job::Stop => return,
        };
        if let Err(error) = outcome {
            fail(shared, &ErrorChain(&error).to_string());
            store.seal();
            return;
        }
    }
}

/// Moves the active buffer to the file. Readers find each row all the while: in the active
/// buffer, then in the flushing one, then in the file.
fn flush(shared: &Shared, store: &mut Store) -> Result<(), redb::Error> {
    let mut flushing = None;
    let batch = shared.control.take_buffer(|| {
        let mut live = shared.live.write();
        let layer = Arc::new(std::mem::take(&mut live.active));
        live.flushing = Some(Arc::clone(&layer));
        flushing = Some(layer);
    });
    let Some(layer) = flushing else { return Ok(()) };
    let started = shared.options.clock.now();
    store.commit(&layer)?;
    let elapsed = shared.options.clock.now().saturating_duration_since(started);
    publish(shared, store)?;
    shared.control.committed(batch, store.sizes());
    if let Some(on_commit) = &shared.options.on_commit {
        on_commit(elapsed);
    }
    Ok(())
}

/// Lets readers see what is committed, in place of what was being flushed.
fn publish(shared: &Shared, store: &Store) -> Result<(), redb::Error> {
    let stored = Arc::new(store.stored()?);
    let (old_layer, old_stored) = {
        let mut live = shared.live.write();
        (live.flushing.take(), live.stored.replace(stored))
    };
    // Freed outside the lock: a buffer may hold thousands of rows.
    drop((old_layer, old_stored));
    Ok(())
}

fn compact(shared: &Shared, store: &mut Store) -> Result<(), redb::Error> {
    let copies = shared.control.copies_wanted();
    let failure = match store.compact() {
        Ok(()) => {
            publish(shared, store)?;
            None
        }
        Err(CompactFailure::Kept(error)) => Some(BackendError::Defragment(Arc::new(error))),
        Err(CompactFailure::Unknown(error)) => return Err(error),
    };
    shared.control.compacted(copies, store.sizes(), failure);
    Ok(())
}

fn fail(shared: &Shared, reason: &str) {
    if !shared.control.fail(reason) {
        return;
    }
    tracing::error!(reason, "the backend is dead: the node must stop");
    if let Some(on_failure) = &shared.options.on_failure {
        on_failure(reason);
    }
}

/// A panic of this thread must not leave callers waiting for ever.
struct FailOnPanic<'a>(&'a Shared);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            fail(self.0, "the backend's thread panicked");
        }
    }
}
