//! Exit codes, kept for ever. docs/exit-codes.md is checked against this table.

use wire::agentpb::progress;

/// It was done, or there was nothing to do.
pub(super) const OK: u8 = 0;
/// It failed or could not converge in time.
pub(super) const FAILED: u8 = 1;
/// The command line is wrong.
pub(super) const USAGE: u8 = 2;
/// The spec is wrong; nothing was touched.
pub(super) const BAD_SPEC: u8 = 3;
/// No agent answers, and none could be started.
pub(super) const NO_AGENT: u8 = 4;
/// A safety rule forbids it; nothing was touched.
pub(super) const REFUSED: u8 = 5;
/// On record, and not carried out to the end: the running step is finished.
pub(super) const HELD: u8 = 6;
/// Another agent has the state dir.
pub(super) const TAKEN: u8 = 7;
/// The agent's own state cannot be read; it does nothing (R13).
pub(super) const UNREADABLE: u8 = 8;
/// The agents have no quorum; nodes run on.
pub(super) const NO_QUORUM: u8 = 9;

/// All exit codes with their meaning.
#[must_use]
pub fn exit_codes() -> [(u8, &'static str); 10] {
    [
        (OK, "done, or nothing to do"),
        (FAILED, "failed, or could not converge in time; the last line says why"),
        (USAGE, "the command line is wrong, or names a node that is not there"),
        (BAD_SPEC, "the spec is wrong; nothing was touched"),
        (NO_AGENT, "no agent answers, and none could be started"),
        (REFUSED, "a safety rule or the agent refuses it; nothing was touched"),
        (
            HELD,
            "on record, and not carried out to the end: interrupted, superseded, paused or waiting for \
             a time; the running step is finished",
        ),
        (TAKEN, "another agent runs on this state dir"),
        (UNREADABLE, "the agent's own state cannot be read or written; it does nothing"),
        (NO_QUORUM, "the agents have no quorum, so nothing can be changed; nodes run on"),
    ]
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The agent's verdict on a request.
    Verdict(progress::Outcome),
}

impl Outcome {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done | Self::Verdict(progress::Outcome::Converged) => OK,
            Self::Verdict(progress::Outcome::Failed) => FAILED,
            Self::Verdict(progress::Outcome::BadSpec) => BAD_SPEC,
            Self::Verdict(progress::Outcome::Refused) => REFUSED,
            Self::Verdict(progress::Outcome::Held) => HELD,
            Self::Verdict(progress::Outcome::NoQuorum) => NO_QUORUM,
        }
    }
}

/// Why a command failed; goes to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) text: String,
}

impl Failure {
    pub(super) fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::new(FAILED, text)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<crate::spec::SpecErrors> for Failure {
    fn from(errors: crate::spec::SpecErrors) -> Self {
        Self::new(BAD_SPEC, errors.to_string())
    }
}

/// An agent's refusal of a call.
impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let code = match status.code() {
            tonic::Code::InvalidArgument => BAD_SPEC,
            tonic::Code::NotFound => USAGE,
            tonic::Code::FailedPrecondition | tonic::Code::PermissionDenied => REFUSED,
            tonic::Code::Unavailable => NO_AGENT,
            tonic::Code::Aborted => NO_QUORUM,
            _ => FAILED,
        };
        Self::new(code, status.message().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented_in_its_words() {
        let page = include_str!("../../../docs/exit-codes.md");
        for (code, meaning) in exit_codes() {
            let row = format!("| {code} | {meaning} |");
            assert!(page.contains(&row), "docs/exit-codes.md lacks: {row}");
        }
        let (_, section) = page.split_once("\n## etcd-manager\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| "));
        assert_eq!(rows.count(), exit_codes().len() + 1, "a heading and one row a code");
    }

    #[test]
    fn codes_are_numbered_without_gaps() {
        for (at, (code, _)) in exit_codes().iter().enumerate() {
            assert_eq!(usize::from(*code), at);
        }
    }
}
