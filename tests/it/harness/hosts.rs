//! A cluster over several hosts, each with an agent of its own, and an operator's machine besides.

mod asking;
mod killing;
mod load;
mod secured;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use tempfile::TempDir;

use super::{child::Process, ctl::Said, manager, netns, netns::Network, oracle, wait};
pub(crate) use load::Load;

/// The operator's machine.
const OPERATOR: u8 = 100;

/// What the agents of a test have that others have not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum AgentsHave {
    #[default]
    Nothing,
    /// A spec file of their host.
    OwnSpecs,
    /// An end at a change of their journal, when the test says so.
    AnEnd,
    /// Certificates.
    Tls,
}

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
    /// What its agents are told besides.
    agents_have: AgentsHave,
    /// Whose certificate the operator shows, where agents serve with TLS; nobody's is plain text.
    pub(crate) shows: Option<PathBuf>,
    /// The nodes' program; none is the in-tree one.
    binary: Option<PathBuf>,
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

    /// The same as [`Hosts::with_spare`] with another program for the nodes, which `agent.toml` allows.
    ///
    /// # Errors
    /// As [`Hosts::new`].
    pub(crate) fn of_binary(
        binary: PathBuf,
        (count, spare): (u8, u8),
        extra: &str,
    ) -> Result<Self> {
        let mut hosts = Self::without_agents(count, spare)?;
        hosts.binary = Some(binary);
        hosts.write_spec(extra)?;
        for number in hosts.all.clone() {
            hosts.start_agent(number)?;
        }
        Ok(hosts)
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
        hosts.agents_have = AgentsHave::OwnSpecs;
        Ok(hosts)
    }

    /// Hosts without agents yet, and no spec.
    ///
    /// # Errors
    /// As [`Hosts::new`].
    pub(crate) fn without_agents(count: u8, spare: u8) -> Result<Self> {
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
            agents_have: AgentsHave::default(),
            shows: None,
            binary: None,
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
        let binary = self.binary.as_ref().map_or_else(String::new, |binary| {
            format!("[defaults]\nbinary = \"{}\"\n", binary.display())
        });
        let mut spec =
            format!("[cluster]\nname = \"many\"\ndir = \"{root}/data\"\n\n{binary}{extra}\n");
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
        let how = if self.agents_have == AgentsHave::Tls { "" } else { "insecure = true\n" };
        let text = format!(
            "[agent]\nhost = \"{}\"\nstate-dir = \"{}\"\n{how}",
            netns::address(number),
            self.state_dir(number).display()
        );
        let mut own = String::new();
        if let Some(binary) = &self.binary {
            writeln!(own, "[allow]\nbinaries = \"{}\"", binary.display())?;
        }
        if self.agents_have == AgentsHave::OwnSpecs {
            writeln!(own, "spec = \"{}\"", self.own_spec(number).display())?;
        }
        if self.agents_have == AgentsHave::Tls {
            writeln!(own, "[tls]\ndir = \"{}\"", self.pki().display())?;
        }
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
        let up = wait::until_blocking(Duration::from_secs(20), "the agent serves", || {
            let log = self.log_of(number);
            if serves(log.clone()) > before {
                return Ok(true);
            }
            if self.is_dead(number) { Ok(false) } else { Err(log) }
        })?;
        ensure!(up, "the agent of {number} ended: {}", self.log_of(number));
        Ok(())
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
        let mut arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        if arguments.first().is_some_and(|command| command != "pki") {
            arguments.extend(self.shown());
        }
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

    /// All client URLs.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.numbers.iter().map(|host| format!("http://{}:2379", netns::address(*host))).collect()
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
