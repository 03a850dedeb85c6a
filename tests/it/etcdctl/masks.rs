//! Makes what may differ between two clusters equal: ids, terms, indices, ports, sizes, times, versions.

use std::fmt::Write;

use serde_json::Value;

use crate::harness::{cluster::Cluster, ctl::Said};

/// JSON members whose value may differ.
const FREE: [&str; 16] = [
    "cluster_id",
    "member_id",
    "raft_term",
    "ID",
    "leader",
    "raftIndex",
    "raftTerm",
    "raftAppliedIndex",
    "dbSize",
    "dbSizeInUse",
    "version",
    "took",
    "name",
    "id",
    "hash",
    "storageVersion",
];

/// What was said, with what may differ masked and lists of members in a fixed order.
pub(crate) fn masked(said: &Said, cluster: &Cluster) -> Said {
    let urls = |text: &str| {
        let mut text = text.to_owned();
        for (at, node) in cluster.nodes.iter().enumerate() {
            text = text.replace(&node.url(), &format!("CLIENT{at}"));
            text = text.replace(&node.peer_url(), &format!("PEER{at}"));
        }
        text
    };
    Said {
        code: said.code,
        out: words(&json(&urls(&said.out))),
        err: words(&errors(&urls(&said.err))),
    }
}

/// The 3.4 client writes retry noise with a time stamp to standard error.
fn errors(text: &str) -> String {
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with('{')).collect();
    kept.join("\n")
}

fn json(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text.trim()) else { return text.to_owned() };
    if !value.is_object() && !value.is_array() {
        return text.to_owned();
    }
    mask(&mut value, false);
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

fn mask(value: &mut Value, masked: bool) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                // A key-value pair's own version is no server version.
                let free = FREE.contains(&key.as_str()) && !(key == "version" && value.is_number());
                mask(value, free);
            }
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                mask(item, masked);
            }
            items.sort_by_key(ToString::to_string);
        }
        other if masked => *other = Value::String("MASKED".to_owned()),
        _ => {}
    }
}

/// Masks numbers and ids in simple, table and fields output, and sorts the lines of lists.
fn words(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(line).collect();
    if text.contains("CLIENT1") {
        lines.sort();
    }
    lines.join("\n")
}

fn line(line: &str) -> String {
    if line.starts_with('+') {
        return "+table rule+".to_owned();
    }
    if line.starts_with('|') && !line.contains("CLIENT") {
        return line.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if line.contains("is healthy") {
        let head = line.split("took = ").next().unwrap_or_default();
        return format!("{head}took = TIME");
    }
    for name in
        ["\"ClusterID\"", "\"MemberID\"", "\"RaftTerm\"", "\"ID\"", "\"Leader\"", "\"RaftIndex\""]
    {
        if line.starts_with(name) {
            return format!("{name} : MASKED");
        }
    }
    for name in
        ["\"RaftAppliedIndex\"", "\"DBSize\"", "\"DBSizeInUse\"", "\"Version\" : \"3", "\"Hash\""]
    {
        if line.starts_with(name) {
            return format!("{name} MASKED");
        }
    }
    let list = line.contains("CLIENT");
    let mut output = String::new();
    for word in line.split_inclusive([' ', ',', '|']) {
        let bare = word.trim_end_matches([' ', ',', '|']);
        let id = bare.len() >= 14 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        let figure = list && bare.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
        let unit = list && ["kB", "MB", "B", "ms", "µs", "s"].contains(&bare);
        if unit || bare.is_empty() && list {
            continue;
        }
        if id || figure {
            write!(output, "N{}", word.trim_start_matches(bare).trim_end()).ok();
        } else if list {
            write!(output, "{}", word.trim_end()).ok();
        } else {
            output.push_str(word);
        }
    }
    output.replace("true", "BOOL").replace("false", "BOOL")
}
