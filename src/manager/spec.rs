//! `cluster.toml` made into a [`ClusterSpec`]: read by the command line and the agent, handed to generate and plan.

mod types;

pub use types::{AgentSpec, Binary, ClusterSpec, LogSpec, NodeSpec, Supervise};
