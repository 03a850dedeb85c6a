//! What the agents of a test's hosts say.

use std::{fs, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::Hosts;
use crate::harness::{netns, wait};

impl Hosts {
    /// `status --output json` as a host's agent tells it.
    ///
    /// # Errors
    /// If it fails or is no JSON.
    pub(crate) fn status_of(&self, number: u8) -> Result<Value> {
        let agent = format!("{}:2378", netns::address(number));
        let said = self.run(&["status", "--output", "json", "--agent", &agent])?;
        serde_json::from_str(&said.out).with_context(|| format!("status: {said:?}"))
    }

    /// The host whose agent leads.
    ///
    /// # Errors
    /// If none does.
    pub(crate) fn leader(&self) -> Result<u8> {
        let ask = || {
            let mut leaders = Vec::new();
            for number in &self.numbers {
                let Ok(status) = self.status_of(*number) else { continue };
                let hosts = status["hosts"].as_array().cloned().unwrap_or_default();
                let leader = hosts.iter().find(|host| host["role"] == "leader");
                leaders.push(leader.map(|host| host["host"].clone()));
            }
            let first = leaders.first().cloned().flatten().context("nobody leads")?;
            ensure!(leaders.iter().all(|leader| leader.as_ref() == Some(&first)), "{leaders:?}");
            let known = |number: &&u8| first == netns::address(**number);
            self.numbers.iter().find(known).copied().context("a host")
        };
        wait::until_blocking(Duration::from_secs(30), "one agent leads", ask)
    }

    /// The host whose agent leads, as the first one says that answers.
    ///
    /// # Errors
    /// If nobody knows.
    pub(crate) fn leader_by_anyone(&self) -> Result<u8> {
        for number in &self.all {
            let Ok(status) = self.status_of(*number) else { continue };
            let hosts = status["hosts"].as_array().cloned().unwrap_or_default();
            let Some(leader) = hosts.iter().find(|host| host["role"] == "leader") else { continue };
            let known = |number: &&u8| leader["host"] == netns::address(**number);
            if let Some(number) = self.all.iter().find(known) {
                return Ok(*number);
            }
        }
        Err(anyhow!("nobody leads"))
    }

    /// Whether this revision of the spec is in force and the cluster what it says, as somebody says who knows.
    ///
    /// # Errors
    /// None now; a host that does not answer is asked no further.
    pub(crate) fn is_through(&self, revision: u64) -> Result<bool> {
        let is_so =
            |status: &Value| status["converged"] == true && status["spec_revision"] == revision;
        Ok(self.numbers.iter().filter_map(|host| self.status_of(*host).ok()).any(|it| is_so(&it)))
    }

    /// Waits until a host's agent says that everything is as the spec wants it.
    ///
    /// # Errors
    /// The last status.
    pub(crate) fn await_converged(&self, number: u8) -> Result<Value> {
        wait::until_blocking(Duration::from_secs(60), "the cluster has converged", || {
            let status = self.status_of(number)?;
            ensure!(status["converged"] == true, "{status:#}");
            Ok::<_, anyhow::Error>(status)
        })
    }

    /// The member's `--FLAG` as its process has it.
    ///
    /// # Errors
    /// If it does not run.
    pub(crate) fn variable(&self, status: &Value, node: &str, name: &str) -> Result<String> {
        let members = status["members"].as_array().context("members")?;
        let member = members.iter().find(|member| member["name"] == node).context("the node")?;
        let pid = member["pid"].as_i64().with_context(|| format!("{node} has no pid"))?;
        let environment = fs::read(format!("/proc/{pid}/environ"))?;
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let value =
            environment.split('\0').find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        Ok(value.unwrap_or_default().to_owned())
    }
}
