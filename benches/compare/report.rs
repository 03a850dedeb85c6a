//! Collects the rounds and prints medians and ratios as a Markdown table.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the report")]

use std::collections::BTreeMap;

use crate::load::Measured;

/// One round's figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    ops_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_seconds_per_100k: f64,
    rss_mib: f64,
}

impl Outcome {
    /// From what the clients saw and the kernel counted.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn new(measured: &Measured, cpu_seconds: f64, rss_bytes: u64) -> Self {
        let operations = measured.operations as f64;
        Self {
            ops_per_second: operations / measured.elapsed.as_secs_f64(),
            p50_ms: measured.latency_us.value_at_quantile(0.5) as f64 / 1000.0,
            p99_ms: measured.latency_us.value_at_quantile(0.99) as f64 / 1000.0,
            cpu_seconds_per_100k: cpu_seconds / operations * 100_000.0,
            rss_mib: rss_bytes as f64 / 1_048_576.0,
        }
    }

    fn figures(self) -> [f64; 5] {
        [self.ops_per_second, self.p50_ms, self.p99_ms, self.cpu_seconds_per_100k, self.rss_mib]
    }
}

/// All rounds of all loads.
#[derive(Debug)]
pub(crate) struct Table {
    against: String,
    rounds: BTreeMap<String, (Vec<Outcome>, Vec<Outcome>)>,
    header_printed: bool,
}

impl Table {
    /// An empty one.
    pub(crate) fn new(against: &str) -> Self {
        Self { against: against.to_owned(), rounds: BTreeMap::new(), header_printed: false }
    }

    /// A round of ours.
    pub(crate) fn ours(&mut self, load: &str, outcome: Outcome) {
        self.rounds.entry(load.to_owned()).or_default().0.push(outcome);
    }

    /// A round of the real one.
    pub(crate) fn real(&mut self, load: &str, outcome: Outcome) {
        self.rounds.entry(load.to_owned()).or_default().1.push(outcome);
    }

    /// Prints the medians of a load.
    pub(crate) fn print_load(&mut self, load: &str) {
        if !self.header_printed {
            println!(
                "| load | server | ops/s | p50 ms | p99 ms | server CPU s per 100k ops | RSS MiB (largest node) |"
            );
            println!("|---|---|---|---|---|---|---|");
            self.header_printed = true;
        }
        let Some((ours, real)) = self.rounds.get(load) else { return };
        let (ours, real) = (medians(ours), medians(real));
        row(load, "ours", ours);
        if real[0] > 0.0 {
            row("", &self.against, real);
            let mut ratio = [0.0; 5];
            for (at, slot) in ratio.iter_mut().enumerate() {
                *slot = ours[at] / real[at];
            }
            row("", "ratio", ratio);
        }
    }
}

fn row(load: &str, server: &str, figures: [f64; 5]) {
    let [ops, p50, p99, cpu, rss] = figures;
    let digits = usize::from(ops < 100.0) * 2;
    println!("| {load} | {server} | {ops:.digits$} | {p50:.2} | {p99:.2} | {cpu:.2} | {rss:.2} |");
}

fn medians(outcomes: &[Outcome]) -> [f64; 5] {
    let mut result = [0.0; 5];
    for (at, slot) in result.iter_mut().enumerate() {
        let mut column: Vec<f64> = outcomes.iter().map(|outcome| outcome.figures()[at]).collect();
        column.sort_by(f64::total_cmp);
        *slot = column.get(column.len() / 2).copied().unwrap_or(0.0);
    }
    result
}

/// A line for whoever waits.
pub(crate) fn progress(line: &str) {
    eprintln!("{line}");
}

/// A figure of the manager.
pub(crate) fn figure(name: &str, value: &str) {
    println!("| {name} | {value} |");
}
