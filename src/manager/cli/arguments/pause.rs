//! `pause` and `resume`.

use std::time::Duration;

use clap::Args;

use super::{Output, Reach, SpecOption};

#[derive(Debug, Args)]
pub(in crate::cli) struct Pause {
    /// Why, for those who look at the status
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(in crate::cli) reason: String,
    #[command(flatten)]
    pub(in crate::cli) request: Asking,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Resume {
    #[command(flatten)]
    pub(in crate::cli) request: Asking,
}

/// What commands have in common that have the agents decide something.
#[derive(Debug, Args)]
pub(in crate::cli) struct Asking {
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
