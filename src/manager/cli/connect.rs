//! Finds the local agent on its socket, and starts one, detached, where none answers.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use base::ErrorChain;
use hyper_util::rt::TokioIo;
use tls::{CertificateFiles, ClientTls, TlsError};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;
use wire::agentpb::{HelloRequest, agent_client::AgentClient};

use super::{
    Environment,
    arguments::{Means, Reach},
    outcome::{Failure, NO_AGENT, TAKEN},
};
use crate::{
    agent::{SOCKET, link, local::remote_hosts},
    spec::ClusterSpec,
    supervise::{child, folders::make_private, process::ProcessId},
};

/// How long a new agent may take to answer.
const START_MAX: Duration = Duration::from_secs(30);
/// How long an agent may take to say that it is there.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// Largest status document.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const START_PAUSE: Duration = Duration::from_millis(5);
const TAKEN_PAUSE: Duration = Duration::from_millis(100);

/// The agent that is named, or this machine's, or one of the spec's hosts, if one answers.
pub(super) async fn find(spec: &ClusterSpec, reach: &Reach) -> Option<AgentClient<Channel>> {
    if let Some(address) = &reach.agent {
        return dial(address, reach).await.ok();
    }
    if let Some(agent) = find_here(&spec.agent.state_dir).await {
        return Some(agent);
    }
    for host in remote_hosts(spec) {
        if let Ok(agent) = dial(&format!("{host}:{}", spec.agent.port), reach).await {
            return Some(agent);
        }
    }
    None
}

/// The agent at an address.
async fn dial(address: &str, reach: &Reach) -> Result<AgentClient<Channel>, String> {
    let tls = reach.means.tls().map_err(|error| ErrorChain(&error).to_string())?;
    let channel = link::channel(address, tls.as_ref())?;
    let mut agent = AgentClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    match tokio::time::timeout(HELLO_MAX, agent.hello(HelloRequest {})).await {
        Ok(Ok(_)) => Ok(agent),
        Ok(Err(status)) if tls.is_none() && is_cut_off(&status) => Err(format!(
            "{}; if it serves with TLS give --cert, --key and --cacert (docs/pki.md)",
            link::reason(&status)
        )),
        Ok(Err(status)) => Err(link::reason(&status)),
        Err(_elapsed) => Err(format!("no answer within {HELLO_MAX:?}")),
    }
}

/// Whether something took the connection and ended it: a listener with TLS does so with plain text.
fn is_cut_off(status: &tonic::Status) -> bool {
    let reason = link::reason(status);
    !["refused", "timed out", "unreachable"].iter().any(|word| reason.contains(word))
}

impl Means {
    /// What the command line shows and trusts; none is plain text.
    fn tls(&self) -> Result<Option<ClientTls>, TlsError> {
        let (Some(cert), Some(key), Some(trusted)) = (&self.cert, &self.key, &self.cacert) else {
            return Ok(None);
        };
        let pair = CertificateFiles { certificate: cert.clone(), key: key.clone() };
        link::dialer(pair, trusted.clone()).map(Some)
    }
}

/// The agent that keeps this state dir, if one answers.
async fn find_here(state_dir: &Path) -> Option<AgentClient<Channel>> {
    let socket = state_dir.join(SOCKET);
    let dial = service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The name is never resolved: the connector dials the socket.
    let endpoint = Endpoint::from_static("http://agent");
    let channel = endpoint.connect_with_connector(dial).await.ok()?;
    let mut agent = AgentClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    // A socket may still take connections while its agent is being killed.
    let greeted = tokio::time::timeout(HELLO_MAX, agent.hello(HelloRequest {})).await;
    matches!(greeted, Ok(Ok(_))).then_some(agent)
}

/// The agent, or why there is none.
pub(super) async fn expect(
    spec: &ClusterSpec,
    reach: &Reach,
) -> Result<AgentClient<Channel>, Failure> {
    if let Some(address) = &reach.agent {
        let silent = |reason| Failure::new(NO_AGENT, format!("no agent on {address}: {reason}"));
        return dial(address, reach).await.map_err(silent);
    }
    find(spec, reach).await.ok_or_else(|| Failure::new(NO_AGENT, nobody(spec)))
}

/// Where was looked, and what to do.
fn nobody(spec: &ClusterSpec) -> String {
    let socket = spec.agent.state_dir.join(SOCKET);
    let remote = remote_hosts(spec);
    if remote.is_empty() {
        return format!(
            "no agent answers on {}; `etcd-manager start` starts one",
            socket.display()
        );
    }
    format!(
        "no agent answers on {}, nor on port {} of {}; start one on each host: \
         etcd-manager agent --config agent.toml (docs/agent-toml.md)",
        socket.display(),
        spec.agent.port,
        remote.join(", ")
    )
}

/// The agent; a new one if none answers and every host of the spec is this machine.
pub(super) async fn ensure(
    spec: &ClusterSpec,
    reach: &Reach,
    environment: &Environment,
) -> Result<AgentClient<Channel>, Failure> {
    if reach.agent.is_some() || !remote_hosts(spec).is_empty() {
        return expect(spec, reach).await;
    }
    let state_dir = &spec.agent.state_dir;
    match find_here(state_dir).await {
        Some(agent) => Ok(agent),
        None => start(state_dir, environment).await,
    }
}

async fn start(
    state_dir: &Path,
    environment: &Environment,
) -> Result<AgentClient<Channel>, Failure> {
    let failed = |text: String| Failure::new(NO_AGENT, text);
    make_private(&*environment.disk, state_dir)
        .map_err(|error| failed(format!("make {}: {error}", state_dir.display())))?;
    let log: PathBuf = state_dir.join("agent.log");
    let arguments = [
        "agent".as_ref(),
        "--state-dir".as_ref(),
        state_dir.as_os_str(),
        "--log-file".as_ref(),
        log.as_os_str(),
    ];
    let errors = state_dir.join("agent.err");
    let spawn = || {
        child::spawn_manager(&environment.manager, &arguments, &errors)
            .map_err(|error| failed(error.to_string()))
    };
    let mut child = spawn()?;
    let begun = environment.clock.now();
    loop {
        if let Some(agent) = find_here(state_dir).await {
            return Ok(agent);
        }
        let ended = child.try_wait().map_err(|error| failed(error.to_string()))?;
        match ended.map(|status| status.code().and_then(|code| u8::try_from(code).ok())) {
            None => {}
            // Another apply was faster and its agent will answer, or the last agent is just ending.
            Some(Some(TAKEN)) => {
                tokio::time::sleep(TAKEN_PAUSE).await;
                child = spawn()?;
            }
            Some(code) => {
                let said = last_lines(&log, &errors);
                let text = format!("the agent ended: {said}");
                return Err(Failure::new(code.unwrap_or(NO_AGENT), text));
            }
        }
        if environment.clock.now().saturating_duration_since(begun) > START_MAX {
            let text = format!("the agent does not answer; its log is {}", log.display());
            return Err(failed(text));
        }
        tokio::time::sleep(START_PAUSE).await;
    }
}

/// Returns when an agent that was told to end has gone.
pub(super) async fn await_gone(pid: i32) -> Result<(), Failure> {
    let Ok(agent) = ProcessId::of(pid) else { return Ok(()) };
    let gone = async {
        while agent.is_alive().unwrap_or(false) {
            tokio::time::sleep(START_PAUSE).await;
        }
    };
    let late = || Failure::failed("the nodes are stopped, but the agent does not end");
    tokio::time::timeout(START_MAX, gone).await.map_err(|_elapsed| late())
}

/// The agent's last words.
fn last_lines(log: &Path, err: &Path) -> String {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let errors = read(err);
    let text = if errors.trim().is_empty() { read(log) } else { errors };
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
