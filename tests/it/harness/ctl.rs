//! The real etcdctl, run against any cluster.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use super::oracle::{self, Version};

/// What a run of a tool gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Exit code; -1 after a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs etcdctl (API 3) on these endpoints.
///
/// # Errors
/// If it cannot be started; a failed command is an answer, not an error.
pub(crate) fn run(version: Version, endpoints: &str, arguments: &[&str]) -> Result<Said> {
    run_with_input(version, endpoints, arguments, "")
}

/// The same with something on standard input.
///
/// # Errors
/// As [`run`].
#[expect(clippy::disallowed_methods, reason = "the tests run the real etcdctl")]
pub(crate) fn run_with_input(
    version: Version,
    endpoints: &str,
    arguments: &[&str],
    input: &str,
) -> Result<Said> {
    use std::{io::Write, process::Stdio};
    let mut child = Command::new(oracle::tool(version, "etcdctl")?)
        .env_clear()
        .env("ETCDCTL_API", "3")
        .env("PATH", "/usr/bin:/bin")
        .arg(format!("--endpoints={endpoints}"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start etcdctl")?;
    child.stdin.take().context("stdin")?.write_all(input.as_bytes())?;
    Ok(child.wait_with_output()?.into())
}

/// Runs etcdctl and wants success.
///
/// # Errors
/// If it exits other than 0, with what it said.
pub(crate) fn ok(version: Version, endpoints: &str, arguments: &[&str]) -> Result<String> {
    let said = run(version, endpoints, arguments)?;
    ensure!(said.code == 0, "etcdctl {arguments:?}: exit {} {} {}", said.code, said.out, said.err);
    Ok(said.out)
}
