//! The settings of a member: flags, else environment, else defaults; or a file instead of all three.
//! What cannot be served is refused here, before anything is touched.

mod arguments;
mod cluster;
mod command;
mod disposition;
mod environment;
mod file;
mod given;
mod help;
mod tls;
mod urls;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use base::flags;

use self::given::Given;
pub use self::{
    cluster::{InitialCluster, InitialState},
    command::command,
    disposition::{Disposition, of as disposition_of},
    help::{help, version},
    tls::{Side, TlsConfig, is_https},
};
use crate::server::{AutoCompaction, Settings};

/// A member's settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the running server works with.
    pub settings: Settings,
    /// `--data-dir`.
    pub data_dir: PathBuf,
    /// `--wal-dir`, or `member/wal` in the data dir.
    pub wal_dir: PathBuf,
    /// Who forms the cluster.
    pub cluster: InitialCluster,
    /// Where to listen.
    pub listen: Listen,
    /// Certificates, and who is let in.
    pub tls: TlsConfig,
    /// `--max-wals`: log files kept; 0 keeps all.
    pub max_wals: usize,
    /// How leaders are elected.
    pub election: Election,
    /// `--experimental-initial-corrupt-check`.
    pub initial_corrupt_check: bool,
    /// `--experimental-bootstrap-defrag-threshold-megabytes`; zero is off.
    pub defrag_threshold_bytes: u64,
    /// `--unsafe-no-fsync` turned round.
    pub sync: bool,
    /// Where and what to log.
    pub log: LogConfig,
}

/// How leaders are elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Election {
    /// `--pre-vote`.
    pub pre_vote: bool,
    /// `--initial-election-tick-advance`.
    pub fast_first: bool,
}

/// The listeners, as URLs.
#[derive(Debug, Clone)]
pub struct Listen {
    /// `--listen-peer-urls`.
    pub peer: Vec<String>,
    /// `--listen-client-urls`.
    pub client: Vec<String>,
    /// `--listen-metrics-urls`.
    pub metrics: Vec<String>,
    /// `--socket-reuse-port`.
    pub reuse_port: bool,
}

/// `--log-level` and `--log-outputs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// One of zap's levels.
    pub level: String,
    /// `stderr`, `stdout` or paths.
    pub outputs: Vec<String>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run a member.
    Run {
        /// With these settings.
        config: Box<Config>,
        /// What is to be logged about how they came together.
        notes: Vec<String>,
    },
    /// Print [`help`].
    Help,
    /// Print [`version`].
    Version,
}

/// Why the member does not start. Nothing was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// The reason, in etcd's words where it has some.
    pub text: String,
    /// Exit status: 2 for a command line that cannot be read, 1 for settings that cannot be used.
    pub exit: u8,
}

impl Refusal {
    fn usage(text: String) -> Self {
        Self { text, exit: 2 }
    }

    pub(crate) fn invalid(text: String) -> Self {
        Self { text, exit: 1 }
    }
}

/// Reads command line (without the program's name), environment and, if one is named, the file.
///
/// # Errors
/// See [`Refusal`].
pub fn load(arguments: &[String], environment: &[(String, String)]) -> Result<Command, Refusal> {
    let read = arguments::read(arguments)?;
    if read.help {
        return Ok(Command::Help);
    }
    if read.given.has("version") && read.given.switch("version") {
        return Ok(Command::Version);
    }
    let mut notes: Vec<String> = read
        .ignored
        .iter()
        .map(|flag| format!("--{flag} is no longer used and has no effect"))
        .collect();
    let from_environment = environment.iter().find(|(name, _)| name == "ETCD_CONFIG_FILE");
    let path = match read.given.text("config-file") {
        "" => from_environment.map(|(_, path)| path.clone()).unwrap_or_default(),
        path => path.to_owned(),
    };
    let mut given = read.given;
    if path.is_empty() {
        notes.extend(environment::read(&mut given, environment)?);
        require_advertised_clients(&given)?;
    } else {
        let (from_file, more) = file::read(&read_file(Path::new(&path))?)?;
        given = from_file;
        notes.push(format!("loaded server configuration from {path}, other configuration command line flags and environment variables will be ignored if provided"));
        notes.extend(more);
    }
    let config = Config::build(&given)?;
    refuse_to_force_a_managed_dir(&given, &config)?;
    notes.extend(given.judge()?);
    notes.extend(config.tls.notes(&config.listen));
    urls::refuse_unserved(&given, &config)?;
    Ok(Command::Run { config: Box::new(config), notes })
}

/// A forced new cluster beside a quorum that comes back would be two clusters (R1): where a manager owns the dir, its own
/// recovery asks for the evidence first.
fn refuse_to_force_a_managed_dir(given: &Given, config: &Config) -> Result<(), Refusal> {
    let is_forced = given.switch("force-new-cluster");
    // Where it cannot be told, the dir counts as managed.
    let is_managed = records::Marker::path(&config.data_dir).try_exists().unwrap_or(true);
    if is_forced && is_managed {
        let code = "E-NODE-01";
        return Err(Refusal::invalid(format!(
            "{code}: --force-new-cluster is refused on {}: a manager owns it. Recover it with `etcd-manager recover`, which makes sure that the old cluster cannot come back",
            config.data_dir.display()
        )));
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, Refusal> {
    std::fs::read_to_string(path)
        .map_err(|error| Refusal::invalid(format!("open {}: {error}", path.display())))
}

/// On the command line the advertised URLs have no default once listeners are named.
fn require_advertised_clients(given: &Given) -> Result<(), Refusal> {
    if given.has("listen-client-urls") && !given.has("advertise-client-urls") {
        return Err(Refusal::invalid(
            "--advertise-client-urls is required when --listen-client-urls is set explicitly"
                .to_owned(),
        ));
    }
    Ok(())
}

impl Config {
    fn build(given: &Given) -> Result<Self, Refusal> {
        let listen = Listen {
            peer: given.urls("listen-peer-urls"),
            client: given.urls("listen-client-urls"),
            metrics: given.urls("listen-metrics-urls"),
            reuse_port: given.switch("socket-reuse-port"),
        };
        urls::check(given, &listen)?;
        let tls = TlsConfig::build(given)?;
        tls.check(&listen)?;
        cluster::check_one_source(given)?;
        let name = given.text("name").to_owned();
        let settings = settings(given, &name)?;
        let data_dir = match given.text("data-dir") {
            "" => PathBuf::from(format!("{name}.etcd")),
            path => PathBuf::from(path),
        };
        let wal_dir = match given.text("wal-dir") {
            "" => data_dir.join("member").join("wal"),
            path => PathBuf::from(path),
        };
        let megabytes = given.unsigned("experimental-bootstrap-defrag-threshold-megabytes");
        Ok(Self {
            cluster: InitialCluster::build(given, &name, &settings.peer_urls)?,
            settings,
            data_dir,
            wal_dir,
            listen,
            tls,
            max_wals: size(given.unsigned("max-wals")),
            election: Election {
                pre_vote: given.switch("pre-vote"),
                fast_first: given.switch("initial-election-tick-advance"),
            },
            initial_corrupt_check: given.switch("experimental-initial-corrupt-check"),
            defrag_threshold_bytes: megabytes.saturating_mul(1024 * 1024),
            sync: !given.switch("unsafe-no-fsync"),
            log: log(given)?,
        })
    }
}

fn settings(given: &Given, name: &str) -> Result<Settings, Refusal> {
    let (heartbeat, election) = timing(given)?;
    let backend = backend::Options {
        flush_interval: given.duration_or("backend-batch-interval", Duration::from_millis(100)),
        flush_rows: match given.unsigned("backend-batch-limit") {
            0 => 10_000,
            rows => size(rows),
        },
        sync: !given.switch("unsafe-no-fsync"),
        ..backend::Options::default()
    };
    Ok(Settings {
        name: name.to_owned(),
        client_urls: given.urls("advertise-client-urls"),
        peer_urls: given.urls("initial-advertise-peer-urls"),
        heartbeat,
        election,
        snapshot_count: given.unsigned("snapshot-count"),
        strict_reconfig: given.switch("strict-reconfig-check"),
        catch_up_entries: given.unsigned("experimental-snapshot-catchup-entries"),
        max_snapshots: size(given.unsigned("max-snapshots")),
        max_request_bytes: size(given.unsigned("max-request-bytes")),
        max_txn_ops: size(given.unsigned("max-txn-ops")),
        quota_backend_bytes: given.integer("quota-backend-bytes"),
        auto_compaction: auto_compaction(given)?,
        corrupt_check_time: given.duration("experimental-corrupt-check-time"),
        compaction_batch_rows: match given.unsigned("experimental-compaction-batch-limit") {
            0 => 1000,
            rows => size(rows),
        },
        backend,
        peer_tls: None,
    })
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const ELECTION_MS_MAX: u64 = 50_000;

fn timing(given: &Given) -> Result<(Duration, Duration), Refusal> {
    let heartbeat = given.unsigned("heartbeat-interval");
    let election = given.unsigned("election-timeout");
    let wrong = if heartbeat == 0 {
        "--heartbeat-interval must be >0 (set to 0ms)".to_owned()
    } else if election == 0 {
        "--election-timeout must be >0 (set to 0ms)".to_owned()
    } else if heartbeat.saturating_mul(5) > election {
        format!(
            "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
        )
    } else if election > ELECTION_MS_MAX {
        format!(
            "--election-timeout[{election}ms] is too long, and should be set less than {ELECTION_MS_MAX}ms"
        )
    } else {
        return Ok((Duration::from_millis(heartbeat), Duration::from_millis(election)));
    };
    Err(Refusal::invalid(wrong))
}

fn auto_compaction(given: &Given) -> Result<AutoCompaction, Refusal> {
    let text = given.text("auto-compaction-retention");
    let retention =
        flags::parse_retention(text).map_err(|error| Refusal::invalid(error.to_string()))?;
    let by_revision = given.text("auto-compaction-mode") == "revision";
    match (retention, by_revision) {
        (Ok(0), _) => Ok(AutoCompaction::Off),
        (Ok(hours), false) => {
            Ok(AutoCompaction::Periodic(Duration::from_secs(hours.saturating_mul(3600))))
        }
        (Err(Duration::ZERO), false) => Ok(AutoCompaction::Off),
        (Err(time), false) => Ok(AutoCompaction::Periodic(time)),
        (Ok(revisions), true) => {
            Ok(AutoCompaction::Revisions(i64::try_from(revisions).unwrap_or(i64::MAX)))
        }
        (Err(_), true) => Err(Refusal::invalid(format!(
            "error parsing CompactionRetention: {text:?} is a duration, and --auto-compaction-mode=revision counts revisions"
        ))),
    }
}

fn log(given: &Given) -> Result<LogConfig, Refusal> {
    if given.text("logger") == "capnslog" {
        return Err(Refusal::invalid("--logger=capnslog is removed in v3.5".to_owned()));
    }
    let outputs = given.list("log-outputs");
    if let Some(journal) = outputs.iter().find(|output| *output == "systemd/journal") {
        return Err(Refusal::invalid(format!(
            "not supported by etcd-node: --log-outputs={journal}: log to stderr, which systemd takes to its journal"
        )));
    }
    if outputs.len() > 1 && outputs.iter().any(|output| output == "default") {
        return Err(Refusal::invalid(format!(
            "multi logoutput for \"default\" is not supported: --log-outputs={}",
            outputs.join(",")
        )));
    }
    Ok(LogConfig { level: given.text("log-level").to_owned(), outputs })
}

#[cfg(test)]
mod tests;
