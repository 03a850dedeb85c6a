//! `archives`: data dirs that were put away on this machine.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{Output, SpecOption};

#[derive(Debug, Args)]
pub(in crate::cli) struct Archives {
    #[command(subcommand)]
    pub(in crate::cli) verb: ArchivesVerb,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ArchivesVerb {
    /// List them with their time, member, cluster, size and reason
    List(ArchivesList),
    /// Delete some of them for good, after asking
    ///
    /// Of several conditions all must hold. What a process has locked, what the spec uses and what
    /// is a link is never deleted.
    Purge(ArchivesPurge),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Where {
    /// A further archive folder: of a node that left and had a data dir of its own
    #[arg(long = "folder", value_name = "DIR")]
    pub(in crate::cli) folders: Vec<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) spec: SpecOption,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ArchivesList {
    /// Form of the list
    #[arg(long, value_enum, default_value_t)]
    pub(in crate::cli) output: Output,
    #[command(flatten)]
    pub(in crate::cli) place: Where,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ArchivesPurge {
    /// These archives, as the list names them
    #[arg(required_unless_present_any = ["older_than", "keep"])]
    pub(in crate::cli) names: Vec<String>,
    /// Those that were put away longer ago
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(in crate::cli) older_than: Option<Duration>,
    /// All but the newest so many of each node
    #[arg(long, value_name = "N")]
    pub(in crate::cli) keep: Option<usize>,
    /// Show what would be deleted only
    #[arg(long, conflicts_with = "yes")]
    pub(in crate::cli) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(in crate::cli) yes: bool,
    #[command(flatten)]
    pub(in crate::cli) place: Where,
}
