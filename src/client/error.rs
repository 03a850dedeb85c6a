//! What can go wrong with a call, and what the caller may do about it.

use std::time::Duration;

use tonic::Code;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The endpoint is no URL that can be dialled.
    #[error("{endpoint:?} is not an endpoint URL such as http://127.0.0.1:2379")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// Why it is none.
        #[source]
        source: tonic::transport::Error,
    },
    /// An `https` endpoint, and nothing was said about whom to trust.
    #[error("{endpoint} is reached with TLS, and no certificate authority to trust was given")]
    NoTls {
        /// What was given.
        endpoint: String,
    },
    /// No endpoint was given.
    #[error("no endpoints were given")]
    NoEndpoints,
    /// No connection: the request was not sent.
    #[error("{call} at {endpoint}: cannot connect: {reason}")]
    Unreachable {
        /// Name of the call.
        call: &'static str,
        /// Where it went.
        endpoint: String,
        /// Innermost reason, for example `Connection refused (os error 111)`.
        reason: String,
    },
    /// No answer in time; a write may or may not happen.
    #[error("{call} at {endpoint}: no answer within {limit:?}")]
    Deadline {
        /// Name of the call.
        call: &'static str,
        /// Where it went.
        endpoint: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The connection broke while waiting; a write may or may not happen.
    #[error("{call} at {endpoint}: the connection was lost: {reason}")]
    Lost {
        /// Name of the call.
        call: &'static str,
        /// Where it went.
        endpoint: String,
        /// Innermost reason.
        reason: String,
    },
    /// The member answered with an error.
    #[error("{call} at {endpoint}: {message}")]
    Refused {
        /// Name of the call.
        call: &'static str,
        /// Where it went.
        endpoint: String,
        /// gRPC code.
        code: Code,
        /// The member's words, for example `etcdserver: no leader`.
        message: String,
    },
    /// The answer lacks a field it must have.
    #[error("{call} at {endpoint}: the answer has no {field}")]
    Malformed {
        /// Name of the call.
        call: &'static str,
        /// Where it went.
        endpoint: String,
        /// What is missing.
        field: &'static str,
    },
}

/// What the caller may do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// The request had no effect: the same one may be sent again, there or elsewhere.
    Retry,
    /// A write may have happened: look before sending it again.
    Look,
    /// The request or the configuration is wrong: the same one will fail again.
    Correct,
}

impl ClientError {
    /// What the caller may do.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Self::Endpoint { .. }
            | Self::NoTls { .. }
            | Self::NoEndpoints
            | Self::Malformed { .. } => Advice::Correct,
            Self::Unreachable { .. } => Advice::Retry,
            Self::Deadline { .. } | Self::Lost { .. } => Advice::Look,
            Self::Refused { code, message, .. } => advice_on_refusal(*code, message),
        }
    }
}

fn advice_on_refusal(code: Code, message: &str) -> Advice {
    match code {
        Code::Unavailable if message.contains("timed out") => Advice::Look,
        Code::Unavailable | Code::ResourceExhausted => Advice::Retry,
        Code::DeadlineExceeded | Code::Cancelled | Code::Aborted | Code::Unknown => Advice::Look,
        _ => Advice::Correct,
    }
}

/// Turns a tonic status into our error. A status made by the transport carries a source; one that
/// the member sent does not.
pub(crate) fn from_status(
    call: &'static str,
    endpoint: &str,
    limit: Duration,
    status: &tonic::Status,
) -> ClientError {
    let endpoint = endpoint.to_owned();
    let Some(source) = std::error::Error::source(status) else {
        if status.code() == Code::Cancelled && status.message() == "Timeout expired" {
            return ClientError::Deadline { call, endpoint, limit };
        }
        let message = status.message().to_owned();
        return ClientError::Refused { call, endpoint, code: status.code(), message };
    };
    let mut connecting = false;
    let mut innermost = source;
    loop {
        // tonic names a failed dial so and has no public type for it.
        connecting |= format!("{innermost:?}").starts_with("ConnectError")
            || innermost.to_string() == "tcp connect error";
        let Some(next) = innermost.source() else { break };
        innermost = next;
    }
    let reason = innermost.to_string();
    if connecting {
        ClientError::Unreachable { call, endpoint, reason }
    } else {
        ClientError::Lost { call, endpoint, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_without_leader_may_be_asked_again() {
        let status = tonic::Status::unavailable("etcdserver: no leader");
        let error = from_status("range", "http://h:1", Duration::from_secs(1), &status);
        assert_eq!(error.advice(), Advice::Retry);
        assert_eq!(error.to_string(), "range at http://h:1: etcdserver: no leader");
    }

    #[test]
    fn a_proposal_that_timed_out_may_have_happened() {
        let status = tonic::Status::unavailable("etcdserver: request timed out");
        let error = from_status("put", "http://h:1", Duration::from_secs(1), &status);
        assert_eq!(error.advice(), Advice::Look);
    }

    #[test]
    fn a_wrong_request_is_to_be_corrected() {
        let status = tonic::Status::invalid_argument("etcdserver: key is not provided");
        let error = from_status("put", "http://h:1", Duration::from_secs(1), &status);
        assert_eq!(error.advice(), Advice::Correct);
    }
}
