//! `etcd-manager`: the command line, the agent and the shim, in one program. All of it is in `manager::cli`.

use std::{process::ExitCode, sync::Arc};

use base::SystemClock;
use disk::RealDisk;
use manager::cli::{self, Environment};

fn main() -> ExitCode {
    let environment =
        Environment { manager: program(), disk: Arc::new(RealDisk), clock: Arc::new(SystemClock) };
    ExitCode::from(cli::run(std::env::args_os(), &environment))
}

/// Path of this program. Linux names a replaced file `PATH (deleted)`: an upgrade lies at PATH.
fn program() -> std::path::PathBuf {
    let path = std::env::current_exe().unwrap_or_else(|_| "etcd-manager".into());
    match path.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
        Some(path) => path.into(),
        None => path,
    }
}
