//! `events`: what the control log says was decided and happened, from any agent, or from the disk where none runs.

use std::time::{Duration, UNIX_EPOCH};

use tonic::transport::Channel;
use wire::agentpb::{EventsRequest, agent_client::AgentClient};

use super::{
    Environment,
    arguments::{
        Output,
        events::{Events, Since},
    },
    connect, offline,
    outcome::{Failure, Outcome},
    screen::Screen,
};
use crate::{agent::local::remote_hosts, archives::millis, control::state::Event, spec};

/// Between two looks for more.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn events(
    wish: &Events,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    // Only to find the agent: a spec with a mistake in it must not hide what happened.
    let spec = spec::despite_mistakes(&wish.spec_file())?;
    let from_ms = wish.since.map_or(0, |since| match since {
        Since::Ago(ago) => {
            let back = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            millis(environment.clock.wall()).saturating_sub(back)
        }
        Since::Moment(at) => millis(at),
    });
    let wanted = |event: &Event| event.at_ms >= from_ms;
    let found = connect::find(&spec, &wish.reach).await;
    let is_local = wish.reach.agent.is_none() && remote_hosts(&spec).is_empty();
    if found.is_none() && is_local && !wish.follow {
        let state = offline::state(&environment.disk, &spec.agent.state_dir)?;
        for event in state.events.iter().filter(|event| wanted(event)) {
            show(event, wish.output, screen)?;
        }
        return Ok(Outcome::Done);
    }
    let mut agent = match found {
        Some(agent) => agent,
        None => connect::expect(&spec, &wish.reach).await?,
    };
    let mut after = 0;
    loop {
        for event in newer(&mut agent, after).await? {
            after = after.max(event.number);
            if wanted(&event) && !show(&event, wish.output, screen)? {
                return Ok(Outcome::Done);
            }
        }
        if !wish.follow {
            return Ok(Outcome::Done);
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Outcome::Done),
        }
    }
}

async fn newer(agent: &mut AgentClient<Channel>, after: u64) -> Result<Vec<Event>, Failure> {
    let answer = agent.events(EventsRequest { after }).await?.into_inner();
    serde_json::from_str(&answer.json)
        .map_err(|error| Failure::failed(format!("the agent's events are not understood: {error}")))
}

/// False if nobody reads any more.
fn show(event: &Event, output: Output, screen: &mut Screen) -> Result<bool, Failure> {
    let line = match output {
        Output::Json => {
            serde_json::to_string(event).map_err(|error| Failure::failed(error.to_string()))?
        }
        Output::Text => in_words(event),
    };
    Ok(screen.copy(format!("{line}\n").as_bytes()))
}

fn in_words(event: &Event) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(event.at_ms);
    let at = humantime::format_rfc3339_millis(at);
    let place: Vec<&str> = [&event.host, &event.node]
        .into_iter()
        .map(String::as_str)
        .filter(|it| !it.is_empty())
        .collect();
    let place = if place.is_empty() { String::new() } else { format!(" {}:", place.join(" ")) };
    let mut line = format!("{at}  {:<8}{place} {}: {}", event.kind, event.what, event.outcome);
    for more in [&event.why, &event.result] {
        if !more.is_empty() {
            line += &format!("; {more}");
        }
    }
    line.replace('\n', " ")
}
