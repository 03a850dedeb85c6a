//! The agent's metrics port: read with a parser of Prometheus' text format, before and after something happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::harness::{manager::Managed, ports::Port, wait};

/// Samples by name with labels as they stand.
type Samples = BTreeMap<String, f64>;

fn get(port: u16, path: &str) -> Result<(u16, String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    Ok((status, head.to_lowercase(), body.to_owned()))
}

/// Name, labels and value.
type Sample = (String, Vec<(String, String)>, f64);

/// Reads one; fails on what the format does not allow.
fn split_sample(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).context("a name")?;
    let (name, mut rest) = line.split_at(end);
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    ensure!(is_name(name), "{line}");
    let mut labels = Vec::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inside.split_once("=\"").context("a label")?;
            ensure!(is_name(label), "{line}");
            let (mut text, mut chars) = (String::new(), after.char_indices());
            let closed = loop {
                match chars.next().context("a closing quote")? {
                    (at, '"') => break at,
                    (_, '\\') => match chars.next().context("what is escaped")?.1 {
                        'n' => text.push('\n'),
                        escaped @ ('\\' | '"') => text.push(escaped),
                        other => bail!("\\{other} is no escape: {line}"),
                    },
                    (_, plain) => text.push(plain),
                }
            };
            labels.push((label.to_owned(), text));
            let after = after.get(closed + 1..).context("what follows a label")?;
            let Some(more) = after.strip_prefix(',') else {
                rest = after.strip_prefix('}').context("a closing brace")?;
                break;
            };
            inside = more;
        }
    }
    let value = rest.strip_prefix(' ').context("a space before the value")?;
    Ok((name.to_owned(), labels, value.parse().with_context(|| line.to_owned())?))
}

fn parse(text: &str) -> Result<Samples> {
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut samples = Samples::new();
    ensure!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').context("help")?;
            ensure!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("a type")?;
            ensure!(["gauge", "counter"].contains(&kind), "{line}");
            ensure!((kind == "counter") == name.ends_with("_total"), "{line}");
            ensure!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
        } else {
            let (name, labels, value) = split_sample(line)?;
            ensure!(types.contains_key(&name) && helped.contains(&name), "before its type: {line}");
            let labels: Vec<String> =
                labels.into_iter().map(|(label, text)| format!("{label}={text}")).collect();
            let key = [vec![name], labels].concat().join(" ");
            ensure!(samples.insert(key, value).is_none(), "twice: {line}");
        }
    }
    Ok(samples)
}

fn read(port: u16) -> Result<Samples> {
    let (status, head, body) = get(port, "/metrics")?;
    ensure!(status == 200 && head.contains("text/plain; version=0.0.4"), "{head}");
    parse(&body).with_context(|| body.clone())
}

fn value(samples: &Samples, key: &str) -> Result<f64> {
    let name = format!("etcd_manager_{key}");
    samples.get(&name).copied().with_context(|| format!("{name} in {samples:?}"))
}

fn is(samples: &Samples, key: &str, expected: f64) -> Result<()> {
    let found = value(samples, key)?;
    ensure!((found - expected).abs() < f64::EPSILON, "{key} is {found}, not {expected}");
    Ok(())
}

fn done(managed: &Managed, arguments: &[&str]) -> Result<()> {
    let said = managed.run(arguments)?;
    ensure!(said.code == 0, "{arguments:?}: {said:?}");
    Ok(())
}

#[test]
fn the_metrics_port_tells_what_runs_and_follows_the_spec() -> Result<()> {
    let (port, other) = (Port::take()?, Port::take()?);
    let on = |port: &Port| format!("[agent]\nmetrics = \"127.0.0.1:{}\"\n", port.number());
    let managed = Managed::new(3, &on(&port))?;
    done(&managed, &["apply"])?;
    let samples = read(port.number())?;
    for (key, expected) in [
        ("up", 1.0),
        ("converged", 1.0),
        ("paused", 0.0),
        ("voters", 3.0),
        ("voters_healthy", 3.0),
        ("failure_tolerance", 1.0),
        ("nodes state=running", 3.0),
        ("nodes state=stopped", 0.0),
        ("node_healthy node=n2", 1.0),
        ("node_restarts_total node=n1", 0.0),
        ("control_leader", 1.0),
        ("control_has_quorum", 1.0),
        ("control_members", 1.0),
        ("spec_revision_recorded", 1.0),
        ("spec_revision_applied", 1.0),
        ("last_request goal=converge outcome=reached", 1.0),
        ("archives", 0.0),
    ] {
        is(&samples, key, expected)?;
    }
    ensure!(value(&samples, "last_request_duration_seconds")? > 0.0);
    ensure!(value(&samples, "control_applied_index")? > 0.0);
    let events = value(&samples, "events_total")?;
    ensure!(events >= value(&samples, "events_kept kind=step outcome=done")?);
    let (status, _, body) = get(port.number(), "/health")?;
    ensure!(status == 200 && body.contains("\"health\":\"true\""), "{body}");
    ensure!(get(port.number(), "/nothing")?.0 == 404);
    // Something happens, and is told.
    done(&managed, &["stop", "n3"])?;
    done(&managed, &["pause"])?;
    let samples = read(port.number())?;
    is(&samples, "nodes state=stopped", 1.0)?;
    is(&samples, "node_healthy node=n3", 0.0)?;
    is(&samples, "voters_healthy", 2.0)?;
    is(&samples, "paused", 1.0)?;
    is(&samples, "last_request goal=stop outcome=reached", 1.0)?;
    ensure!(value(&samples, "events_total")? > events);
    done(&managed, &["resume"])?;
    // Another port in the spec is another port at once.
    managed.write_spec(&on(&other))?;
    done(&managed, &["apply"])?;
    let samples = wait::until_blocking(Duration::from_secs(20), "the other port serves", || {
        read(other.number()).map_err(|error| format!("{error:#}"))
    })?;
    is(&samples, "spec_revision_applied", 2.0)?;
    ensure!(TcpStream::connect(("127.0.0.1", port.number())).is_err(), "the first one is closed");
    Ok(())
}
