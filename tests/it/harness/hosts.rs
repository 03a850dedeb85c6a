//! A cluster over several hosts, each with an agent of its own, and an operator's machine besides.

mod killing;
mod load;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{child::Process, ctl::Said, manager, netns, netns::Network, oracle, wait};
pub(crate) use load::Load;

/// The operator's machine.
const OPERATOR: u8 = 100;

/// Hosts with agents; everything ends with the test.
#[derive(Debug)]
pub(crate) struct Hosts {
    root: TempDir,
    pub(crate) network: Network,
    /// Host numbers in the spec: 15 is 10.0.34.15 with node n15.
    pub(crate) numbers: Vec<u8>,
    /// All hosts with an agent.
    all: Vec<u8>,
    agents: Vec<Option<Process>>,
    /// Whether the agents are told of a spec file of their host.
    has_own_specs: bool,
    /// Whether agents end at a change of their journal when the test says so.
    are_killable: bool,
    /// Port of the nodes for each other.
    pub(crate) peer_port: u16,
}

impl Hosts {
    /// Hosts 15, 16 … with an agent each that has not been told of a cluster, and a spec of a node on
    /// each; `extra` goes in front of the nodes.
    ///
    /// # Errors
    /// If namespaces or processes cannot be had.
    pub(crate) fn new(count: u8, extra: &str) -> Result<Self> {
        Self::with_spare(count, 0, extra)
    }

    /// The same with further hosts whose agents run, and which the spec does not name yet.
    ///
    /// # Errors
    /// As [`Hosts::new`].
    pub(crate) fn with_spare(count: u8, spare: u8, extra: &str) -> Result<Self> {
        let mut hosts = Self::without_agents(count, spare)?;
        hosts.write_spec(extra)?;
        for number in hosts.all.clone() {
            hosts.start_agent(number)?;
        }
        Ok(hosts)
    }

    /// Hosts whose agents watch a spec file of their own; none runs and no file is written yet.
    ///
    /// # Errors
    /// As [`Hosts::new`].
    pub(crate) fn with_own_specs(count: u8) -> Result<Self> {
        let mut hosts = Self::without_agents(count, 0)?;
        hosts.has_own_specs = true;
        Ok(hosts)
    }

    fn without_agents(count: u8, spare: u8) -> Result<Self> {
        let numbers: Vec<u8> = (15..15 + count).collect();
        let all: Vec<u8> = (15..15 + count + spare).collect();
        let network = Network::new(&[&all[..], &[OPERATOR]].concat())?;
        let root = tempfile::Builder::new().prefix("em-").tempdir()?;
        let agents = all.iter().map(|_| None).collect();
        Ok(Self {
            root,
            network,
            numbers,
            all,
            agents,
            has_own_specs: false,
            are_killable: false,
            peer_port: 2380,
        })
    }

    /// A host's own copy of the operator's spec, with this in front of the nodes.
    ///
    /// # Errors
    /// If it cannot be written.
    #[expect(clippy::disallowed_methods, reason = "a config tool does it so")]
    pub(crate) fn write_own_spec(&self, number: u8, extra: &str) -> Result<()> {
        fs::write(self.own_spec(number), self.spec_text(extra)?).context("write the host's spec")
    }

    fn own_spec(&self, number: u8) -> PathBuf {
        self.root.path().join(format!("cluster{number}.toml"))
    }

    /// Writes the operator's spec anew.
    ///
    /// # Errors
    /// If the file cannot be written.
    #[expect(clippy::disallowed_methods, reason = "an operator's editor does it so")]
    pub(crate) fn write_spec(&self, extra: &str) -> Result<()> {
        fs::write(self.spec(), self.spec_text(extra)?).context("write cluster.toml")
    }

    fn spec_text(&self, extra: &str) -> Result<String> {
        let root = self.root.path().display();
        let mut spec = format!("[cluster]\nname = \"many\"\ndir = \"{root}/data\"\n\n{extra}\n");
        for number in &self.numbers {
            let host = netns::address(*number);
            let port = self.peer_port;
            write!(
                spec,
                "\n[[node]]\nname = \"n{number}\"\nhost = \"{host}\"\npeer-port = {port}\n"
            )?;
        }
        Ok(spec)
    }

    /// The operator's spec.
    pub(crate) fn spec(&self) -> PathBuf {
        self.root.path().join("cluster.toml")
    }

    /// The state dir of a host's agent.
    pub(crate) fn state_dir(&self, number: u8) -> PathBuf {
        self.root.path().join(format!("agent{number}"))
    }

    fn place(&self, number: u8) -> usize {
        self.all.iter().position(|known| *known == number).expect("a host of the test")
    }

    /// Starts a host's agent.
    ///
    /// # Errors
    /// If it cannot be started.
    #[expect(clippy::disallowed_methods, reason = "an operator's editor does it so")]
    pub(crate) fn start_agent(&mut self, number: u8) -> Result<()> {
        let config = self.root.path().join(format!("agent{number}.toml"));
        let text = format!(
            "[agent]\nhost = \"{}\"\nstate-dir = \"{}\"\ninsecure = true\n",
            netns::address(number),
            self.state_dir(number).display()
        );
        let own = if self.has_own_specs {
            format!("spec = \"{}\"\n", self.own_spec(number).display())
        } else {
            String::new()
        };
        fs::write(&config, text + &own)?;
        let log = self.root.path().join(format!("agent{number}.log"));
        let environment = self.environment_of(number)?;
        let serves = |text: String| text.matches("serves other agents").count();
        let before = serves(self.log_of(number));
        let started = self.network.on(number, move || {
            let config = config.display().to_string();
            let arguments = ["agent".to_owned(), "--config".to_owned(), config];
            Process::start(&oracle::manager(), &arguments, &environment, &log)
        });
        let process = joined(started)?;
        let place = self.place(number);
        self.agents[place] = Some(process);
        wait::until_blocking(Duration::from_secs(20), "the agent serves", || {
            let log = self.log_of(number);
            if serves(log.clone()) > before { Ok(()) } else { Err(log) }
        })
    }

    /// SIGKILL for a host's agent; its node runs on.
    pub(crate) fn kill_agent(&mut self, number: u8) {
        let place = self.place(number);
        if let Some(mut agent) = self.agents[place].take() {
            agent.kill();
        }
    }

    /// The state disk of a host's agent is lost; its agent must be dead.
    ///
    /// # Errors
    /// If it cannot be put aside.
    #[expect(clippy::disallowed_methods, reason = "the test loses a disk")]
    pub(crate) fn lose_state(&self, number: u8) -> Result<()> {
        let state = self.state_dir(number);
        fs::rename(&state, state.with_extension("lost")).context("lose the agent's state")
    }

    /// A copy of the control state of a host whose agent is dead.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn copy_control_state(&self, number: u8) -> Result<PathBuf> {
        let keep = self.root.path().join(format!("control{number}"));
        copy_folder(&self.state_dir(number).join("control"), &keep)?;
        Ok(keep)
    }

    /// Puts it in the place of what is there now.
    ///
    /// # Errors
    /// If it cannot.
    #[expect(clippy::disallowed_methods, reason = "the test exchanges a disk")]
    pub(crate) fn put_control_state_back(&self, number: u8, keep: &Path) -> Result<()> {
        let live = self.state_dir(number).join("control");
        fs::rename(&live, live.with_extension("newer"))?;
        fs::rename(keep, &live).context("put the control state back")
    }

    /// What is noted of a host's control member outside its state.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn control_mark(&self, number: u8) -> Result<String> {
        let records = self.root.path().join(format!("agent{number}-records"));
        let mark = records.join(format!("control-{}", netns::address(number)));
        fs::read_to_string(&mark).with_context(|| mark.display().to_string())
    }

    /// What a host's agent has said.
    pub(crate) fn log_of(&self, number: u8) -> String {
        let path = self.root.path().join(format!("agent{number}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Power off for a host: its agent, shims and node.
    pub(crate) fn power_off(&mut self, number: u8) -> Result<()> {
        self.kill_agent(number);
        let markers = [
            self.state_dir(number).display().to_string(),
            self.root.path().join(format!("data/n{number}")).display().to_string(),
        ];
        let gone = || {
            let all = manager::processes_of(&markers)?;
            manager::kill_all(&all);
            if all.is_empty() { Ok(()) } else { Err(anyhow!("{all:?}")) }
        };
        wait::until_blocking(Duration::from_secs(20), "the host is off", gone)
    }

    /// Runs `etcd-manager` on the operator's machine.
    ///
    /// # Errors
    /// If it cannot be started; a failed command is an answer.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Said> {
        joined(self.run_beside(arguments))
    }

    /// The same, while the test goes on.
    #[expect(clippy::disallowed_methods, reason = "the tests run the program under test")]
    pub(crate) fn run_beside(&self, arguments: &[&str]) -> JoinHandle<Result<Said>> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let folder = self.root.path().to_owned();
        self.network.on(OPERATOR, move || {
            let output = Command::new(oracle::manager())
                .args(arguments)
                .current_dir(folder)
                .output()
                .context("run etcd-manager")?;
            Ok(output.into())
        })
    }

    /// `apply`, which must succeed.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn apply(&self) -> Result<()> {
        let said = self.run(&["apply", "cluster.toml", "--timeout", "90s"])?;
        ensure!(said.code == 0, "apply: {said:?}");
        Ok(())
    }

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

    /// All client URLs.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.numbers.iter().map(|host| format!("http://{}:2379", netns::address(*host))).collect()
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

impl Drop for Hosts {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(said) = self.run(&["status"])
        {
            #[expect(clippy::print_stderr, reason = "a failing test shows the cluster's state")]
            {
                eprintln!("status at the failure:\n{}{}", said.out, said.err);
            }
        }
        self.agents.clear();
        let markers = [self.root.path().display().to_string()];
        let gone = wait::until_blocking(Duration::from_secs(20), "all its processes ended", || {
            let left = manager::processes_of(&markers).unwrap_or_default();
            manager::kill_all(&left);
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
        drop(gone);
    }
}

/// The result of a thread of the test.
///
/// # Errors
/// Its own.
pub(crate) fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_panic| anyhow!("a thread of the test panicked"))?
}

/// Folders and files below.
///
/// # Errors
/// If one cannot be copied.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
