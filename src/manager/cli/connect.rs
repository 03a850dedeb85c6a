//! Finds the local agent on its socket, and starts one, detached, where none answers.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;
use wire::agentpb::{HelloRequest, agent_client::AgentClient};

use super::{
    Environment,
    outcome::{Failure, NO_AGENT, TAKEN},
};
use crate::{
    agent::{SOCKET, local::remote_hosts},
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

/// The agent that keeps this spec's state dir, if one answers.
pub(super) async fn find(state_dir: &Path) -> Option<AgentClient<Channel>> {
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
pub(super) async fn expect(state_dir: &Path) -> Result<AgentClient<Channel>, Failure> {
    find(state_dir).await.ok_or_else(|| {
        let socket = state_dir.join(SOCKET);
        let text =
            format!("no agent answers on {}; `etcd-manager start` starts one", socket.display());
        Failure::new(NO_AGENT, text)
    })
}

/// The agent; a new one if none answers and every host of the spec is this machine.
pub(super) async fn ensure(
    spec: &ClusterSpec,
    environment: &Environment,
) -> Result<AgentClient<Channel>, Failure> {
    let state_dir = &spec.agent.state_dir;
    if let Some(agent) = find(state_dir).await {
        return Ok(agent);
    }
    let remote = remote_hosts(spec);
    if !remote.is_empty() {
        let text = format!(
            "no agent answers on {}, and none is started here: {} is not this machine. \
             `etcd-manager env NODE` and `flags NODE` print what each host's node is started with",
            state_dir.join(SOCKET).display(),
            remote.join(", ")
        );
        return Err(Failure::new(NO_AGENT, text));
    }
    start(state_dir, environment).await
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
        if let Some(agent) = find(state_dir).await {
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
