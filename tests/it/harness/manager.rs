//! The manager's command line, run as a user would run it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{ctl::Said, oracle, ports::Port, wait};

/// A cluster under the manager, in a folder of its own; everything it started ends with the test.
#[derive(Debug)]
pub(crate) struct Managed {
    root: TempDir,
    /// Client and peer port of each node.
    pub(crate) ports: Vec<(Port, Port)>,
    /// Further variables of each command, and so of the agent and the shims.
    pub(crate) environment: Vec<(String, String)>,
}

impl Managed {
    /// A folder with a spec of `count` nodes `n1`, `n2` …; `extra` goes in front of the nodes.
    ///
    /// # Errors
    /// If ports or folders cannot be had.
    pub(crate) fn new(count: usize, extra: &str) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("em-").tempdir()?;
        let ports =
            (0..count).map(|_| Ok((Port::take()?, Port::take()?))).collect::<Result<_>>()?;
        let managed = Self { root, ports, environment: Vec::new() };
        managed.write_spec(extra)?;
        Ok(managed)
    }

    /// Writes the spec anew.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write_spec(&self, extra: &str) -> Result<()> {
        self.write_spec_of(&(0..self.ports.len()).collect::<Vec<_>>(), extra)
    }

    /// Writes the spec anew with only some of the nodes, by their positions.
    ///
    /// # Errors
    /// If the file cannot be written.
    #[expect(clippy::disallowed_methods, reason = "an operator's editor does it so")]
    pub(crate) fn write_spec_of(&self, nodes: &[usize], extra: &str) -> Result<()> {
        let mut spec = format!("[cluster]\nname = \"it\"\ndir = \"data\"\n\n{extra}\n");
        for at in nodes {
            let (client, peer) = &self.ports[*at];
            spec += &format!(
                "\n[[node]]\nname = \"n{}\"\nhost = \"127.0.0.1\"\nclient-port = {}\npeer-port = {}\n",
                at + 1,
                client.number(),
                peer.number()
            );
        }
        fs::write(self.spec(), spec).context("write cluster.toml")
    }

    /// Path of the spec.
    pub(crate) fn spec(&self) -> PathBuf {
        self.root.path().join("cluster.toml")
    }

    /// The folder of spec and data.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// All client URLs, comma-separated.
    pub(crate) fn endpoints(&self) -> String {
        let urls: Vec<String> = self.ports.iter().map(|(client, _)| client.url()).collect();
        urls.join(",")
    }

    /// Runs `etcd-manager` in the spec's folder.
    ///
    /// # Errors
    /// If it cannot be started; a failed command is an answer.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Said> {
        self.run_in(arguments, &[])
    }

    /// The same with further variables in its environment.
    ///
    /// # Errors
    /// As [`Managed::run`].
    #[expect(clippy::disallowed_methods, reason = "the tests run the program under test")]
    pub(crate) fn run_in(
        &self,
        arguments: &[&str],
        environment: &[(String, String)],
    ) -> Result<Said> {
        let output = Command::new(oracle::manager())
            .args(arguments)
            .envs(self.environment.iter().chain(environment).cloned())
            .current_dir(self.root.path())
            .output()
            .context("run etcd-manager")?;
        Ok(output.into())
    }

    /// `status --output json`.
    ///
    /// # Errors
    /// If it fails or is no JSON.
    pub(crate) fn status(&self) -> Result<serde_json::Value> {
        let said = self.run(&["status", "--output", "json"])?;
        serde_json::from_str(&said.out).with_context(|| format!("status: {said:?}"))
    }

    /// Process ids whose command line names this test's folder.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub(crate) fn processes(&self) -> Result<Vec<(i32, String)>> {
        processes_of(&[self.root.path().display().to_string()])
    }
}

/// Process ids of managers, shims and nodes whose command line or data dir names one of these.
///
/// # Errors
/// If /proc cannot be read.
pub(crate) fn processes_of(markers: &[String]) -> Result<Vec<(i32, String)>> {
    let names = |text: &str| {
        markers.iter().any(|marker| {
            // `/x/n1` is not `/x/n15`.
            text.match_indices(marker.as_str()).any(|(at, _)| {
                let next = text.as_bytes().get(at + marker.len());
                next.is_none_or(|next| !next.is_ascii_alphanumeric())
            })
        })
    };
    let mut found = Vec::new();
    for item in fs::read_dir("/proc")? {
        let path = item?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse::<i32>().ok()) else {
            continue;
        };
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        if names(&line) || (environment.contains("ETCD_DATA_DIR") && names(&environment)) {
            found.push((pid, line));
        }
    }
    Ok(found)
}

/// SIGKILL for each; one that is gone meanwhile is as good.
pub(crate) fn kill_all(processes: &[(i32, String)]) {
    for (pid, _) in processes {
        let pid = nix::unistd::Pid::from_raw(*pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).ok();
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(said) = self.run(&["status"])
        {
            #[expect(clippy::print_stderr, reason = "a failing test shows the cluster's state")]
            {
                eprintln!("status at the failure:\n{}{}", said.out, said.err);
            }
        }
        drop(self.run(&["stop", "--agent"]));
        let gone = wait::until_blocking(Duration::from_secs(20), "all its processes ended", || {
            let left = self.processes().unwrap_or_default();
            kill_all(&left);
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
        drop(gone);
    }
}
