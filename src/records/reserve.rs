//! The reservation: how far a node may acknowledge. It is written ahead by a thread of its own, so that the raft owner
//! hardly ever waits for it.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use base::{ErrorChain, Index, Term};
use lineage::Reservation;
use parking_lot::{Condvar, Mutex};

use crate::{Record, RecordError};

/// How many entries are reserved ahead: the most that a recovery without this node's log must fear to have lost.
pub const RESERVED_ENTRIES: u64 = 10_000;

/// Keeps the reservation ahead of the acknowledgements.
#[derive(Debug)]
pub struct Reserver {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    record: Arc<Record>,
    ahead: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Written and synced.
    durable: Reservation,
    /// To be written.
    wanted: Reservation,
    failure: Option<String>,
    stop: bool,
}

impl Reserver {
    /// Goes on from the reservation in the record. `in_background` is false for simulations: then it writes when it must,
    /// on the caller's thread.
    ///
    /// # Errors
    /// The record cannot be read, or no thread started.
    pub fn start(
        record: Arc<Record>,
        ahead: u64,
        in_background: bool,
    ) -> Result<Self, RecordError> {
        let durable = record.read::<Reservation>()?.unwrap_or_default();
        let state = State { durable, wanted: durable, failure: None, stop: false };
        let state = Mutex::new(state);
        let shared = Arc::new(Shared { record, ahead, state, changed: Condvar::new() });
        let mut thread = None;
        if in_background {
            let writer = Arc::clone(&shared);
            let builder = thread::Builder::new().name("reserve".to_owned());
            let path = shared.record.dir().to_owned();
            let started = builder.spawn(move || writer.run());
            thread = Some(started.map_err(|source| RecordError::Write { path, source })?);
        }
        Ok(Self { shared, thread })
    }

    /// Returns once it is durable that this member may have acknowledged entries up to `index`, in terms up to `term`. A
    /// term of its own costs a write; else mostly none is waited for.
    ///
    /// # Errors
    /// The record cannot be written, now or earlier: nothing may be acknowledged any more.
    pub fn reserve(&self, term: Term, index: Index) -> Result<(), String> {
        let shared = &*self.shared;
        let mut state = shared.state.lock();
        let covers = |durable: Reservation| durable.term >= term && durable.index >= index;
        let left = state.durable.index.get().saturating_sub(index.get());
        if !covers(state.durable) || left < shared.ahead / 2 {
            let ahead = Index::new(index.get().saturating_add(shared.ahead));
            state.wanted.term = state.wanted.term.max(term);
            state.wanted.index = state.wanted.index.max(ahead);
            shared.changed.notify_all();
        }
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if covers(state.durable) {
                return Ok(());
            }
            if self.thread.is_some() {
                shared.changed.wait(&mut state);
            } else {
                let wanted = state.wanted;
                shared.wrote(&mut state, wanted, shared.record.write(&wanted));
            }
        }
    }

    /// What is durable.
    #[must_use]
    pub fn reserved(&self) -> Reservation {
        self.shared.state.lock().durable
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            while state.wanted == state.durable && !state.stop {
                self.changed.wait(&mut state);
            }
            if state.stop || state.failure.is_some() {
                return;
            }
            let wanted = state.wanted;
            drop(state);
            let outcome = self.record.write(&wanted);
            state = self.state.lock();
            self.wrote(&mut state, wanted, outcome);
        }
    }

    fn wrote(&self, state: &mut State, what: Reservation, outcome: Result<(), RecordError>) {
        match outcome {
            Ok(()) => state.durable = what,
            Err(error) => {
                let text = ErrorChain(&error).to_string();
                tracing::error!(error = text, "the reservation cannot be written");
                state.failure = Some(text);
            }
        }
        self.changed.notify_all();
    }
}

impl Drop for Reserver {
    fn drop(&mut self) {
        self.shared.state.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the reservation's thread panicked");
        }
    }
}
