//! Changes by API v2, as old runbooks make them with curl: codes and bodies of a real etcd 3.5.1.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::harness::{
    cluster::Cluster,
    http::{Answer, request_with},
    oracle::Kind,
};

const JSON: &str = "Content-Type: application/json";
const NEW: &str = r#"{"peerURLs":["http://127.0.0.1:1"]}"#;

/// What a client sees, without what differs between two clusters.
fn shown(answer: &Answer, cluster: &Cluster) -> String {
    let mut text = answer.body.clone();
    for node in &cluster.nodes {
        text = text.replace(&node.peer_url(), "PEER").replace(&node.url(), "CLIENT");
    }
    if let Ok(mut value) = serde_json::from_str::<Value>(&text)
        && let Some(id) = value.get_mut("id")
    {
        *id = Value::String("ID".to_owned());
        text = format!("{value}{}", if answer.body.ends_with('\n') { "\n" } else { "" });
    }
    let headers: Vec<_> = ["content-type", "allow"].map(|name| answer.header(name)).into();
    let cluster_id = !answer.header("x-etcd-cluster-id").is_empty();
    format!("{} {headers:?} {cluster_id} {text:?}", answer.code)
}

/// A leader of etcd loses a change that comes before it has quite finished the one before; it answers a linearizable
/// read only afterwards, as /health is one.
fn settled_request(method: &str, url: &str, path: &str, rest: &str) -> Result<Answer> {
    request_with("GET", url, "/health", "")?;
    request_with(method, url, path, rest)
}

fn script(cluster: &Cluster) -> Result<Vec<String>> {
    let url = cluster.nodes[0].url();
    let own_url = cluster.nodes[0].peer_url();
    let mut answers = Vec::new();
    let mut ask = |method: &str, path: &str, rest: &str| -> Result<Answer> {
        let answer = settled_request(method, &url, path, rest)?;
        answers.push(format!("{method} {rest}: {}", shown(&answer, cluster)));
        Ok(answer)
    };
    let json = |body: &str| format!("{JSON}\r\n\r\n{body}");
    let listed = ask("GET", "/v2/members", "")?;
    let own = serde_json::from_str::<Value>(&listed.body)?;
    let own = own.pointer("/members/0/id").and_then(Value::as_str).context("an id")?.to_owned();
    for rest in [
        format!("Content-Type: text/plain\r\n\r\n{NEW}"),
        format!("Content-Type: Application/JSON\r\n\r\n{NEW}"),
        json(""),
        json("{}"),
        json(r#"{"peerURLs":["xx"]}"#),
        json(r#"{"peerURLs":["http://127.0.0.1:1/x"]}"#),
        json(r#"{"peerURLs":["http://127.0.0.1"]}"#),
    ] {
        ask("POST", "/v2/members", &rest)?;
    }
    let taken = json(r#"{"peerURLs":["OWN"]}"#);
    let conflict = settled_request("POST", &url, "/v2/members", &taken.replace("OWN", &own_url))?;
    assert_eq!(conflict.code, 409, "{conflict:?}");
    let one = format!("/v2/members/{own}");
    for (method, path, rest) in [
        ("PUT", "/v2/members", json(NEW)),
        ("PUT", "/v2/members/xyz", json(NEW)),
        ("PUT", "/v2/members/abc", json(NEW)),
        ("PUT", one.as_str(), json("{}")),
        ("PUT", one.as_str(), json(NEW)),
        ("DELETE", "/v2/members", String::new()),
        ("DELETE", "/v2/members/", String::new()),
        ("DELETE", "/v2/members/xyz", String::new()),
        ("DELETE", "/v2/members/abc", String::new()),
        // The last one.
        ("DELETE", one.as_str(), String::new()),
        ("PATCH", "/v2/members", String::new()),
        ("GET", "/v2/members/leader", String::new()),
        ("GET", "/v2/members/leader/", String::new()),
    ] {
        ask(method, path, &rest)?;
    }
    Ok(answers.into_iter().map(|answer| answer.replace(&own, "OWN")).collect())
}

#[tokio::test]
async fn a_member_alone_answers_api_v2_as_the_real_one() -> Result<()> {
    let ours = Cluster::start(Kind::Ours, 1, &[]).await?;
    let real = Cluster::start(Kind::Real35, 1, &["--enable-v2=true"]).await?;
    let (mine, expected) = (script(&ours)?, script(&real)?);
    for (mine, expected) in mine.iter().zip(&expected) {
        assert_eq!(mine, expected);
    }
    Ok(())
}

/// Two running members, so that a third that never starts can come and go. The check of the last five seconds would
/// only make it longer.
async fn come_and_go(kind: Kind) -> Result<Vec<String>> {
    // Ours needs no flag for this.
    let flags = ["--strict-reconfig-check=false", "--enable-v2=true"];
    let flags = if kind == Kind::Ours { &flags[..1] } else { &flags[..] };
    let cluster = Cluster::start(kind, 2, flags).await?;
    let url = cluster.nodes[0].url();
    let mut answers = Vec::new();
    let mut ask = |method: &str, path: &str, body: &str| -> Result<Answer> {
        let rest = format!("{JSON}\r\n\r\n{body}");
        let answer = settled_request(method, &url, path, &rest)?;
        answers.push(format!("{method} {body}: {}", shown(&answer, &cluster)));
        Ok(answer)
    };
    let added = ask("POST", "/v2/members", NEW)?;
    let added: Value = serde_json::from_str(&added.body)?;
    let id = added.get("id").and_then(Value::as_str).context("the new member's id")?;
    let one = format!("/v2/members/{id}");
    // With one more URL it has another id, whatever the time.
    ask("POST", "/v2/members", r#"{"peerURLs":["http://127.0.0.1:1","http://127.0.0.1:9"]}"#)?;
    ask("PUT", &one, r#"{"peerURLs":["http://127.0.0.1:2"]}"#)?;
    ask("PUT", &one, &format!("{{\"peerURLs\":[\"{}\"]}}", cluster.nodes[1].peer_url()))?;
    ask("DELETE", &one, "")?;
    ask("DELETE", &one, "")?;
    ask("PUT", &one, NEW)?;
    Ok(answers.into_iter().map(|answer| masked(&answer, id, &cluster)).collect())
}

fn masked(answer: &str, id: &str, cluster: &Cluster) -> String {
    answer.replace(id, "ID").replace(&cluster.nodes[1].peer_url(), "PEER1")
}

#[tokio::test]
async fn members_come_and_go_by_api_v2_as_with_the_real_one() -> Result<()> {
    let expected = come_and_go(Kind::Real35).await?;
    assert_eq!(come_and_go(Kind::Ours).await?, expected);
    Ok(())
}
