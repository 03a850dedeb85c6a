//! `etcd-node`: an etcd member. Reads its settings, sets up the log, runs until its end, and ends as
//! etcd does: by the signal it got, with 0 when it was removed, with 1 when it failed.

use std::{
    ffi::OsStr,
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use base::SystemClock;
use node::{
    config::{self, Command, Config},
    inspect::command,
    logging,
    run::{self, Ended, Signals},
};

fn main() -> ExitCode {
    node::allocator::share_one_arena();
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| text(&argument)).collect();
    if let Some((word, rest)) = arguments.split_first()
        && word == "inspect"
    {
        return inspect(rest);
    }
    let environment: Vec<(String, String)> =
        std::env::vars_os().map(|(name, value)| (text(&name), text(&value))).collect();
    match config::load(&arguments, &environment) {
        Ok(Command::Run { config, notes }) => run_member(&config, &notes),
        Ok(Command::Help) => print(&config::help()),
        Ok(Command::Version) => print(&config::version()),
        Err(refusal) => {
            complain(&format!("{refusal}\nSee 'etcd-node --help'."));
            ExitCode::from(refusal.exit)
        }
    }
}

fn inspect(arguments: &[String]) -> ExitCode {
    let outcome = command::run(arguments);
    if !outcome.err.is_empty() {
        complain(&outcome.err);
    }
    match print(&outcome.out) {
        ExitCode::SUCCESS => ExitCode::from(outcome.exit),
        failed => failed,
    }
}

fn run_member(config: &Config, notes: &[String]) -> ExitCode {
    if let Err(error) = logging::init(&config.log, Arc::new(SystemClock)) {
        complain(&base::ErrorChain(&error).to_string());
        return ExitCode::FAILURE;
    }
    end_on_panic();
    let signals = match Signals::block() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("cannot wait for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match run::run(config, notes, &signals) {
        Ok(Ended::Signal(signal)) => {
            signals.end_by(signal);
            ExitCode::SUCCESS
        }
        Ok(Ended::Removed) => ExitCode::SUCCESS,
        Ok(Ended::Failed(reason)) => {
            complain(&reason);
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&run::describe(&error));
            ExitCode::from(error.exit())
        }
    }
}

/// A panic anywhere leaves a member that is not whole: the process ends (by SIGABRT), and the log
/// gives back what it had acknowledged.
fn end_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}

fn text(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The last words, also for people who read no JSON.
fn complain(text: &str) {
    // Without standard error there is nobody to tell.
    drop(writeln!(io::stderr().lock(), "etcd-node: {text}"));
}
