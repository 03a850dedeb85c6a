//! Counters of the traffic with one peer: written by the transport's tasks, read by the metrics
//! registry under etcd's `etcd_network_*` names.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

/// A count that any thread may raise and read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Raises it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Raises it by one until the returned guard is dropped.
    #[must_use]
    pub fn hold(&self) -> GaugeHold<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        GaugeHold(self)
    }

    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One unit of a [`Gauge`].
#[derive(Debug)]
pub struct GaugeHold<'a>(&'a Gauge);

impl Drop for GaugeHold<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A histogram of durations with `N` buckets, each bound twice the one before, and one above all.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    first_bound: Duration,
    buckets: [AtomicU64; N],
    above: AtomicU64,
    sum_micros: AtomicU64,
}

/// What a [`Histogram`] holds at one moment, as Prometheus wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramReading {
    /// Upper bounds in seconds with the count of observations at or below each.
    pub buckets: Vec<(f64, u64)>,
    /// All observations.
    pub count: u64,
    /// Their sum in seconds.
    pub sum_seconds: f64,
}

impl<const N: usize> Histogram<N> {
    /// An empty one whose lowest bucket ends at `first_bound`.
    #[must_use]
    pub fn new(first_bound: Duration) -> Self {
        Self {
            first_bound,
            buckets: [const { AtomicU64::new(0) }; N],
            above: AtomicU64::new(0),
            sum_micros: AtomicU64::new(0),
        }
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let mut bound = self.first_bound;
        let mut slot = &self.above;
        for bucket in &self.buckets {
            if duration <= bound {
                slot = bucket;
                break;
            }
            bound = bound.saturating_mul(2);
        }
        slot.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Its content now.
    #[must_use]
    pub fn read(&self) -> HistogramReading {
        let mut bound = self.first_bound;
        let mut below = 0;
        let mut buckets = Vec::with_capacity(N);
        for bucket in &self.buckets {
            below += bucket.load(Ordering::Relaxed);
            buckets.push((bound.as_secs_f64(), below));
            bound = bound.saturating_mul(2);
        }
        let sum = Duration::from_micros(self.sum_micros.load(Ordering::Relaxed));
        let count = below + self.above.load(Ordering::Relaxed);
        HistogramReading { buckets, count, sum_seconds: sum.as_secs_f64() }
    }
}

/// The traffic with one peer since this process started. Kept after the peer is removed, so that
/// no series ever goes backwards.
#[derive(Debug)]
pub struct PeerCounters {
    /// `etcd_network_peer_sent_bytes_total`.
    pub sent_bytes: Counter,
    /// `etcd_network_peer_received_bytes_total`.
    pub received_bytes: Counter,
    /// `etcd_network_peer_sent_failures_total`.
    pub sent_failures: Counter,
    /// `etcd_network_peer_received_failures_total`.
    pub received_failures: Counter,
    /// `etcd_network_active_peers`: 1 while the peer is active.
    pub active: Gauge,
    /// `etcd_network_disconnected_peers_total`.
    pub disconnected: Counter,
    /// `etcd_network_peer_round_trip_time_seconds`.
    pub round_trip: Histogram<16>,
    /// The peer's wall clock minus ours at the last probe, in microseconds.
    pub clock_difference_micros: Gauge,
    /// `etcd_network_snapshot_send_*`.
    pub snapshot_send: SnapshotCounters,
    /// `etcd_network_snapshot_receive_*`.
    pub snapshot_receive: SnapshotCounters,
}

/// Snapshots in one direction.
#[derive(Debug)]
pub struct SnapshotCounters {
    /// `..._success`.
    pub success: Counter,
    /// `..._failures`.
    pub failures: Counter,
    /// `..._inflights_total`.
    pub in_flight: Gauge,
    /// `..._total_duration_seconds`, successes only.
    pub duration: Histogram<10>,
}

impl Default for PeerCounters {
    fn default() -> Self {
        Self {
            sent_bytes: Counter::default(),
            received_bytes: Counter::default(),
            sent_failures: Counter::default(),
            received_failures: Counter::default(),
            active: Gauge::default(),
            disconnected: Counter::default(),
            round_trip: Histogram::new(Duration::from_micros(100)),
            clock_difference_micros: Gauge::default(),
            snapshot_send: SnapshotCounters::default(),
            snapshot_receive: SnapshotCounters::default(),
        }
    }
}

impl Default for SnapshotCounters {
    fn default() -> Self {
        Self {
            success: Counter::default(),
            failures: Counter::default(),
            in_flight: Gauge::default(),
            duration: Histogram::new(Duration::from_millis(100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_each_duration_at_or_below_its_bounds() {
        let histogram = Histogram::<16>::new(Duration::from_micros(100));
        for micros in [50, 100, 101, 3_276_800, 9_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let reading = histogram.read();
        assert_eq!(reading.count, 5);
        assert_eq!(reading.buckets[0], (0.0001, 2));
        assert_eq!(reading.buckets[1], (0.0002, 3));
        assert_eq!(reading.buckets[15], (3.2768, 4));
        assert!((reading.sum_seconds - 12.277_051).abs() < 1e-9);
    }

    #[test]
    fn a_held_gauge_falls_back_when_released() {
        let gauge = Gauge::default();
        let hold = gauge.hold();
        assert_eq!(gauge.get(), 1);
        drop(hold);
        assert_eq!(gauge.get(), 0);
    }
}
