//! The same load against three nodes of ours and three of a real etcd, in turn, in one run; prints the ratios.
//!
//! `cargo bench --bench compare` runs everything; `-- --help` shows how to choose less. Needs scripts/oracle.

mod load;
mod managed;
mod report;
mod servers;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Parser;

use load::Load;
use report::{Outcome, Table};
use servers::Servers;

/// Compares our node with a real etcd under the same load.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "they are command line switches")]
struct Options {
    /// Loads to run, comma-separated.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "put-1,put-100,put-1000,get-100,get-1000,sget-100,sget-1000"
    )]
    loads: Vec<String>,
    /// Seconds a load runs in a round.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Rounds; medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The real etcd to compare with: 3.5.1 or 3.4.23.
    #[arg(long, default_value = "3.5.1")]
    against: String,
    /// Measure only our node (for profiling).
    #[arg(long)]
    only_ours: bool,
    /// Leave out the start-up time of `apply` and the idle cost of the agent.
    #[arg(long)]
    no_manager: bool,
    /// Passed by cargo; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(&options))
}

async fn run(options: &Options) -> Result<()> {
    let ours = PathBuf::from(env!("CARGO_BIN_EXE_etcd-node"));
    let real = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(".cache/oracle")
        .join(&options.against)
        .join("etcd");
    let mut table = Table::new(&options.against);
    for name in &options.loads {
        let load = Load::named(name)?;
        for round in 0..options.rounds {
            report::progress(&format!("{name}: round {} of {}", round + 1, options.rounds));
            if !options.only_ours {
                table.real(name, one(&real, load, options).await?);
            }
            table.ours(name, one(&ours, load, options).await?);
        }
        table.print_load(name);
    }
    if !options.no_manager {
        report::progress("start-up of bare nodes and of `apply`, cost of the idle agent");
        managed::measure(&ours, options.rounds).await?;
    }
    Ok(())
}

/// Fresh servers, one load, and what it cost them.
async fn one(program: &std::path::Path, load: Load, options: &Options) -> Result<Outcome> {
    let servers = Servers::start(program, 3).await?;
    servers.prepare(load).await?;
    let cpu_before = servers.cpu_seconds()?;
    let measured = load::drive(&servers, load, Duration::from_secs(options.seconds)).await?;
    let cpu = servers.cpu_seconds()? - cpu_before;
    Ok(Outcome::new(&measured, cpu, servers.rss_bytes()?))
}
