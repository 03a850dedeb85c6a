//! Agents that end, as by SIGKILL, right before a change of their journal that the test names.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, anyhow};
use lossy::UndoLog;

use super::{AgentsHave, Hosts};
use crate::harness::wait;

impl Hosts {
    /// The same as [`Hosts::with_spare`]; [`Hosts::kill_at`] works on their agents.
    ///
    /// # Errors
    /// As [`Hosts::new`].
    pub(crate) fn with_killable_agents(count: u8, spare: u8, extra: &str) -> Result<Self> {
        let mut hosts = Self::without_agents(count, spare)?;
        hosts.agents_have = AgentsHave::AnEnd;
        hosts.write_spec(extra)?;
        for number in hosts.all.clone() {
            hosts.start_agent(number)?;
        }
        Ok(hosts)
    }

    /// From now on a host's agent has this many writes and syncs of its journal left.
    ///
    /// # Errors
    /// If it cannot be told.
    #[expect(clippy::disallowed_methods, reason = "renamed, so that it is there as a whole")]
    pub(crate) fn kill_at(&self, number: u8, step: u32) -> Result<()> {
        let order = self.order(number);
        let new = order.with_extension("new");
        fs::write(&new, step.to_string())?;
        fs::rename(&new, &order).context("order the end of an agent")
    }

    /// Takes it back, unless it has happened. Returns whether it has; then that agent must be started again.
    ///
    /// # Errors
    /// If it cannot be told.
    pub(crate) fn spare(&mut self, number: u8) -> Result<bool> {
        fs::remove_file(self.order(number)).context("take an order back")?;
        Ok(self.is_dead(number))
    }

    /// Whether a host's agent has ended.
    pub(crate) fn is_dead(&mut self, number: u8) -> bool {
        let place = self.place(number);
        self.agents[place].as_mut().is_none_or(|agent| !agent.is_alive())
    }

    /// Waits until all agents that should run do.
    ///
    /// # Errors
    /// If one has ended by itself.
    pub(crate) fn all_alive(&mut self) -> Result<()> {
        wait::until_blocking(Duration::from_secs(5), "all agents run", || {
            let dead: Vec<u8> =
                self.all.clone().into_iter().filter(|host| self.is_dead(*host)).collect();
            if dead.is_empty() { Ok(()) } else { Err(anyhow!("{dead:?}")) }
        })
    }

    fn order(&self, number: u8) -> PathBuf {
        self.root.path().join(format!("end-of-agent{number}"))
    }

    /// What a host's agent has in its environment.
    pub(super) fn environment_of(&self, number: u8) -> Result<Vec<(String, String)>> {
        if self.agents_have != AgentsHave::AnEnd {
            return Ok(Vec::new());
        }
        let top = self.root.path().canonicalize()?;
        let journal = top.join(format!("agent{number}/control"));
        let notes = top.join(format!("agent{number}.unsynced"));
        UndoLog::new(journal.clone(), notes.clone()).prepare()?;
        let library = std::env::current_exe()?.with_file_name("liblossy_preload.so");
        let text = |path: PathBuf| path.display().to_string();
        Ok(vec![
            ("LD_PRELOAD".to_owned(), text(library)),
            (lossy::ROOT.to_owned(), text(journal)),
            (lossy::NOTES.to_owned(), text(notes)),
            (lossy::KILL_ORDER.to_owned(), text(self.order(number))),
        ])
    }
}
