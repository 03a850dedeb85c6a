//! Who waits for whom: writers for room, flushes for commits, the thread for work.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{BackendError, Options, Sizes};

/// Orders between the handle's callers and the backend's thread.
#[derive(Debug)]
pub(super) struct Control {
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Wakes callers: a buffer was taken, a commit or copy ended, or all is over.
    progress: Condvar,
    limits: Limits,
    failure: OnceLock<Arc<str>>,
    /// Whether calls are refused; `failure` tells why.
    over: AtomicBool,
}

#[derive(Debug)]
struct Limits {
    flush_interval: Duration,
    flush_rows: usize,
    flush_bytes: usize,
    buffer_bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Batches written; the number of the newest.
    written: u64,
    /// Newest batch that a commit made durable.
    durable: u64,
    /// Newest batch that someone wants durable now.
    wanted: u64,
    /// Size of the active buffer.
    rows: usize,
    bytes: usize,
    stopping: bool,
    /// Copies asked for and done.
    copies_wanted: u64,
    copies_done: u64,
    /// Outcome of the newest copy.
    copy_failure: Option<BackendError>,
    sizes: Sizes,
}

/// What the thread is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Job {
    Flush,
    Compact,
    Stop,
}

impl Control {
    pub(super) fn new(options: &Options, sizes: Sizes) -> Self {
        Self {
            state: Mutex::new(State { sizes, ..State::default() }),
            work: Condvar::new(),
            progress: Condvar::new(),
            limits: Limits {
                flush_interval: options.flush_interval,
                flush_rows: options.flush_rows.max(1),
                flush_bytes: options.flush_bytes.max(1),
                buffer_bytes_max: options.buffer_bytes_max.max(1),
            },
            failure: OnceLock::new(),
            over: AtomicBool::new(false),
        }
    }

    /// Refuses a call once the backend is dead or closed.
    pub(super) fn check(&self) -> Result<(), BackendError> {
        if !self.over.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(match self.failure.get() {
            Some(reason) => BackendError::Dead { reason: Arc::clone(reason) },
            None => BackendError::Closed,
        })
    }

    pub(super) fn failure(&self) -> Option<String> {
        let _state = self.state.lock();
        self.failure.get().map(ToString::to_string)
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.state.lock().sizes
    }

    /// Waits for room; writers come one by one.
    pub(super) fn writer(&self) -> Result<WriterTurn<'_>, BackendError> {
        let mut state = self.state.lock();
        self.check()?;
        while state.bytes >= self.limits.buffer_bytes_max {
            self.progress.wait(&mut state);
            self.check()?;
        }
        Ok(WriterTurn { control: self, state })
    }

    pub(super) fn flush(&self) -> Result<(), BackendError> {
        let mut state = self.state.lock();
        self.check()?;
        let target = state.written;
        if state.durable < target && state.wanted < target {
            state.wanted = target;
            self.work.notify_one();
        }
        while state.durable < target {
            self.progress.wait(&mut state);
            // A close in the meantime flushes too; only a failure breaks the promise.
            if state.durable < target
                && let Some(reason) = self.failure.get()
            {
                return Err(BackendError::Dead { reason: Arc::clone(reason) });
            }
        }
        Ok(())
    }

    pub(super) fn defragment(&self) -> Result<(), BackendError> {
        let mut state = self.state.lock();
        self.check()?;
        state.copies_wanted += 1;
        let ticket = state.copies_wanted;
        self.work.notify_one();
        while state.copies_done < ticket {
            self.progress.wait(&mut state);
            if state.copies_done < ticket {
                self.check()?;
            }
        }
        state.copy_failure.clone().map_or(Ok(()), Err)
    }

    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopping = true;
        self.over.store(true, Ordering::Release);
        self.work.notify_one();
        self.progress.notify_all();
    }

    /// Blocks the backend's thread until there is something to do.
    pub(super) fn next_job(&self) -> Job {
        let mut state = self.state.lock();
        let mut due = false;
        loop {
            if state.rows > 0 && (due || self.is_urgent(&state)) {
                return Job::Flush;
            }
            if state.stopping {
                return Job::Stop;
            }
            if state.copies_wanted > state.copies_done {
                return Job::Compact;
            }
            if state.rows > 0 {
                // Whatever ends this wait early wants the flush.
                self.work.wait_for(&mut state, self.limits.flush_interval);
                due = true;
            } else {
                self.work.wait(&mut state);
            }
        }
    }

    fn is_urgent(&self, state: &State) -> bool {
        state.stopping
            || state.wanted > state.durable
            || state.rows >= self.limits.flush_rows
            || state.bytes >= self.limits.flush_bytes
    }

    /// Runs `take`, which empties the active buffer; returns its last batch's number. No writer
    /// runs meanwhile.
    pub(super) fn take_buffer(&self, take: impl FnOnce()) -> u64 {
        let mut state = self.state.lock();
        take();
        state.rows = 0;
        state.bytes = 0;
        self.progress.notify_all();
        state.written
    }

    pub(super) fn committed(&self, batch: u64, sizes: Sizes) {
        let mut state = self.state.lock();
        state.durable = batch;
        state.sizes = sizes;
        self.progress.notify_all();
    }

    /// Ends the copies up to that number of [`Control::copies_wanted`].
    pub(super) fn compacted(&self, copies: u64, sizes: Sizes, failure: Option<BackendError>) {
        let mut state = self.state.lock();
        state.copies_done = copies;
        state.copy_failure = failure;
        state.sizes = sizes;
        self.progress.notify_all();
    }

    /// How many copies were asked for; one copy serves them all.
    pub(super) fn copies_wanted(&self) -> u64 {
        self.state.lock().copies_wanted
    }

    /// Kills the handle. Only the first reason is kept; whether this was it.
    pub(super) fn fail(&self, reason: &str) -> bool {
        // Under the lock, or a waiter could miss it between its check and its wait, and a caller
        // could learn of the failure and still be served.
        let _state = self.state.lock();
        let first = self.failure.set(reason.into()).is_ok();
        self.over.store(true, Ordering::Release);
        self.progress.notify_all();
        first
    }
}

/// The right to change the active buffer; ends when dropped.
pub(super) struct WriterTurn<'a> {
    control: &'a Control,
    state: MutexGuard<'a, State>,
}

impl WriterTurn<'_> {
    /// Says how large the active buffer is after a batch.
    pub(super) fn written(&mut self, rows: usize, bytes: usize) {
        let limits = &self.control.limits;
        let was_urgent = self.control.is_urgent(&self.state);
        let was_empty = self.state.rows == 0;
        self.state.written += 1;
        self.state.rows = rows;
        self.state.bytes = bytes;
        let is_full = rows >= limits.flush_rows || bytes >= limits.flush_bytes;
        if was_empty || (is_full && !was_urgent) {
            self.control.work.notify_one();
        }
    }
}
