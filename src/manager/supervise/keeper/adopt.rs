//! What an agent finds of a node when it starts: still running, ended meanwhile, or nothing.

use std::{io::ErrorKind, time::Duration};

use super::{Live, Task};
use crate::supervise::{
    record::{Record, RunRecord, ShimOrder},
    state::Phase,
    watch::ProcessWatch,
};

/// How long a shim that an earlier agent started may take to finish its records.
const SHIM_PATIENCE: Duration = Duration::from_secs(30);
const SHIM_PAUSE: Duration = Duration::from_millis(20);

impl Task {
    /// Goes on where the last agent was killed: by pid and start time, and the data dir's lock.
    pub(super) async fn adopt(&mut self) {
        self.await_unrecorded_shim().await;
        let disk = &*self.workshop.disk;
        let run = match self.dir.run(disk) {
            Record::Known(run) => run,
            Record::Absent => return self.adopt_failed_start(),
            // R13: never "nothing runs".
            Record::Unreadable(reason) => return self.set_phase(Phase::Unknown { reason }),
        };
        match self.dir.exit(disk) {
            Record::Known(exit) if exit.run >= run.run => return self.on_node_end(&exit),
            Record::Known(_) | Record::Absent => {}
            Record::Unreadable(reason) if !Self::is_alive(&run.process) => {
                return self.set_phase(Phase::Unknown { reason });
            }
            Record::Unreadable(_) => {}
        }
        self.adopt_running(run).await;
    }

    /// A first run whose process could not even be started.
    fn adopt_failed_start(&mut self) {
        match self.dir.exit(&*self.workshop.disk) {
            Record::Known(exit) => self.on_node_end(&exit),
            Record::Absent => {}
            Record::Unreadable(reason) => self.set_phase(Phase::Unknown { reason }),
        }
    }

    async fn adopt_running(&mut self, run: RunRecord) {
        if Self::is_alive(&run.shim) {
            // If the node has ended, its shim is about to write so and end.
            if Self::is_alive(&run.process) {
                if !Self::holds_data_dir(&run) {
                    let reason = format!(
                        "pid {} runs, but another process holds {}",
                        run.process.pid,
                        run.data_dir.display()
                    );
                    return self.set_phase(Phase::Unknown { reason });
                }
                self.event(format!("adopted pid {}", run.process.pid));
            }
            return self.watch(run);
        }
        if Self::is_alive(&run.process) {
            self.event(format!("adopted pid {}, whose shim is gone", run.process.pid));
            return self.take_over(run).await;
        }
        // Both gone without a word: the machine went down, or somebody killed both.
        let watch = ProcessWatch::new(run.shim.clone());
        self.live = Live::Watching { run: Box::new(run), watch };
    }

    /// A shim holds the folder, but the records do not know it yet: the agent was killed between
    /// its start and its first record.
    async fn await_unrecorded_shim(&mut self) {
        let deadline = tokio::time::Instant::now() + SHIM_PATIENCE;
        loop {
            let disk = &*self.workshop.disk;
            let Record::Known(ShimOrder { run: ordered, .. }) = self.dir.order(disk) else {
                return;
            };
            let recorded = matches!(self.dir.run(disk), Record::Known(run) if run.run >= ordered)
                || matches!(self.dir.exit(disk), Record::Known(exit) if exit.run >= ordered);
            if recorded || tokio::time::Instant::now() >= deadline {
                return;
            }
            match disk.lock(&self.dir.lock()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => return,
            }
            tokio::time::sleep(SHIM_PAUSE).await;
        }
    }
}
