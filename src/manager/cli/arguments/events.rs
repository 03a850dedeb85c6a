//! `events`: what was decided.

use std::path::PathBuf;

use clap::Args;

use super::{Output, Reach, SpecArgument};

#[derive(Debug, Args)]
pub(in crate::cli) struct Events {
    #[command(flatten)]
    spec: SpecArgument,
    /// Go on with what is decided from now on
    #[arg(long)]
    pub(in crate::cli) follow: bool,
    /// Only since then: a time back such as `10m`, or a moment such as `2026-11-23T10:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(in crate::cli) since: Option<Since>,
    /// Form of the events; docs/events-json.md describes the JSON
    #[arg(long, value_enum, default_value_t)]
    pub(in crate::cli) output: Output,
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
}

/// A moment, or so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Since {
    Ago(std::time::Duration),
    Moment(std::time::SystemTime),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(Since::Ago(ago));
    }
    humantime::parse_rfc3339_weak(text).map(Since::Moment).map_err(|_error| {
        "give a time back such as `10m`, or a moment such as `2026-11-23T10:00:00Z` (UTC)"
            .to_owned()
    })
}

impl Events {
    /// The spec file it names.
    pub(in crate::cli) fn spec_file(&self) -> PathBuf {
        self.spec.spec_file()
    }
}
