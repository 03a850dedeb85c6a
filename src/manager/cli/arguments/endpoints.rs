//! `endpoints`: forms of the variables that clients read.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::SpecArgument;

/// Forms of the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(in crate::cli) enum EndpointsForm {
    /// For `eval "$(etcd-manager endpoints)"`
    #[default]
    Shell,
    /// One object of the same variables
    Json,
    /// The client URLs alone, with commas between
    Plain,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Endpoints {
    #[command(flatten)]
    spec: SpecArgument,
    /// Form of the endpoints
    #[arg(long, value_enum, default_value_t)]
    pub(in crate::cli) output: EndpointsForm,
}

impl Endpoints {
    /// The spec file it names.
    pub(in crate::cli) fn spec_file(&self) -> PathBuf {
        self.spec.spec_file()
    }
}
