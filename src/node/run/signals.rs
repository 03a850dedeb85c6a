//! SIGTERM and SIGINT. They are blocked in all threads and waited for in one, so no handler is ever
//! installed and the process can end by the very signal that it got.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use nix::sys::signal::{SigSet, Signal, raise};
use tokio::sync::watch;

/// The signals that ask for an end.
#[derive(Debug)]
pub struct Signals {
    set: SigSet,
    received: watch::Receiver<Option<Signal>>,
    /// Whether somebody stops the server in order when one comes.
    handled: AtomicBool,
}

impl Signals {
    /// Begins to wait for them. To be called before any other thread is started.
    ///
    /// # Errors
    /// The system's.
    pub fn block() -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block()?;
        let (sender, received) = watch::channel(None);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            while let Ok(signal) = set.wait() {
                // The first one counts.
                sender.send_if_modified(|first| {
                    let is_first = first.is_none();
                    *first = first.or(Some(signal));
                    is_first
                });
            }
        })?;
        Ok(Self { set, received, handled: AtomicBool::new(false) })
    }

    /// Resolves once one came.
    pub async fn received(&self) -> Signal {
        let mut received = self.received.clone();
        match received.wait_for(Option::is_some).await {
            Ok(signal) => signal.unwrap_or(Signal::SIGTERM),
            Err(_) => std::future::pending().await,
        }
    }

    /// Resolves once one came before [`Signals::handle_from_now_on`]; then nothing has to be stopped
    /// in order.
    pub(super) async fn received_before_start(&self) -> Signal {
        let signal = self.received().await;
        if self.handled.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
        signal
    }

    pub(super) fn handle_from_now_on(&self) {
        self.handled.store(true, Ordering::Release);
    }

    /// Ends the process by a signal, as if there had been no order in it. Returns only where a
    /// signal's default cannot end it (process 1 of a container).
    pub fn end_by(&self, signal: Signal) {
        let ended = self.set.thread_unblock().and_then(|()| raise(signal));
        if let Err(error) = ended {
            tracing::error!(%error, "could not end by the signal");
        }
    }
}
