//! The options of `pki`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::arguments::Output;

#[derive(Debug, Args)]
pub(super) struct Pki {
    #[command(subcommand)]
    pub(super) command: PkiCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum PkiCommand {
    /// Make the authority, and with a spec the certificates of all its hosts
    ///
    /// What is there stays as it is, so it may be run again at any time.
    Init(Init),
    /// Issue the certificates of one host, or of one person
    Issue(Issue),
    /// Change the authority, in three phases
    ///
    /// First `trust`: a new authority is made, and trusted beside the old one. Then `reissue`: it
    /// signs all certificates anew. Then `drop`: the old one is trusted no more. After each phase
    /// carry what it wrote to the hosts. A phase that was cut off may be run again.
    Rotate(Rotate),
    /// Show every certificate, its names and how long it lives
    ///
    /// Ends with 1 if one of them has expired or cannot be used.
    Show(Show),
}

/// Which folder.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Folder of the certificates [default: the one that the spec names, else pki]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// A spec, for its folder of certificates and the names of its hosts
    #[arg(short = 'f', long, visible_alias = "file", value_name = "FILE")]
    pub(super) spec: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Init {
    #[command(flatten)]
    pub(super) place: Place,
    /// Name of the authority [default: the spec's cluster, else etcd]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    /// A host, as the spec names it; or the name of a person or program
    #[arg(value_name = "HOST")]
    pub(super) holder: String,
    /// Whose certificates they are
    #[arg(long = "for", value_enum, value_name = "KIND", default_value_t)]
    pub(super) kind: Kind,
    /// A further DNS name or IP address of the host; may be given more than once
    #[arg(long = "san", value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// How many days they are good for
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(super) days: u32,
    /// Issue again what is there, with new keys
    #[arg(long)]
    pub(super) renew: bool,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Whose certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Kind {
    /// A host: its agent, its nodes, and the manager as their client
    #[default]
    Host,
    /// Somebody who may change clusters through agents
    Operator,
    /// Somebody who may look at clusters through agents
    Reader,
    /// A client of etcd; its name is its etcd user where auth is on
    Client,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// The phase
    #[arg(value_enum, value_name = "PHASE")]
    pub(super) step: Step,
    /// What the phase before wrote is in place on every host
    #[arg(long)]
    pub(super) carried: bool,
    #[command(flatten)]
    pub(super) place: Place,
}

/// A phase of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Step {
    /// Make a new authority, trusted beside the old one
    Trust,
    /// Issue all certificates anew, by the new one
    Reissue,
    /// Trust the old one no more
    Drop,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    pub(super) place: Place,
    /// Form of the list; docs/pki.md describes the JSON
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
}
