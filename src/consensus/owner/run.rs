//! The owner's thread: waits for inputs and ticks, and ends with one last word to the host.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use base::{Clock, limits};
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use tokio::sync::watch;

use super::{Halt, Owner, Step, start::Wires};
use crate::{
    Config, ConsensusError, Durable, Host, Raft, Status,
    shared::{Input, Shared},
};

/// Inputs taken between two writes of the log.
const INPUTS_PER_ROUND_MAX: usize = 2048;
/// Verdicts of the apply thread that may wait; it sends one at a time.
const CHANGES_MAX: usize = 16;

/// Starts the thread.
pub(crate) fn start(
    config: &Config,
    durable: Durable,
    host: impl Host,
) -> Result<(Raft, JoinHandle<()>), ConsensusError> {
    let (inbox, inputs) = crossbeam_channel::bounded(limits::RAFT_INBOX_MAX);
    let (changes, verdicts) = crossbeam_channel::bounded(CHANGES_MAX);
    let shared = Arc::new(Shared::default());
    let (sender, status) = watch::channel(Status::default());
    let wires = Wires { host, shared: Arc::clone(&shared), changes: verdicts, status: sender };
    let owner = Owner::new(config, durable, wires)?;
    let pace = Pace::new(config);
    let thread = thread::Builder::new()
        .name("raft".to_owned())
        .spawn(move || live(owner, &inputs, pace))
        .map_err(ConsensusError::Thread)?;
    Ok((Raft { inbox, changes, shared, status }, thread))
}

/// When the next tick is due, and whether a single voter may elect itself at once.
struct Pace {
    clock: Arc<dyn Clock>,
    tick: Duration,
    next: Instant,
    fast_forward: bool,
}

impl Pace {
    fn new(config: &Config) -> Self {
        let clock = Arc::clone(&config.clock);
        let next = clock.now() + config.tick;
        Self { clock, tick: config.tick, next, fast_forward: config.fast_forward_election }
    }

    /// Whether a tick is due. Ticks missed during a stall are left out: their messages are still
    /// in the inbox, and an election would be for nothing.
    fn due(&mut self) -> bool {
        let now = self.clock.now();
        if now < self.next {
            return false;
        }
        self.next += self.tick;
        if self.next <= now {
            self.next = now + self.tick;
        }
        true
    }
}

fn live<H: Host>(mut owner: Owner<H>, inputs: &Receiver<Input>, pace: Pace) {
    let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut owner, inputs, pace)));
    let reason = match outcome {
        Ok(Halt::Stopped) => owner.close(),
        Ok(Halt::Failed(error)) => Err(error),
        Err(panic) => Err(ConsensusError::Panicked(text(panic.as_ref()))),
    };
    owner.shared.stop();
    if let Err(error) = &reason {
        tracing::error!(error = %base::ErrorChain(error), "raft stops");
    }
    owner.host.stopped(reason);
}

fn work<H: Host>(owner: &mut Owner<H>, inputs: &Receiver<Input>, pace: Pace) -> Halt {
    match rounds(owner, inputs, pace) {
        Ok(never) => match never {},
        Err(halt) => halt,
    }
}

fn rounds<H: Host>(
    owner: &mut Owner<H>,
    inputs: &Receiver<Input>,
    mut pace: Pace,
) -> Step<std::convert::Infallible> {
    let mut more = owner.work()?;
    loop {
        if owner.shared.stopping() {
            return Err(Halt::Stopped);
        }
        if pace.fast_forward && !more {
            pace.fast_forward = false;
            owner.campaign_if_alone()?;
        } else if let Some(first) = next(inputs, more, pace.next)? {
            owner.handle(first)?;
            for input in inputs.try_iter().take(INPUTS_PER_ROUND_MAX) {
                owner.handle(input)?;
            }
        }
        if pace.due() {
            owner.tick()?;
        }
        more = owner.work()?;
    }
}

/// The next input; nothing when the tick is due, or at once if there is more to do.
fn next(inputs: &Receiver<Input>, more: bool, tick: Instant) -> Step<Option<Input>> {
    if more {
        return match inputs.try_recv() {
            Ok(input) => Ok(Some(input)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Halt::Stopped),
        };
    }
    match inputs.recv_deadline(tick) {
        Ok(input) => Ok(Some(input)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(Halt::Stopped),
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text").to_owned()
}
