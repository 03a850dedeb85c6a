//! `--initial-cluster` and its companions: the members a new cluster is formed of, or that a joining
//! member expects to find.

use std::collections::BTreeMap;

use base::flags;

use super::{Refusal, given::Given};

/// Whether this member forms a cluster or joins one. Only looked at while there is no log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialState {
    /// Form one with the members of `--initial-cluster`.
    New,
    /// Join the one that they are.
    Existing,
}

/// The initial cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialCluster {
    /// Peer URLs by member name; sorted, each once.
    pub members: BTreeMap<String, Vec<String>>,
    /// `--initial-cluster-token`.
    pub token: String,
    /// `--initial-cluster-state`.
    pub state: InitialState,
}

/// Only one source may name the members.
pub(super) fn check_one_source(given: &Given) -> Result<(), Refusal> {
    let sources = ["initial-cluster", "discovery", "discovery-srv"];
    let set = sources.iter().filter(|name| !given.text(name).is_empty()).count();
    if set > 1 {
        return Err(Refusal::invalid(
            "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \"discovery\" or \"discovery-srv\""
                .to_owned(),
        ));
    }
    Ok(())
}

impl InitialCluster {
    /// Where none is given, this member alone is the cluster.
    pub(super) fn build(given: &Given, name: &str, peer_urls: &[String]) -> Result<Self, Refusal> {
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let pairs = flags::parse_members(given.text("initial-cluster")).map_err(|error| {
            Refusal::invalid(format!("error setting up initial cluster: {error}"))
        })?;
        for (member, url) in pairs {
            members.entry(member.to_owned()).or_default().push(url.to_owned());
        }
        if members.is_empty() {
            let name = if name.is_empty() { "default" } else { name };
            members.insert(name.to_owned(), peer_urls.to_vec());
        }
        for urls in members.values_mut() {
            urls.sort_unstable();
        }
        let state = match given.text("initial-cluster-state") {
            "existing" => InitialState::Existing,
            _ => InitialState::New,
        };
        Ok(Self { members, token: given.text("initial-cluster-token").to_owned(), state })
    }

    /// What etcd checks before a member without a log starts: it is listed, and no URL stands twice.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn verify_listed(&self, name: &str) -> Result<(), Refusal> {
        if !self.members.contains_key(name) {
            return Err(Refusal::invalid(format!(
                "couldn't find local name {name:?} in the initial cluster configuration"
            )));
        }
        let mut all: Vec<&String> = self.members.values().flatten().collect();
        all.sort_unstable();
        if all.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::invalid(format!("initial cluster {self} has duplicate url")));
        }
        Ok(())
    }

    /// A member of a new cluster must be listed under the URLs that it advertises.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn verify_advertised(&self, name: &str, advertised: &[String]) -> Result<(), Refusal> {
        let listed = self.members.get(name).map(Vec::as_slice).unwrap_or_default();
        let missing = |urls: &[String], from: &[String]| -> Vec<String> {
            urls.iter().filter(|url| !from.contains(url)).cloned().collect()
        };
        let lacking = missing(listed, advertised);
        if !lacking.is_empty() {
            let lacking: Vec<String> = lacking.iter().map(|url| format!("{name}={url}")).collect();
            return Err(Refusal::invalid(format!(
                "--initial-cluster has {} but missing from --initial-advertise-peer-urls={}",
                lacking.join(","),
                advertised.join(",")
            )));
        }
        let extra = missing(advertised, listed);
        if !extra.is_empty() {
            return Err(Refusal::invalid(format!(
                "--initial-advertise-peer-urls has {} but missing from --initial-cluster={self}",
                extra.join(",")
            )));
        }
        Ok(())
    }
}

/// As `--initial-cluster` writes it.
impl std::fmt::Display for InitialCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs = self
            .members
            .iter()
            .flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")));
        f.write_str(&pairs.collect::<Vec<_>>().join(","))
    }
}
