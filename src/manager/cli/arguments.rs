//! The commands and their options. docs/cli.md is made of this help: `UPDATE_EXPECT=1` rewrites it.

pub(super) mod archives;
pub(super) mod endpoints;
pub(super) mod events;
pub(super) mod member;
pub(super) mod pause;

use std::{path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::pki_arguments::Pki;

/// What an apply may take, unless it is told.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);

/// Runs etcd clusters on plain hosts from one TOML spec.
#[derive(Debug, Parser)]
#[command(name = "etcd-manager", version, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The command line as clap sees it, for help pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the cluster what the spec says; starts the agent if none runs
    Apply(Apply),
    /// Show what apply would do, and change nothing
    Plan(Plan),
    /// Check a spec file, and do nothing else
    Check(Check),
    /// Show members, roles and health
    Status(Status),
    /// Print the environment a node is started with
    Env(Env),
    /// Print the command line that says the same as the environment
    Flags(Flags),
    /// Print what a node says
    Logs(Logs),
    /// Restart one node, handing leadership over first
    Restart(Restart),
    /// Stop nodes gracefully, the leader last; membership and data stay
    Stop(Stop),
    /// Start stopped nodes
    Start(Start),
    /// Have nothing changed until `resume`; nodes are supervised on
    ///
    /// The step under way is finished first. Plans and drift are shown on, and a node that crashes is restarted as it
    /// was. An apply is put on record and goes on after `resume`; stop, start and restart are refused.
    Pause(pause::Pause),
    /// End a pause, and carry out what was put on record meanwhile
    Resume(pause::Resume),
    /// Show what was decided, why, and what came of it
    Events(events::Events),
    /// Print how clients reach the cluster: the variables that etcdctl reads
    Endpoints(endpoints::Endpoints),
    /// Add, remove, replace or move a node: edits the spec, comments kept, and applies it
    Member(member::Member),
    /// List or delete data dirs that were put away on this machine
    Archives(archives::Archives),
    /// Run the agent in the foreground
    ///
    /// SIGTERM and SIGINT end it and leave the nodes running; SIGUSR1 stops the nodes of this host
    /// gracefully first. Where systemd started it, it says when it is ready, how its nodes are, and
    /// that it is alive.
    Agent(Agent),
    /// Make and look after certificates
    ///
    /// The folder holds the authority, a folder for each host to be carried there, and one for each
    /// person. docs/pki.md says where it lies and who signs.
    Pki(Pki),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Forms of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Form {
    /// `export NAME='value'`
    #[default]
    Shell,
    /// For `EnvironmentFile=`
    Systemd,
    /// One object
    Json,
}

/// Which spec, for commands that take it as their argument.
#[derive(Debug, Args)]
pub(super) struct SpecArgument {
    /// The spec [default: cluster.toml]
    #[arg(value_name = "FILE")]
    argument: Option<PathBuf>,
    /// The same, as an option
    #[arg(short = 'f', long = "file", value_name = "FILE", conflicts_with = "argument")]
    option: Option<PathBuf>,
}

/// Which spec, for commands whose argument is something else.
#[derive(Debug, Args)]
pub(super) struct SpecOption {
    /// The spec
    #[arg(short = 'f', long = "file", value_name = "FILE", default_value = "cluster.toml")]
    pub(super) file: PathBuf,
}

/// Which agent to ask, where it is not the one of this machine.
#[derive(Debug, Args)]
pub(super) struct Reach {
    /// Ask this agent; by default the one of this machine, else those of the spec's hosts
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) agent: Option<String>,
    #[command(flatten)]
    pub(super) means: Means,
}

/// What is shown to an agent on another machine, and whom it has to be known by.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Means {
    /// Your certificate, for agents that serve with TLS (docs/pki.md)
    #[arg(long, value_name = "FILE", requires_all = ["key", "cacert"])]
    pub(super) cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) key: Option<PathBuf>,
    /// Authorities that certificates of agents are signed by
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) cacert: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    spec: SpecArgument,
    /// Show the plan only
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Apply only if the wanted spec is at this revision (see `status`): of two operators at once one wins
    #[arg(long, value_name = "REVISION", conflicts_with = "dry_run")]
    pub(super) expect: Option<u64>,
    /// So long from now on no further step begins: the one under way is finished, and what is left is told [default: the
    /// spec's, or none]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) deadline: Option<Duration>,
    /// Do not wait for a maintenance window
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) now: bool,
    /// Give up after this long [default: 5m, or 5m past the deadline]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Form of the progress
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) reach: Reach,
}

#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    spec: SpecArgument,
    #[command(flatten)]
    pub(super) reach: Reach,
    /// Form of the plan
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    spec: SpecArgument,
}

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    spec: SpecArgument,
    #[command(flatten)]
    pub(super) reach: Reach,
    /// Form of the status; docs/status-json.md describes the JSON
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Env {
    /// The node
    pub(super) node: String,
    /// Form of the environment
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Form,
    #[command(flatten)]
    pub(super) reach: Reach,
    #[command(flatten)]
    pub(super) spec: SpecOption,
}

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// The node
    pub(super) node: String,
    #[command(flatten)]
    pub(super) reach: Reach,
    #[command(flatten)]
    pub(super) spec: SpecOption,
}

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// The node
    pub(super) node: String,
    /// The spec
    #[arg(value_name = "FILE", default_value = "cluster.toml")]
    argument: PathBuf,
    /// The same, as an option
    #[arg(long = "file", value_name = "FILE", conflicts_with = "argument")]
    option: Option<PathBuf>,
    /// Go on with what it says from now on
    #[arg(short, long)]
    pub(super) follow: bool,
    #[command(flatten)]
    pub(super) reach: Reach,
    /// How many lines to begin with
    #[arg(short = 'n', long, default_value_t = 100)]
    pub(super) lines: usize,
}

#[derive(Debug, Args)]
pub(super) struct Restart {
    /// The node
    pub(super) node: String,
    /// Give up after this long
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
    /// Form of the progress
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) reach: Reach,
    #[command(flatten)]
    pub(super) spec: SpecOption,
}

#[derive(Debug, Args)]
pub(super) struct Stop {
    /// The nodes; all if none is named
    pub(super) nodes: Vec<String>,
    /// Without a value: end this machine's agent as well, once the nodes are stopped. With one: ask
    /// the agent there, and let it run
    #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, value_parser = address)]
    pub(super) agent: Option<Option<String>>,
    #[command(flatten)]
    means: Means,
    /// Give up after this long
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
    /// Form of the progress
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) spec: SpecOption,
}

#[derive(Debug, Args)]
pub(super) struct Start {
    /// The nodes; all if none is named
    pub(super) nodes: Vec<String>,
    /// Give up after this long
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
    /// Form of the progress
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) reach: Reach,
    #[command(flatten)]
    pub(super) spec: SpecOption,
}

#[derive(Debug, Args)]
pub(super) struct Agent {
    /// The agent of a host among others: its agent.toml (docs/agent-toml.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["state_dir", "file"])]
    pub(super) config: Option<PathBuf>,
    /// Folder of the agent's own state; by default the one that the spec names
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// Write the log to this file, rotated by size, instead of standard error
    #[arg(long, value_name = "FILE")]
    pub(super) log_file: Option<PathBuf>,
    /// Write the process id to this file once the agent is up
    #[arg(long, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) spec: SpecOption,
}

/// `stop --agent n1` is a mistake, not an address.
fn address(text: &str) -> Result<String, String> {
    if text.contains(':') {
        return Ok(text.to_owned());
    }
    Err("it is no HOST:PORT; name nodes before `--agent`".to_owned())
}

impl Apply {
    /// How long it may take at most.
    pub(super) fn timeout(&self) -> Duration {
        let given = || self.deadline.unwrap_or_default().saturating_add(TIMEOUT_DEFAULT);
        self.timeout.unwrap_or_else(given)
    }
}

impl Stop {
    /// Which agent to ask.
    pub(super) fn reach(&self) -> Reach {
        Reach { agent: self.agent.clone().flatten(), means: self.means.clone() }
    }

    /// Whether the agent is to end as well.
    pub(super) fn ends_agent(&self) -> bool {
        self.agent == Some(None)
    }
}

impl SpecArgument {
    fn spec_file(&self) -> PathBuf {
        let given = self.argument.as_ref().or(self.option.as_ref());
        given.cloned().unwrap_or_else(|| PathBuf::from("cluster.toml"))
    }
}

macro_rules! spec_file {
    ($($command:ident),*) => {
        $(impl $command {
            /// The spec file it names.
            pub(super) fn spec_file(&self) -> PathBuf {
                self.spec.spec_file()
            }
        })*
    };
}

spec_file!(Apply, Plan, Check, Status);

impl Logs {
    /// The spec file it names.
    pub(super) fn spec_file(&self) -> &PathBuf {
        self.option.as_ref().unwrap_or(&self.argument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_command_line_is_its_help() {
        let mut page = "# etcd-manager on the command line\n".to_owned();
        let mut program = command().term_width(100);
        program.build();
        let mut add = |command: &mut clap::Command| {
            let help = command.render_long_help().to_string();
            let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
            let name = command.get_display_name().unwrap_or_else(|| command.get_name());
            let title = format!(
                "etcd-manager{}",
                name.trim_start_matches("etcd-manager").replace('-', " ")
            );
            page += &format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim());
        };
        add(&mut program.clone());
        for command in program.get_subcommands_mut().filter(|it| it.get_name() != "help") {
            add(command);
            for command in command.get_subcommands_mut().filter(|it| it.get_name() != "help") {
                add(command);
            }
        }
        crate::expect::same_as_kept("../../docs/cli.md", &page);
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_spec_is_an_argument_or_an_option_or_cluster_toml() {
        let file = |words: &[&str]| match Arguments::try_parse_from(words).unwrap().command {
            Command::Apply(apply) => apply.spec_file(),
            Command::Logs(logs) => logs.spec_file().clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(file(&["m", "apply"]), PathBuf::from("cluster.toml"));
        assert_eq!(file(&["m", "apply", "a.toml"]), PathBuf::from("a.toml"));
        assert_eq!(file(&["m", "apply", "-f", "a.toml"]), PathBuf::from("a.toml"));
        assert_eq!(file(&["m", "logs", "n1", "-f"]), PathBuf::from("cluster.toml"));
        assert_eq!(file(&["m", "logs", "n1", "-f", "a.toml"]), PathBuf::from("a.toml"));
        assert_eq!(file(&["m", "logs", "n1", "--file", "a.toml"]), PathBuf::from("a.toml"));
        assert!(Arguments::try_parse_from(["m", "apply", "a", "-f", "b"]).is_err());
    }
}
