//! `etcd-manager member`: a cluster grown, moved, renewed and shrunk by commands, its spec file a person's still.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{
    ctl,
    manager::Managed,
    oracle::{self, Kind, Version},
    ports::Port,
};

const HEADER: &str = "# Kept by hand.\n[supervise]\nstop-timeout = \"20s\" # long enough\n";

fn done(managed: &Managed, arguments: &[&str]) -> Result<String> {
    let said = managed.run(arguments)?;
    ensure!(said.code == 0, "{arguments:?}: {said:?}");
    Ok(said.out)
}

fn refused(managed: &Managed, arguments: &[&str], code: i32, words: &str) -> Result<()> {
    let before = fs::read(managed.spec())?;
    let said = managed.run(arguments)?;
    ensure!(said.code == code && said.err.contains(words), "{arguments:?}: {said:?}");
    ensure!(fs::read(managed.spec())? == before, "{arguments:?} wrote the spec");
    Ok(())
}

fn member<'a>(status: &'a Value, name: &str) -> Result<&'a Value> {
    let members = status["members"].as_array().context("members")?;
    members.iter().find(|member| member["name"] == name).context("the member")
}

fn voters(managed: &Managed) -> Result<Vec<String>> {
    let list = ctl::ok(Version::V35, &managed.ports[0].0.url(), &["member", "list"])?;
    ensure!(!list.contains("true"), "no learner is left: {list}");
    Ok(list.lines().map(ToOwned::to_owned).collect())
}

#[test]
fn a_cluster_grows_moves_and_shrinks_by_commands_and_its_comments_stay() -> Result<()> {
    let managed = Managed::new(3, HEADER)?;
    fs::set_permissions(managed.spec(), fs::Permissions::from_mode(0o640))?;
    done(&managed, &["apply"])?;
    ctl::ok(Version::V35, &managed.endpoints(), &["put", "kept", "1"])?;
    let first = fs::read_to_string(managed.spec())?;

    let (client, peer) = (Port::take()?, Port::take()?);
    let (client, peer) = (client.number().to_string(), peer.number().to_string());
    let add = [
        "member",
        "add",
        "n4",
        "--host",
        "127.0.0.1",
        "--client-port",
        &client,
        "--peer-port",
        &peer,
    ];
    let shown = done(&managed, &[&add[..], &["--dry-run"]].concat())?;
    ensure!(shown.contains("+name = \"n4\"") && shown.contains("add n4 as a learner"), "{shown}");
    assert_eq!(fs::read_to_string(managed.spec())?, first, "--dry-run writes nothing");
    let shown = done(&managed, &add)?;
    ensure!(shown.contains("+name = \"n4\""), "{shown}");
    assert_eq!(voters(&managed)?.len(), 4);
    let grown = fs::read_to_string(managed.spec())?;
    ensure!(grown.starts_with(&first), "comments and layout stay: {grown}");
    assert_eq!(fs::metadata(managed.spec())?.permissions().mode() & 0o777, 0o640);

    let peer = Port::take()?;
    let url = peer.url();
    done(&managed, &["member", "move", "n2", "--peer-url", &url])?;
    let list = voters(&managed)?;
    ensure!(list.iter().any(|line| line.contains(&url)), "{list:?}");

    done(&managed, &["member", "remove", "n4"])?;
    assert_eq!(voters(&managed)?.len(), 3);
    let shrunk = fs::read_to_string(managed.spec())?;
    ensure!(!shrunk.contains("n4") && shrunk.contains("stop-timeout = \"20s\" # long enough"));
    ensure!(managed.root().join("data/archive").is_dir(), "R4: its data is in the archive");
    let status = managed.status()?;
    assert_eq!(status["converged"], true);
    archives_are_listed_and_purged(&managed, &status)?;
    events_tell_what_was_decided(&managed)?;
    let kept = ctl::ok(Version::V35, &managed.endpoints(), &["get", "kept"])?;
    assert_eq!(kept, "kept\n1\n");
    Ok(())
}

fn events_tell_what_was_decided(managed: &Managed) -> Result<()> {
    let events = |arguments: &[&str]| -> Result<Vec<Value>> {
        let all = [&["events", "--output", "json"], arguments].concat();
        done(managed, &all)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    };
    let all = events(&[])?;
    let numbers: Vec<_> = all.iter().filter_map(|event| event["number"].as_u64()).collect();
    assert_eq!(numbers, (1..=u64::try_from(all.len())?).collect::<Vec<_>>());
    let removal =
        |event: &&Value| event["what"] == "remove member n4" && event["outcome"] == "done";
    let removal = all.iter().find(removal).context("the removal")?;
    assert_eq!(removal["kind"], "step");
    assert_eq!(removal["why"], "the spec no longer names it", "{removal}");
    ensure!(all.iter().any(|it| it["kind"] == "settled" && it["outcome"] == "reached"), "{all:?}");
    ensure!(events(&["--since", "2100-01-01T00:00:00Z"])?.is_empty());
    assert_eq!(events(&["--since", "1h"])?, all);
    ensure!(done(managed, &["events"])?.contains("remove member n4: done"), "for people");
    refused(managed, &["events", "--since", "soon"], 2, "10m")?;
    Ok(())
}

/// R4
fn archives_are_listed_and_purged(managed: &Managed, status: &Value) -> Result<()> {
    let list = || -> Result<Vec<Value>> {
        let said = done(managed, &["archives", "list", "--output", "json"])?;
        Ok(serde_json::from_str(&said)?)
    };
    let found = list()?;
    assert_eq!(found.len(), 1, "{found:?}");
    let archive = &found[0];
    assert_eq!(archive["node"], "n4");
    assert_eq!(archive["cluster"], status["cluster_id"], "{archive} {status}");
    assert_eq!(archive["at_is_about"], false);
    ensure!(archive["bytes"].as_u64() > Some(0), "{archive}");
    let reason = archive["reason"].as_str().context("reason")?;
    assert_eq!(reason, "the spec no longer names its node");
    let name = archive["name"].as_str().context("name")?;
    let path = archive["path"].as_str().context("path")?;
    refused(managed, &["archives", "purge"], 2, "required")?;
    refused(managed, &["archives", "purge", "n9-1"], 2, "archives list")?;
    refused(managed, &["archives", "purge", name], 5, "--yes")?;
    ensure!(done(managed, &["archives", "purge", "--keep", "1", "--yes"])?.contains("no archives"));
    let young = ["archives", "purge", "--older-than", "1h", "--yes"];
    ensure!(done(managed, &young)?.contains("no archives"));
    ensure!(done(managed, &["archives", "purge", "--keep", "0", "--dry-run"])?.contains(path));
    assert_eq!(list()?.len(), 1);
    let said = done(managed, &["archives", "purge", name, "--yes"])?;
    ensure!(said.contains(&format!("deleted {path}")), "{said}");
    ensure!(list()?.is_empty() && !std::path::Path::new(path).exists());
    Ok(())
}

#[test]
fn a_member_is_replaced_with_its_data_archived_by_ours_and_by_real_etcd() -> Result<()> {
    for binary in [None, Some(oracle::server(Kind::Real35)?)] {
        let extra = binary
            .map_or(String::new(), |path| format!("[defaults]\nbinary = \"{}\"\n", path.display()));
        let managed = Managed::new(3, &extra)?;
        done(&managed, &["apply"])?;
        ctl::ok(Version::V35, &managed.endpoints(), &["put", "kept", "1"])?;
        let before = managed.status()?;
        let leader = before["leader"].as_str().unwrap_or("n2").to_owned();
        let old = member(&before, &leader)?["id"].clone();
        done(&managed, &["member", "replace", &leader])?;
        let after = managed.status()?;
        let new = &member(&after, &leader)?["id"];
        ensure!(*new != old && new.is_string(), "{old} {new}");
        ensure!(fs::read_to_string(managed.spec())?.contains("incarnation = 2"));
        let archive = managed.root().join("data/archive");
        let names: Vec<_> = fs::read_dir(archive)?
            .map(|it| it.map(|it| it.file_name()))
            .collect::<Result<_, _>>()?;
        let expected = format!("{leader}-{}", old.as_str().context("id")?);
        ensure!(names.iter().any(|name| *name == *expected), "R4: {expected} in {names:?}");
        let kept = ctl::ok(Version::V35, &managed.endpoints(), &["get", "kept"])?;
        assert_eq!(kept, "kept\n1\n");
        let again = done(&managed, &["apply"])?;
        ensure!(!again.contains("remove member"), "it is replaced once: {again}");
        assert_eq!(member(&managed.status()?, &leader)?["id"], *new);
    }
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_with_the_way_out_and_nothing_is_written() -> Result<()> {
    let managed = Managed::new(1, HEADER)?;
    refused(&managed, &["member", "remove", "n7"], 2, "there are n1")?;
    refused(&managed, &["member", "add", "n1", "--host", "127.0.0.1"], 2, "already")?;
    refused(&managed, &["member", "remove", "n1"], 5, "member add")?;
    refused(&managed, &["member", "move", "n1"], 2, "where to?")?;
    let port = managed.ports[0].0.number().to_string();
    let clash = ["member", "add", "n2", "--host", "127.0.0.1", "--client-port", &port];
    refused(&managed, &clash, 3, "E-SPEC-10")?;
    refused(&managed, &["member", "add", "n2", "--host", "a b"], 3, "nothing was written")?;
    refused(&managed, &["member", "add", "n2", "--host", "h", "--peer-port", "0"], 2, "peer-port")?;
    refused(&managed, &["member", "add", "n2", "--host", "h", "--peer-port", "99999"], 2, "65535")?;
    ensure!(!managed.root().join("data").exists(), "nothing was started");
    done(&managed, &["apply"])?;
    refused(&managed, &["member", "replace", "n1"], 5, "only voter")?;
    done(&managed, &["member", "move", "n1", "--zone", "z1", "--no-apply"])?;
    ensure!(fs::read_to_string(managed.spec())?.contains("zone = \"z1\""));
    let draft = managed.root().join("cluster.toml.edit");
    fs::File::create(&draft)?;
    refused(&managed, &["member", "move", "n1", "--zone", "z2", "--no-apply"], 1, "another edit")?;
    Ok(())
}
