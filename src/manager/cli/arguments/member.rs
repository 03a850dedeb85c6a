//! `member`: edits of the spec's nodes.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{Output, Reach, SpecOption};

#[derive(Debug, Args)]
pub(in crate::cli) struct Member {
    #[command(subcommand)]
    pub(in crate::cli) verb: MemberVerb,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum MemberVerb {
    /// Add a node to the spec and take it into the cluster: learner first, its vote once it has caught up
    Add(MemberAdd),
    /// Take a node out of the spec and the cluster; its data dir goes into the archive
    Remove(MemberRemove),
    /// Give a member up and have its node join anew without data, for instance on a new disk
    ///
    /// Counts the node's `incarnation` up in the spec. The member leaves the cluster, its data dir
    /// goes into the archive, and the node joins as a learner and gets its vote back.
    Replace(MemberReplace),
    /// Change a node's host, ports or URLs
    Move(MemberMove),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MemberAdd {
    /// Name of the new node
    pub(in crate::cli) name: String,
    /// IP address or host name of its machine
    #[arg(long)]
    pub(in crate::cli) host: String,
    /// Its data directory [default: the spec's]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) place: Place,
    #[command(flatten)]
    pub(in crate::cli) how: HowToEdit,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MemberRemove {
    /// The node
    pub(in crate::cli) name: String,
    #[command(flatten)]
    pub(in crate::cli) how: HowToEdit,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MemberReplace {
    /// The node
    pub(in crate::cli) name: String,
    #[command(flatten)]
    pub(in crate::cli) how: HowToEdit,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MemberMove {
    /// The node
    pub(in crate::cli) name: String,
    /// IP address or host name of its new machine. Data does not come along: unless old and new host are both
    /// this machine, the member is replaced
    #[arg(long)]
    pub(in crate::cli) host: Option<String>,
    /// The new host is the same machine by another name or address: its data is there
    #[arg(long, requires = "host")]
    pub(in crate::cli) keep_data: bool,
    #[command(flatten)]
    pub(in crate::cli) place: Place,
    #[command(flatten)]
    pub(in crate::cli) how: HowToEdit,
}

/// Where a node serves.
#[derive(Debug, Args)]
pub(in crate::cli) struct Place {
    /// Port for clients
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::cli) client_port: Option<u16>,
    /// Port for peers
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::cli) peer_port: Option<u16>,
    /// What it tells clients to use. It listens on the URL's port, unless told otherwise
    #[arg(long = "client-url", value_name = "URL")]
    pub(in crate::cli) client_urls: Vec<String>,
    /// What its peers use. It listens on the URL's port, unless told otherwise
    #[arg(long = "peer-url", value_name = "URL")]
    pub(in crate::cli) peer_urls: Vec<String>,
    /// Where it serves clients
    #[arg(long = "listen-client-url", value_name = "URL", conflicts_with = "client_port")]
    pub(in crate::cli) listen_client_urls: Vec<String>,
    /// Where it serves its peers
    #[arg(long = "listen-peer-url", value_name = "URL", conflicts_with = "peer_port")]
    pub(in crate::cli) listen_peer_urls: Vec<String>,
    /// Its failure domain
    #[arg(long)]
    pub(in crate::cli) zone: Option<String>,
}

/// How far an edit goes.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(in crate::cli) struct HowToEdit {
    /// Change the spec file only
    #[arg(long, conflicts_with = "dry_run")]
    pub(in crate::cli) no_apply: bool,
    /// Show the edit and the plan only, and write nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Do not wait for a maintenance window
    #[arg(long)]
    pub(in crate::cli) now: bool,
    /// Give up after this long
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(in crate::cli) timeout: Duration,
    /// Form of the progress
    #[arg(long, value_enum, default_value_t)]
    pub(in crate::cli) output: Output,
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
    #[command(flatten)]
    pub(in crate::cli) spec: SpecOption,
}
