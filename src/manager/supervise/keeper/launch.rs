//! Starting a node through a shim, and putting a new shim under a node that lost its own.

use std::time::Duration;

use super::{Live, Task, reclaim::Stray};
use crate::supervise::{
    child,
    process::{ProcessId, data_dir_owner},
    record::{ExitRecord, Record, RunRecord, ShimOrder},
    state::Phase,
    watch::ProcessWatch,
};

/// How long a shim may take to put the start on record. Two syncs and an exec: milliseconds, unless
/// the disk is drowning.
const RECORD_PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at the record.
const RECORD_PAUSE: Duration = Duration::from_millis(3);

/// What a shim wrote first.
enum FirstRecord {
    Run(Box<RunRecord>),
    Exit(Box<ExitRecord>),
}

impl Task {
    /// Starts the node with this order, as the next run.
    pub(super) async fn launch(&mut self, mut order: ShimOrder) -> Result<(), String> {
        self.live = Live::Idle;
        let owner = data_dir_owner(&order.data_dir);
        order.run = self.last_run() + 1;
        if let Some(owner) = owner {
            if let Some(stray) = Stray::of(&order, owner.pid) {
                return self.reclaim(order, stray).await;
            }
            let owner = owner.to_string();
            let refused = format!("data dir {} is held by {owner}", order.data_dir.display());
            self.set_phase(Phase::Foreign { owner });
            return Err(refused);
        }
        let disk = &*self.workshop.disk;
        let written = disk.create_dir_all(self.dir.root()).map_err(anyhow::Error::from);
        written
            .and_then(|()| self.dir.write_order(disk, &order))
            .map_err(|error| format!("write the order of run {}: {error:#}", order.run))?;
        self.spawn_shim(&[])?;
        match self.first_record(order.run).await {
            Ok(FirstRecord::Run(run)) => {
                self.event(format!("started as pid {}", run.process.pid));
                self.watch(*run);
                Ok(())
            }
            Ok(FirstRecord::Exit(exit)) => {
                self.reap();
                self.on_node_end(&exit);
                let state = self.publish.borrow();
                let why =
                    state.last_end.as_ref().map(|end| format!("{} ({})", end.text, end.remedy));
                Err(why.unwrap_or_else(|| "it ended at once".to_owned()))
            }
            Err(reason) => {
                self.set_phase(Phase::Unknown { reason: reason.clone() });
                Err(reason)
            }
        }
    }

    /// The last run that was ordered or begun.
    fn last_run(&self) -> u64 {
        let disk = &*self.workshop.disk;
        let ordered = match self.dir.order(disk) {
            Record::Known(order) => order.run,
            Record::Absent | Record::Unreadable(_) => 0,
        };
        match self.dir.run(disk) {
            Record::Known(run) => ordered.max(run.run),
            Record::Absent | Record::Unreadable(_) => ordered,
        }
    }

    /// Puts a new shim under a running node.
    pub(super) async fn take_over(&mut self, orphan: RunRecord) {
        let taken = match self.spawn_shim(&["--adopt"]) {
            Ok(()) => self.new_shim_of(&orphan).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(run) => self.watch(run),
            Err(reason) if Self::is_alive(&orphan.process) => {
                self.set_phase(Phase::Unknown { reason });
            }
            // It was killed with its shim, and was still dying when that was noticed.
            Err(_) => {
                self.reap();
                match self.dir.exit(&*self.workshop.disk) {
                    Record::Known(exit) if exit.run == orphan.run => self.on_node_end(&exit),
                    _ => self.on_node_end(&self.unseen_end(orphan.run)),
                }
            }
        }
    }

    pub(super) fn watch(&mut self, run: RunRecord) {
        let watch = ProcessWatch::new(run.shim.clone());
        self.set_phase(Phase::Running(run.clone()));
        self.live = Live::Watching { run: Box::new(run), watch };
    }

    fn spawn_shim(&mut self, extra: &[&str]) -> Result<(), String> {
        let folder = self.dir.root().to_string_lossy().into_owned();
        let mut arguments = vec!["shim", &folder];
        arguments.extend(extra);
        let log = self.dir.shim_log();
        let shim = child::spawn_manager(&self.workshop.manager, &arguments, &log)
            .map_err(|error| format!("start a shim: {error}"))?;
        self.shim = Some(shim);
        Ok(())
    }

    async fn first_record(&mut self, run: u64) -> Result<FirstRecord, String> {
        let deadline = tokio::time::Instant::now() + RECORD_PATIENCE;
        loop {
            // Asked before the records are read: a shim writes before it ends.
            let shim_ended = self.shim_has_ended();
            let disk = &*self.workshop.disk;
            if let Record::Known(record) = self.dir.exit(disk)
                && record.run == run
            {
                return Ok(FirstRecord::Exit(Box::new(record)));
            }
            if let Record::Known(record) = self.dir.run(disk)
                && record.run == run
            {
                return Ok(FirstRecord::Run(Box::new(record)));
            }
            if shim_ended {
                let log = self.dir.shim_log();
                return Err(format!("the shim of run {run} failed: see {}", log.display()));
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(format!("run {run} was not put on record within {RECORD_PATIENCE:?}"));
            }
            tokio::time::sleep(RECORD_PAUSE).await;
        }
    }

    async fn new_shim_of(&mut self, orphan: &RunRecord) -> Result<RunRecord, String> {
        let deadline = tokio::time::Instant::now() + RECORD_PATIENCE;
        loop {
            let shim_ended = self.shim_has_ended();
            if let Record::Known(run) = self.dir.run(&*self.workshop.disk)
                && run.run == orphan.run
                && run.shim != orphan.shim
            {
                return Ok(run);
            }
            if shim_ended || tokio::time::Instant::now() >= deadline {
                return Err(format!(
                    "no shim could take over pid {}: see {}",
                    orphan.process.pid,
                    self.dir.shim_log().display()
                ));
            }
            tokio::time::sleep(RECORD_PAUSE).await;
        }
    }

    fn shim_has_ended(&mut self) -> bool {
        match &mut self.shim {
            Some(shim) => !matches!(shim.try_wait(), Ok(None)),
            None => true,
        }
    }

    /// Whether this process holds something below the data dir, or nobody does (yet).
    pub(super) fn holds_data_dir(run: &RunRecord) -> bool {
        data_dir_owner(&run.data_dir).is_none_or(|owner| owner.pid == run.process.pid)
    }

    /// Whether a process of the records is alive; "cannot tell" counts as alive.
    pub(super) fn is_alive(process: &ProcessId) -> bool {
        process.is_alive().unwrap_or(true)
    }
}
