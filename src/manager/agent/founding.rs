//! Founds the group of agents: all hosts of a spec must answer, promise the same record, and then
//! begin. Whoever begins last follows whoever began first (see `control::seat`).

use std::collections::BTreeSet;

use futures::future::join_all;
use wire::agentpb::{GreetResponse, greet_response::Standing};

use super::{cluster::Cluster, many::Many};
use crate::{
    control::seat::{Contact, Founding},
    spec::ClusterSpec,
};

/// One attempt; this agent is in the group afterwards.
///
/// # Errors
/// What it waits for: try again, or correct it.
pub(crate) async fn found(
    cluster: &Cluster,
    many: &Many,
    spec: &ClusterSpec,
) -> Result<(), String> {
    if cluster.control.membership().is_some() {
        return Ok(());
    }
    let own = &many.file.host;
    let hosts = hosts(spec);
    if !hosts.contains(own) {
        return Err(format!(
            "this agent's host is {own:?}, and the spec has {}",
            hosts.into_iter().collect::<Vec<_>>().join(", ")
        ));
    }
    let greetings = greet_all(many, spec, &hosts).await?;
    let seated = greetings.iter().find(|(_, greeting)| greeting.standing() == Standing::Seated);
    if let Some((address, greeting)) = seated {
        // The others have a group: they admit this agent, or tell it to begin.
        return Err(format!(
            "the agent of {} ({address}) is in group {:x} already; it must admit this one: apply there",
            greeting.host, greeting.group
        ));
    }
    let ballot = greetings.iter().map(|(_, greeting)| greeting.ballot).max().unwrap_or(0) + 1;
    let contact = |(address, greeting): &(String, GreetResponse)| Contact {
        member: greeting.member,
        host: greeting.host.clone(),
        address: address.clone(),
    };
    let mut members: Vec<Contact> = greetings.iter().map(contact).collect();
    members.sort_by_key(|member| member.member);
    let record = Founding { ballot, group: rand::random_range(1..=u64::MAX), members };
    let promises = record.members.iter().map(|member| many.peers.prepare(&member.address, &record));
    for promise in join_all(promises).await {
        promise?;
    }
    let by_all = |seat: &mut crate::control::seat::Seat| {
        if !seat.stands_by(&record) {
            return Err("another founding came between: try again".to_owned());
        }
        seat.begin(record.clone())
    };
    many.change_seat(&cluster.control, by_all).await?;
    tracing::info!("founded group {:x} of {} agents", record.group, record.members.len());
    push(cluster, many).await;
    Ok(())
}

/// Tells those who have promised and not begun to begin. Any founder may, again and again.
pub(crate) async fn push(cluster: &Cluster, many: &Many) {
    let crate::control::seat::Standing::Founder { founding } = many.seat().await.standing else {
        return;
    };
    let Some((own, _)) = cluster.control.membership() else { return };
    let begins = founding.members.iter().filter(|member| member.member != own).map(|member| {
        let founding = &founding;
        async move {
            let begun = many.peers.begin(&member.address, founding).await;
            if let Err(reason) = begun {
                tracing::debug!("{} does not begin: {reason}", member.host);
            }
        }
    });
    join_all(begins).await;
}

/// The hosts of a spec, in the order of their names.
pub(crate) fn hosts(spec: &ClusterSpec) -> BTreeSet<String> {
    spec.nodes.iter().map(|node| node.host.clone()).collect()
}

/// All must answer, under the name that the spec gives them.
async fn greet_all(
    many: &Many,
    spec: &ClusterSpec,
    hosts: &BTreeSet<String>,
) -> Result<Vec<(String, GreetResponse)>, String> {
    let calls = hosts.iter().map(|host| async move {
        let address = if *host == many.file.host {
            many.address()
        } else {
            format!("{host}:{}", spec.agent.port)
        };
        (host, address.clone(), many.peers.greet(&address).await)
    });
    let mut greetings = Vec::new();
    let mut missing = Vec::new();
    for (host, address, greeting) in join_all(calls).await {
        match greeting {
            Ok(greeting) if greeting.host == *host && !greeting.lost => {
                greetings.push((address, greeting));
            }
            Ok(greeting) if greeting.lost => {
                missing.push(format!("{host} ({address}) has lost its records"));
            }
            Ok(greeting) => {
                missing.push(format!(
                    "{address} is the agent of {:?}, not of {host:?}",
                    greeting.host
                ));
            }
            Err(reason) => missing.push(format!("{host} ({address}): {reason}")),
        }
    }
    if missing.is_empty() {
        return Ok(greetings);
    }
    Err(format!(
        "the first apply needs the agents of all hosts, and not all are there: {}",
        missing.join("; ")
    ))
}
