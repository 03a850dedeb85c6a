//! The command line: parses, asks the local agent, prints. It decides nothing.

mod archives;
mod arguments;
mod connect;
mod endpoints;
mod events;
mod generated;
mod logs;
mod member;
mod offline;
mod outcome;
mod pki;
mod pki_arguments;
mod progress;
mod requests;
mod run_agent;
mod screen;

pub use arguments::command;
pub use outcome::exit_codes;

use std::{ffi::OsString, path::PathBuf, sync::Arc};

use base::Clock;
use clap::{FromArgMatches, Parser};
use disk::Disk;
use wire::agentpb::PauseRequest;

use crate::supervise::shim::{self, ShimArguments};
use arguments::{Arguments, Command};
use outcome::{Failure, Outcome};
use screen::Screen;

/// What the program hands in.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Path of the running program.
    pub manager: PathBuf,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// Runs one command; returns its exit code (docs/exit-codes.md).
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: &Environment) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|first| first == "shim") {
        return run_shim(&arguments, environment);
    }
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            drop(error.print());
            return if error.use_stderr() { outcome::USAGE } else { outcome::OK };
        }
    };
    let mut screen = Screen::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(dispatch(parsed.command, environment, &mut screen));
            // Watcher threads and the like need not be waited for.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::failed(format!("start the runtime: {error}"))),
    };
    match done {
        Ok(outcome) => outcome.code(),
        Err(failure) => {
            screen.error(&failure.text);
            failure.code
        }
    }
}

/// Without clap and without a runtime: a shim should weigh nothing.
fn run_shim(arguments: &[OsString], environment: &Environment) -> u8 {
    let mut screen = Screen::new();
    let Some(dir) = arguments.get(2) else {
        screen.error("shim: which folder?");
        return outcome::USAGE;
    };
    let adopt = arguments.get(3).is_some_and(|word| word == "--adopt");
    let order = ShimArguments { dir: dir.into(), adopt };
    match shim::run(order, &*environment.disk, &*environment.clock) {
        Ok(()) => outcome::OK,
        Err(error) => {
            screen.error(&format!("shim {}: {error:#}", dir.to_string_lossy()));
            outcome::FAILED
        }
    }
}

async fn dispatch(
    command: Command,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    match command {
        Command::Apply(apply) if apply.dry_run => {
            let place = (&*apply.spec_file(), &apply.reach);
            requests::plan(place, apply.output, environment, screen).await
        }
        Command::Apply(apply) => requests::apply(&apply, environment, screen).await,
        Command::Plan(plan) => {
            let place = (&*plan.spec_file(), &plan.reach);
            requests::plan(place, plan.output, environment, screen).await
        }
        Command::Check(check) => requests::check(&check.spec_file(), screen),
        Command::Status(status) => requests::status(&status, screen).await,
        Command::Env(env) => generated::environment(&env, environment, screen).await,
        Command::Flags(flags) => generated::flags(&flags, environment, screen).await,
        Command::Logs(logs) => logs::logs(&logs, screen).await,
        Command::Restart(restart) => requests::restart(&restart, environment, screen).await,
        Command::Stop(stop) => requests::stop(&stop, environment, screen).await,
        Command::Start(start) => requests::start(&start, environment, screen).await,
        Command::Pause(pause) => {
            let (resume, reason) = (false, pause.reason.clone());
            let request = PauseRequest { resume, reason, timeout_ms: 0 };
            requests::pause(request, &pause.request, environment, screen).await
        }
        Command::Resume(resume) => {
            let request = PauseRequest { resume: true, ..PauseRequest::default() };
            requests::pause(request, &resume.request, environment, screen).await
        }
        Command::Events(wish) => events::events(&wish, environment, screen).await,
        Command::Endpoints(wish) => endpoints::endpoints(&wish, screen),
        Command::Archives(wish) => archives::archives(&wish, environment, screen),
        Command::Member(member) => member::member(&member, environment, screen).await,
        Command::Pki(pki) => pki::run(&pki, environment, screen),
        Command::Agent(agent) => run_agent::run(&agent, environment).await,
    }
}

/// Parses the product's own command line; for tests of the documentation.
///
/// # Errors
/// clap's, with its text.
pub fn parse_check(arguments: &[&str]) -> Result<(), clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    Arguments::from_arg_matches(&matches).map(drop)
}
