//! Agents among each other, and the command line of another machine, by mutual TLS: who may do what, and what is said to
//! those who may not.

use std::fs;

use anyhow::{Result, ensure};

use super::flags;
use crate::harness::{hosts::Hosts, netns};

const STATUS: [&str; 4] = ["status", "cluster.toml", "--agent", "10.0.34.15:2378"];
const APPLY: [&str; 4] = ["apply", "cluster.toml", "--agent", "10.0.34.15:2378"];

#[test]
fn each_role_may_do_its_own_and_strangers_nothing() -> Result<()> {
    let mut hosts = Hosts::with_tls(3, &flags(5000))?;
    hosts.apply()?;
    hosts.await_converged(16)?;
    hosts.shows = Some(hosts.person("bob"));
    let said = hosts.run(&STATUS)?;
    ensure!(said.code == 0 && said.out.contains("converged"), "a reader looks: {said:?}");
    let said = hosts.run(&["plan", "cluster.toml", "--agent", "10.0.34.16:2378"])?;
    ensure!(said.code == 0, "{said:?}");
    for call in [&APPLY[..], &["restart", "n15", "--agent", "10.0.34.15:2378"]] {
        let said = hosts.run(call)?;
        ensure!(
            said.code == 5 && said.err.contains("role reader"),
            "and changes nothing: {said:?}"
        );
        ensure!(said.err.contains("needs operator"), "{said:?}");
    }
    hosts.shows = None;
    let said = hosts.run(&STATUS)?;
    ensure!(said.code == 4 && said.err.contains("--cert"), "no plain text: {said:?}");
    // Somebody with an authority of his own.
    let others = hosts.pki().with_file_name("others");
    for arguments in [&["pki", "init"][..], &["pki", "issue", "eve", "--for", "operator"]] {
        let said = hosts.run(&[arguments, &["--dir", &others.display().to_string()]].concat())?;
        ensure!(said.code == 0, "{said:?}");
    }
    hosts.shows = Some(others.join("people/eve"));
    let said = hosts.run(&STATUS)?;
    ensure!(said.code == 4 && said.err.contains("certificate"), "he does not know us: {said:?}");
    // Even if he takes our agents for what they are, they do not take him for anybody.
    fs::copy(hosts.person("ann").join("ca.pem"), others.join("people/eve/ca.pem"))?;
    let said = hosts.run(&APPLY)?;
    ensure!(said.code == 4, "nor do we know him: {said:?}");
    hosts.shows = Some(hosts.person("ann"));
    hosts.await_converged(15)?;
    Ok(())
}

/// The certificate of another host's agent, and one that is lost.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test loses files")]
fn an_agent_with_a_certificate_that_is_not_its_own_does_not_start() -> Result<()> {
    let mut hosts = Hosts::with_tls(3, &flags(5000))?;
    hosts.apply()?;
    hosts.kill_agent(17);
    let pki = hosts.pki();
    let folder = |number: u8| pki.join("hosts").join(netns::address(number));
    for file in ["agent.pem", "agent-key.pem"] {
        fs::rename(folder(17).join(file), folder(17).join(format!("kept-{file}")))?;
    }
    let refused = hosts.agent_dies(17)?;
    ensure!(refused.contains("agent.pem"), "the file is named: {refused}");
    for file in ["agent.pem", "agent-key.pem"] {
        fs::copy(folder(16).join(file), folder(17).join(file))?;
    }
    let refused = hosts.agent_dies(17)?;
    let words = "is no certificate of the agent of 10.0.34.17";
    ensure!(refused.contains(words) && refused.contains("pki issue"), "{refused}");
    for file in ["agent.pem", "agent-key.pem"] {
        fs::rename(folder(17).join(format!("kept-{file}")), folder(17).join(file))?;
    }
    hosts.start_agent(17)?;
    hosts.await_converged(17)?;
    Ok(())
}

/// Trust first, then new certificates, then the old authority goes: nodes and agents run on.
#[test]
fn the_authority_is_replaced_under_running_agents_and_nodes() -> Result<()> {
    let mut hosts = Hosts::with_tls(3, &flags(5000))?;
    hosts.apply()?;
    let before = super::pids(&hosts.await_converged(15)?);
    let old = hosts.pki().with_file_name("old-ann");
    fs::create_dir_all(&old)?;
    for file in ["client.pem", "client-key.pem", "ca.pem"] {
        fs::copy(hosts.person("ann").join(file), old.join(file))?;
    }
    for (at, phase) in [
        &["rotate", "trust"][..],
        &["rotate", "reissue", "--carried"],
        &["rotate", "drop", "--carried"],
    ]
    .iter()
    .enumerate()
    {
        hosts.certify(phase)?;
        // A new process shakes hands with all others, which have been up since before.
        let number = hosts.numbers[at];
        hosts.kill_agent(number);
        hosts.start_agent(number)?;
        let status = hosts.await_converged(number)?;
        assert_eq!(super::pids(&status), before, "{phase:?}: no node was touched");
    }
    let said = hosts.run(&STATUS)?;
    ensure!(said.code == 0, "{said:?}");
    hosts.shows = Some(old);
    let said = hosts.run(&STATUS)?;
    ensure!(
        said.code == 4 && said.err.contains("certificate"),
        "the old authority is gone: {said:?}"
    );
    hosts.shows = Some(hosts.person("ann"));
    Ok(())
}
