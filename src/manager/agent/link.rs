//! The one place where connections between agents, and from the command line to an agent, are made.
//! Plain text, which `agent.toml` allows on loopback or by `insecure = true` only.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// A connection without an answer to its pings for this long is dead.
const PING_PAUSE: Duration = Duration::from_secs(2);
/// Largest message: a snapshot of the control state, or a status document.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A connection that is made when it is first used, and again when it was lost.
///
/// # Errors
/// If `address` is not `HOST:PORT`.
pub(crate) fn channel(address: &str) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| format!("{address:?} is not HOST:PORT: {error}"))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_MAX)
        .http2_keep_alive_interval(PING_PAUSE)
        .keep_alive_timeout(PING_PAUSE)
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_lazy())
}

/// What went wrong, without the layers of the connection around it.
pub(crate) fn reason(status: &tonic::Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    if status.code() == tonic::Code::Unavailable && !text.contains("status:") {
        return text;
    }
    status.message().to_owned()
}
