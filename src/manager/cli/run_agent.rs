//! `agent`: the agent in the foreground, with its log set up.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use base::ErrorChain;
use disk::RealDisk;
use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use super::{
    Environment,
    arguments::Agent,
    outcome::{FAILED, Failure, Outcome, TAKEN, UNREADABLE},
};
use crate::{
    agent::{self, AgentError, AgentOptions},
    spec::{self, agent_file},
    supervise::{RotatingLog, record::LogFile},
};

/// Size of the agent's own log file before it is rotated, and how many are kept.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
const LOGS_KEPT: u32 = 3;

pub(super) async fn run(agent: &Agent, environment: &Environment) -> Result<Outcome, Failure> {
    let loaded = agent.config.as_deref().map(agent_file::load).transpose()?;
    let state_dir = match (&loaded, &agent.state_dir) {
        (Some((file, _)), _) => file.state_dir.clone(),
        (None, Some(dir)) => dir.clone(),
        (None, None) => spec::state_dir(&agent.spec.file)?,
    };
    let state_dir: PathBuf = std::path::absolute(state_dir)?;
    log_to(agent.log_file.as_deref())?;
    for warning in loaded.iter().flat_map(|(_, warnings)| warnings) {
        tracing::warn!("{warning}");
    }
    let options = AgentOptions {
        manager: environment.manager.clone(),
        state_dir,
        disk: environment.disk.clone(),
        clock: environment.clock.clone(),
        pid_file: agent.pid_file.as_deref().map(std::path::absolute).transpose()?,
        file: loaded.map(|(file, _)| file),
    };
    agent::run(options).await.map_err(|error| {
        let code = match &error {
            AgentError::Taken(_) => TAKEN,
            AgentError::Control(_) => UNREADABLE,
            AgentError::StateDir { .. }
            | AgentError::Address { .. }
            | AgentError::Tls(_)
            | AgentError::WrongCertificate { .. }
            | AgentError::Socket { .. } => FAILED,
        };
        Failure::new(code, ErrorChain(&error).to_string())
    })?;
    Ok(Outcome::Done)
}

fn log_to(file: Option<&Path>) -> Result<(), Failure> {
    let builder = tracing_subscriber::fmt().with_target(false).with_max_level(tracing::Level::INFO);
    let Some(path) = file else {
        builder.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).init();
        return Ok(());
    };
    let path = std::path::absolute(path)?;
    let settings = LogFile { path, max_bytes: LOG_BYTES_MAX, keep: LOGS_KEPT };
    let log = RotatingLog::open(&RealDisk, settings)?;
    builder.with_ansi(false).with_writer(Shared(Arc::new(Mutex::new(log)))).init();
    Ok(())
}

/// The log file, for many writers.
#[derive(Clone)]
struct Shared(Arc<Mutex<RotatingLog<'static>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Shared {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}
