//! Looks at one node again and again: a linearizable read and its own status, fast while it is
//! awaited and about once a second otherwise.

use std::{sync::Arc, time::Duration};

use client::{Client, ClientOptions, MemberStatus};
use tokio::sync::watch;

use super::secure;
use crate::{
    generate::Launch,
    plan::Fact,
    supervise::{record::RunRecord, state::NodeState},
};

/// Pause between looks while a node that was just started is awaited.
const PAUSE_STARTING: Duration = Duration::from_millis(15);
/// The same once that has lasted for a while.
const PAUSE_SLOW_START: Duration = Duration::from_millis(100);
/// Looks at the fast pace.
const FAST_LOOKS: u32 = 200;
/// Pause while something is being changed.
const PAUSE_HOT: Duration = Duration::from_millis(100);
/// Pause while nothing happens.
const PAUSE_IDLE: Duration = Duration::from_millis(1000);
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Failures in a row before a node that was healthy counts as unhealthy: one lost packet is none.
const FAILURES_MAX: u32 = 2;

/// What the last looks showed.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    /// The run that was looked at; none while no process runs.
    pub(crate) run: Option<u64>,
    /// Whether this run has ever answered a linearizable read.
    pub(crate) was_ready: bool,
    /// The linearizable read: the error in words, or success.
    pub(crate) read: Fact<Result<(), String>>,
    /// What the member says about itself.
    pub(crate) status: Fact<MemberStatus>,
}

impl Probe {
    fn none(reason: &str) -> Self {
        Self {
            run: None,
            was_ready: false,
            read: Fact::Unknown(reason.to_owned()),
            status: Fact::Unknown(reason.to_owned()),
        }
    }

    /// Whether the two differ in something a decision depends on.
    fn differs(&self, other: &Self) -> bool {
        let leader = |probe: &Self| probe.status.known().and_then(|status| status.leader);
        self.run != other.run
            || self.was_ready != other.was_ready
            || self.read != other.read
            || leader(self) != leader(other)
    }
}

/// What a prober follows.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The node's process.
    pub(crate) node: watch::Receiver<NodeState>,
    /// Whether something is being changed.
    pub(crate) hot: watch::Receiver<bool>,
    /// Bumped when something changed that a decision depends on.
    pub(crate) changes: Arc<watch::Sender<u64>>,
}

/// Begins to look. Ends when the node's keeper has ended or nobody reads the probe any more.
pub(crate) fn begin(subject: Subject) -> watch::Receiver<Probe> {
    let (publish, probe) = watch::channel(Probe::none("not looked at yet"));
    tokio::spawn(run(subject, publish));
    probe
}

async fn run(mut subject: Subject, publish: watch::Sender<Probe>) {
    let mut connection: Option<(u64, Client)> = None;
    let mut trouble = String::new();
    let (mut seen, mut looks) = (0, 0u32);
    let mut failures = 0u32;
    while !publish.is_closed() {
        let running = subject.node.borrow_and_update().phase.running().cloned();
        let Some(run) = running else {
            connection = None;
            announce(&subject, &publish, Probe::none("its process does not run"));
            if subject.node.changed().await.is_err() {
                return;
            }
            continue;
        };
        if connection.as_ref().is_none_or(|(number, _)| *number != run.run) {
            match connect(&run) {
                Ok(connected) => connection = Some(connected),
                // Tried again at the next look: files may still be put in place.
                Err(reason) => (connection, trouble) = (None, reason),
            }
            if run.run != seen {
                (seen, looks, failures) = (run.run, 0, 0);
                announce(&subject, &publish, first_look(&run));
            }
        }
        let last = publish.borrow().clone();
        let probe = match &connection {
            Some((_, client)) => look(client, &run, &last, &mut failures).await,
            None => Probe { run: Some(run.run), ..Probe::none(&trouble) },
        };
        let pause = pause(&probe, looks, *subject.hot.borrow());
        looks = looks.saturating_add(1);
        announce(&subject, &publish, probe);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = subject.node.changed() => if changed.is_err() { return },
            _ = subject.hot.changed() => {}
        }
    }
}

/// A single look, for a plan without an agent.
pub(crate) async fn once(run: Option<&RunRecord>) -> Probe {
    let Some(run) = run else { return Probe::none("its process does not run") };
    match connect(run) {
        Ok((_, client)) => look(&client, run, &first_look(run), &mut 0).await,
        Err(reason) => Probe { run: Some(run.run), ..Probe::none(&reason) },
    }
}

fn first_look(run: &RunRecord) -> Probe {
    Probe { run: Some(run.run), ..Probe::none("it was just started") }
}

fn connect(run: &RunRecord) -> Result<(u64, Client), String> {
    let options =
        ClientOptions { connect_timeout: Duration::from_secs(1), request_timeout: ANSWER_MAX };
    if client_url(&run.launch).is_none() {
        return Err("it serves no client URL over TCP".to_owned());
    }
    Ok((run.run, secure::client(std::slice::from_ref(&run.launch), options)?))
}

async fn look(client: &Client, run: &RunRecord, last: &Probe, failures: &mut u32) -> Probe {
    let (read, status) = futures::join!(client.health(), client.status());
    // A learner serves no linearizable read: it is ready when it follows a leader.
    let follows = status.as_ref().is_ok_and(|status| status.is_learner && status.leader.is_some());
    let read = match read {
        Err(_) if follows => {
            *failures = 0;
            Ok(())
        }
        Ok(_) => {
            *failures = 0;
            Ok(())
        }
        Err(error) => {
            *failures = failures.saturating_add(1);
            Err(error.to_string())
        }
    };
    let spared = *failures > 0 && *failures < FAILURES_MAX && last.read == Fact::Known(Ok(()));
    Probe {
        run: Some(run.run),
        was_ready: last.was_ready || read.is_ok(),
        read: Fact::Known(if spared { Ok(()) } else { read }),
        status: match status {
            Ok(status) => Fact::Known(status),
            Err(error) => Fact::Unknown(error.to_string()),
        },
    }
}

fn pause(probe: &Probe, looks: u32, hot: bool) -> Duration {
    match (probe.was_ready, hot) {
        (false, _) if looks < FAST_LOOKS => PAUSE_STARTING,
        (false, true) => PAUSE_SLOW_START,
        (false, false) => PAUSE_IDLE,
        (true, true) => PAUSE_HOT,
        (true, false) => PAUSE_IDLE,
    }
}

fn announce(subject: &Subject, publish: &watch::Sender<Probe>, probe: Probe) {
    let changed = publish.borrow().differs(&probe);
    publish.send_replace(probe);
    if changed {
        subject.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The first TCP URL that a node serves clients on, made one that can be dialled. With TLS the host must be one of the
/// certificate's: that of the URL which clients are told, where the node listens on any address.
pub(crate) fn client_url(launch: &Launch) -> Option<String> {
    let first = |variable: &str| {
        let listed = launch.environment.get(variable)?;
        listed.split(',').find(|url| url.starts_with("http://") || url.starts_with("https://"))
    };
    let url = first("ETCD_LISTEN_CLIENT_URLS")?;
    let any = ["https://0.0.0.0:", "https://[::]:"].iter().any(|start| url.starts_with(start));
    if any && let Some(told) = first("ETCD_ADVERTISE_CLIENT_URLS") {
        return Some(told.to_owned());
    }
    Some(url.replacen("//0.0.0.0:", "//127.0.0.1:", 1).replacen("//[::]:", "//[::1]:", 1))
}

/// Where clients of any host reach it.
pub(crate) fn advertised_url(launch: &Launch) -> Option<String> {
    let listed = launch.environment.get("ETCD_ADVERTISE_CLIENT_URLS")?;
    let is_tcp = |url: &&str| url.starts_with("http://") || url.starts_with("https://");
    listed.split(',').find(is_tcp).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url_of(listen: &str) -> Option<String> {
        let environment = [("ETCD_LISTEN_CLIENT_URLS".to_owned(), listen.to_owned())].into();
        client_url(&Launch { binary: "/etcd".into(), user: None, environment })
    }

    #[test]
    fn the_first_tcp_url_is_dialled_and_any_address_becomes_loopback() {
        assert_eq!(url_of("http://10.0.0.1:2379").unwrap(), "http://10.0.0.1:2379");
        assert_eq!(url_of("unix://x,http://0.0.0.0:1").unwrap(), "http://127.0.0.1:1");
        assert_eq!(url_of("http://[::]:1").unwrap(), "http://[::1]:1");
        assert_eq!(url_of("unix://x"), None);
    }

    #[test]
    fn a_node_is_looked_at_fast_only_while_it_is_awaited() {
        let fresh = Probe::none("x");
        assert_eq!(pause(&fresh, 0, false), PAUSE_STARTING);
        assert_eq!(pause(&fresh, FAST_LOOKS, false), PAUSE_IDLE);
        let ready = Probe { was_ready: true, ..fresh };
        assert_eq!(pause(&ready, 0, false), PAUSE_IDLE);
        assert_eq!(pause(&ready, 0, true), PAUSE_HOT);
    }
}
