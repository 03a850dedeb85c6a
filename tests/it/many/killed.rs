//! The leading agent ends at any write of its journal, in the middle of each kind of change: the next one completes
//! it, and clients notice nothing but a pause.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{SOON, flags};
use crate::{
    crash::writers::note,
    harness::{
        hosts::{Hosts, Load},
        oracle::{self, Kind},
        wait,
    },
};

/// Leading agents that end in one change, in the suite.
const ENDS: u32 = 3;
/// Writes and syncs of a journal in which a leading agent does a step or two.
const STEPS: u32 = 24;
/// A writer gives up after 3 s: a longest gap near that is a request without any answer.
const UNANSWERED: Duration = Duration::from_millis(2500);
/// A change of the spec, by its name.
type Change = (&'static str, fn(&mut Hosts) -> Result<()>);

/// Each leads from where the one before it ended, the last to where the first begins.
const CHANGES: [Change; 5] = [
    ("replace", |hosts| {
        hosts.numbers = vec![15, 16, 18];
        hosts.write_spec(&flags(5000))
    }),
    ("flags", |hosts| hosts.write_spec(&flags(6000))),
    ("grow", |hosts| {
        hosts.numbers = vec![15, 16, 17, 18];
        hosts.write_spec(&flags(6000))
    }),
    ("move", |hosts| {
        hosts.peer_port = 2480;
        hosts.write_spec(&flags(6000))
    }),
    ("shrink", |hosts| {
        hosts.numbers = vec![15, 16, 17];
        hosts.peer_port = 2380;
        hosts.write_spec(&flags(5000))
    }),
];

/// The host whose agent leads now, as somebody says who lives.
fn leader_now(hosts: &Hosts) -> Result<u8> {
    wait::until_blocking(SOON, "an agent leads", || hosts.leader_by_anyone())
}

/// Applies a change while leading agents end after `steps` says. Returns how many did.
fn change(
    hosts: &mut Hosts,
    (name, edit): Change,
    ends: u32,
    steps: &mut dyn FnMut() -> u32,
) -> Result<u32> {
    let revision =
        1 + hosts.status_of(leader_now(hosts)?)?["spec_revision"].as_u64().context("revision")?;
    edit(hosts)?;
    let apply = hosts.run_beside(&["apply", "cluster.toml", "--timeout", "150s"]);
    let mut ended = 0;
    for _ in 0..ends {
        let leader = leader_now(hosts)?;
        let step = steps();
        hosts.kill_at(leader, step)?;
        let over = wait::until_blocking(SOON * 2, "it ends, or the change is through", || {
            let is_over = hosts.is_dead(leader) || hosts.is_through(revision)?;
            ensure!(is_over, "{name}: {leader} lives");
            Ok::<_, anyhow::Error>(())
        });
        let has_ended = hosts.spare(leader)?;
        if let Err(error) = over {
            let said = hosts.run(&["plan", "cluster.toml"])?;
            return Err(error.context(format!("{name}, {step} steps; plan: {said:?}")));
        }
        if !has_ended {
            break;
        }
        ended += 1;
        hosts.start_agent(leader)?;
    }
    // What it said depends on whether its agent lived; whether the spec was put on record does, too.
    drop(crate::harness::hosts::joined(apply)?);
    // The agents may not have found a leader yet.
    wait::until_blocking(SOON, "the change is through", || {
        let said = hosts.run(&["apply", "cluster.toml", "--timeout", "120s"])?;
        ensure!(said.code == 0, "{name}: {said:?}");
        Ok::<_, anyhow::Error>(())
    })?;
    hosts.all_alive()?;
    Ok(ended)
}

/// The cluster is what the spec says. Returns the longest time in which no write was acknowledged.
fn check(hosts: &Hosts, load: &Load, name: &str, ended: u32) -> Result<Duration> {
    let status = hosts.await_converged(hosts.numbers[0])?;
    let names: Vec<String> = hosts.numbers.iter().map(|host| format!("n{host}")).collect();
    let members = status["members"].as_array().context("members")?;
    let found: Vec<&str> = members.iter().filter_map(|member| member["name"].as_str()).collect();
    assert_eq!(found, names, "{name}");
    ensure!(members.iter().all(|member| member["health"] == "healthy"), "{name}: {status:#}");
    assert_eq!(status["quorum"]["voters"], names.len(), "{name}: {status:#}");
    let gap = load.longest_gap();
    note(&format!("{name}: {ended} leading agents ended; longest write gap {gap:?}"));
    Ok(gap)
}

#[test]
fn a_change_is_completed_wherever_leading_agents_end() -> Result<()> {
    let seed: u64 = rand::random();
    note(&format!("seed {seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    let mut hosts = Hosts::with_killable_agents(3, 1, &flags(5000))?;
    hosts.apply()?;
    let load = hosts.load();
    let mut all = 0;
    for one in CHANGES {
        let ended = change(&mut hosts, one, ENDS, &mut || random.random_range(1..=STEPS))?;
        check(&hosts, &load, one.0, ended)?;
        all += ended;
    }
    ensure!(all > 5, "{all} leading agents ended");
    load.check_on(hosts.urls())?;
    Ok(())
}

/// How long clients may wait while all goes well: leadership is handed over, not lost.
/// All changes in turn, with nothing in their way. Returns the longest gap of all.
fn all_go_well(mut hosts: Hosts) -> Result<Duration> {
    hosts.apply()?;
    let load = hosts.load();
    wait::until_blocking(SOON, "the load runs", || {
        let gap = load.longest_gap();
        ensure!(gap > Duration::ZERO);
        Ok::<_, anyhow::Error>(())
    })?;
    let mut longest = Duration::ZERO;
    for (name, edit) in CHANGES {
        edit(&mut hosts)?;
        hosts.apply()?;
        longest = longest.max(check(&hosts, &load, name, 0)?);
    }
    load.check_on(hosts.urls())?;
    Ok(longest)
}

#[test]
fn a_change_that_goes_well_leaves_no_request_unanswered() -> Result<()> {
    let gap = all_go_well(Hosts::with_spare(3, 1, &flags(5000))?)?;
    ensure!(gap < UNANSWERED, "a client got no answer for {gap:?}");
    Ok(())
}

/// The same lifecycle with Debian's etcd. It may itself leave a request without an answer when it stops.
#[test]
fn a_cluster_of_3_4_lives_through_all_changes() -> Result<()> {
    let binary = oracle::server(Kind::Real34)?;
    all_go_well(Hosts::of_binary(binary, (3, 1), &flags(5000))?)?;
    Ok(())
}
