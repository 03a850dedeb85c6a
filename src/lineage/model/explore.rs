//! Explores scenarios of the model, also those too large for every run of the tests (docs/testing.md):
//! `cargo run -p lineage --example explore -- NAME [THREADS [SECONDS]]`, or without a name for the list.
#![expect(clippy::print_stdout, reason = "a program that reports")]

mod attempt;
#[expect(dead_code, reason = "the tests break rules, this program does not")]
mod evidence;
mod explorer;
#[expect(dead_code, reason = "the tests use more of it")]
mod scenario;
mod symmetry;
mod wide;
mod world;

use std::{io::stdout, time::Duration};

use stateright::{Checker, Model, report::WriteReporter};

fn main() {
    let mut words = std::env::args().skip(1);
    let (name, threads, seconds) = (words.next(), words.next(), words.next());
    let threads = threads.and_then(|threads| threads.parse().ok()).unwrap_or(1);
    let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(24 * 3600);
    for scenario in scenario::small().into_iter().chain(wide::wide()) {
        if name.as_deref() != Some(scenario.name) {
            println!("{}: reaches {:?}", scenario.name, scenario.reached);
            continue;
        }
        println!("== {}", scenario.name);
        let checker = scenario.explorer.checker().threads(threads);
        let checker = checker.timeout(Duration::from_secs(seconds));
        let checker = checker.symmetry_fn(symmetry::representative).spawn_dfs();
        let checker = checker.join_and_report(&mut WriteReporter::new(&mut stdout()));
        println!("{}: {} states", scenario.name, checker.unique_state_count());
    }
}
