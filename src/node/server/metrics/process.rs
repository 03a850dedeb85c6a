//! What the kernel says of this process: memory, files, start time, CPU. From /proc; what cannot be read is left out.

use std::fs;

use super::page::Page;

/// Kernel clock ticks a second, as /proc counts them on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Adds the `process_*` metrics.
pub(super) fn add(page: &mut Page) {
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", files.count());
    }
    if let Ok(limits) = fs::read_to_string("/proc/self/limits")
        && let Some(limit) = open_files_limit(&limits)
    {
        page.gauge("process_max_fds", limit);
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        for (field, name) in [
            ("VmRSS:", "process_resident_memory_bytes"),
            ("VmSize:", "process_virtual_memory_bytes"),
        ] {
            if let Some(kib) = kib_of(&status, field) {
                page.gauge(name, kib * 1024);
            }
        }
    }
    if let (Ok(own), Ok(machine)) =
        (fs::read_to_string("/proc/self/stat"), fs::read_to_string("/proc/stat"))
        && let Some((start, cpu)) = times(&own, &machine)
    {
        page.gauge("process_start_time_seconds", start);
        page.counter_seconds("process_cpu_seconds_total", cpu);
    }
}

fn open_files_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn kib_of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Start in seconds since 1970, and seconds of CPU.
fn times(own: &str, machine: &str) -> Option<(f64, f64)> {
    let fields: Vec<&str> = own.rsplit_once(") ")?.1.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let cpu = (number(11)? + number(12)?) / TICKS_PER_SECOND;
    let boot: f64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    Some((boot + number(19)? / TICKS_PER_SECOND, cpu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let limits = "Limit  Soft\nMax open files            1024                 4096  files\n";
        assert_eq!(open_files_limit(limits), Some(1024));
        assert_eq!(kib_of("VmSize:  7 kB\nVmRSS:\t  42 kB\n", "VmRSS:"), Some(42));
        let own = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 0 0 0 0 300 0";
        assert_eq!(times(own, "cpu 1\nbtime 1000\n"), Some((1003.0, 2.0)));
    }
}
