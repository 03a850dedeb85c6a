//! Measures what writes and reads of the backend cost:
//! `cargo run --release -p backend --example load [FOLDER [BATCHES [VALUE_BYTES]]]`

use std::{
    error::Error,
    io::Write,
    ops::{Bound, ControlFlow},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use backend::{Backend, Bucket, Options, WriteBatch};
use base::{Clock, SystemClock};
use disk::{Disk, RealDisk};

/// Batches a second in the paced phase: what one node's apply thread hands over.
const PACED_RATE: u64 = 20_000;
const PACED_SECONDS: u64 = 5;
const GETS: u64 = 300_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let batches = arguments.next().map_or(Ok(100_000), |number| number.parse())?;
    let value = vec![b'x'; arguments.next().map_or(Ok(256), |number| number.parse())?];
    let path = folder.join("load.redb");
    if RealDisk.exists(&path)? {
        RealDisk.remove_file(&path)?;
    }
    let backend = Backend::open(Arc::new(RealDisk), &path, Options::default())?;
    say(&format!("open: {}", usage()))?;

    let (started, cpu) = (SystemClock.now(), cpu_ms());
    for n in 0..batches {
        backend.write(batch(n, &value))?;
    }
    report("write as fast as it goes", batches, started, cpu)?;
    backend.flush()?;
    report("  with the flush", batches, started, cpu)?;

    paced(&backend, batches, &value)?;
    reads(&backend, batches)?;

    let (started, cpu) = (SystemClock.now(), cpu_ms());
    backend.defragment()?;
    report("defragment", 1, started, cpu)?;
    say(&format!("{:?} {}", backend.sizes(), usage()))?;
    backend.close()?;

    let (started, cpu) = (SystemClock.now(), cpu_ms());
    drop(Backend::open(Arc::new(RealDisk), &path, Options::default())?);
    report("open again", 1, started, cpu)?;
    RealDisk.remove_file(&path)?;
    Ok(())
}

/// One put of a key, as the state machine writes it.
fn batch(n: u64, value: &[u8]) -> WriteBatch {
    let mut batch = WriteBatch::with_capacity(2);
    batch.put(Bucket::Key, revision(n), value.to_vec());
    batch.put(Bucket::Meta, &b"consistent_index"[..], n.to_be_bytes().to_vec());
    batch
}

fn revision(main: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(17);
    key.extend_from_slice(&main.to_be_bytes());
    key.push(b'_');
    key.extend_from_slice(&0u64.to_be_bytes());
    key
}

/// A steady rate, to see the share of a core.
fn paced(backend: &Backend, start: u64, value: &[u8]) -> Result<(), Box<dyn Error>> {
    let (started, cpu) = (SystemClock.now(), cpu_ms());
    let per_tick = PACED_RATE / 1000;
    for tick in 0..PACED_SECONDS * 1000 {
        for n in 0..per_tick {
            backend.write(batch(start + tick * per_tick + n, value))?;
        }
        let due = started + Duration::from_millis(tick + 1);
        SystemClock.sleep(due.saturating_duration_since(SystemClock.now()));
    }
    report("write at a steady rate", PACED_SECONDS * PACED_RATE, started, cpu)
}

fn reads(backend: &Backend, rows: u64) -> Result<(), Box<dyn Error>> {
    for (name, spread) in [("get, 1000 rows", 1000.min(rows)), ("get, all rows", rows)] {
        let (started, cpu) = (SystemClock.now(), cpu_ms());
        let mut found = 0;
        for n in 0..GETS {
            let at = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % spread;
            found += usize::from(backend.get(Bucket::Key, &revision(at))?.is_some());
        }
        report(name, GETS, started, cpu)?;
        say(&format!("  {found} found"))?;
    }
    backend.write(batch(0, b"buffered"))?;
    let (started, cpu) = (SystemClock.now(), cpu_ms());
    for _ in 0..GETS {
        backend.get(Bucket::Meta, b"consistent_index")?;
    }
    report("get, buffered row", GETS, started, cpu)?;
    let (started, cpu) = (SystemClock.now(), cpu_ms());
    let mut seen = 0;
    backend.scan(Bucket::Key, Bound::Unbounded, Bound::Unbounded, &mut |_, _| {
        seen += 1;
        ControlFlow::Continue(())
    })?;
    report("scan, a row", seen, started, cpu)
}

fn report(what: &str, count: u64, started: Instant, cpu: u64) -> Result<(), Box<dyn Error>> {
    let elapsed = SystemClock.now().saturating_duration_since(started);
    let each = elapsed / u32::try_from(count.max(1))?;
    let cpu = cpu_ms().saturating_sub(cpu);
    say(&format!("{what}: {each:?} each, {elapsed:.2?} in all, {cpu} ms of CPU, {}", usage()))?;
    Ok(())
}

/// Memory of the process now and at most.
fn usage() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines =
        status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}

/// CPU time of the process (ticks are 10 ms).
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|number| number.parse::<u64>().ok()).sum::<u64>() * 10
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
