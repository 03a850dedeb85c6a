//! What /metrics shows, under upstream's names and types. Facts: surface G.

mod page;
mod process;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base::limits;
use parking_lot::Mutex;
use state::ApiError;

use self::page::Page;
use super::Server;
use crate::peer::metrics::{Counter, Histogram};

/// Buckets of disk latencies: 1 ms to 8.192 s.
pub type DiskHistogram = Histogram<14>;

/// Counters of the core. The disk's histograms are shared with the log and the store, which feed them.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// `etcd_disk_wal_fsync_duration_seconds`.
    pub wal_fsync: Arc<DiskHistogram>,
    /// `etcd_disk_backend_commit_duration_seconds`.
    pub backend_commit: Arc<DiskHistogram>,
    pub(super) proposals_failed: Arc<Counter>,
    pub(super) slow_read_indexes: Arc<Counter>,
    pub(super) read_indexes_failed: Arc<Counter>,
    pub(super) leader_changes: Arc<Counter>,
    pub(super) health_success: Arc<Counter>,
    pub(super) health_failures: Arc<Counter>,
    pub(super) promotions: Arc<Promotions>,
}

/// What became of learners' promotions.
#[derive(Debug, Default)]
pub(super) struct Promotions {
    succeeded: Counter,
    /// By the error's text.
    failed: Mutex<BTreeMap<String, u64>>,
}

impl Promotions {
    pub(super) fn count<T>(&self, result: &Result<T, ApiError>) {
        match result {
            Ok(_) => self.succeeded.add(1),
            Err(error) => *self.failed.lock().entry(error.to_string()).or_default() += 1,
        }
    }

    fn show(&self, page: &mut Page) {
        page.counter("etcd_server_learner_promote_successes", self.succeeded.get());
        for (reason, count) in self.failed.lock().iter() {
            let reason = [("Reason", reason.as_str())];
            page.counter_of("etcd_server_learner_promote_failures", &reason, *count);
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let disk = || Arc::new(Histogram::new(Duration::from_millis(1)));
        Self {
            wal_fsync: disk(),
            backend_commit: disk(),
            proposals_failed: Arc::default(),
            slow_read_indexes: Arc::default(),
            read_indexes_failed: Arc::default(),
            leader_changes: Arc::default(),
            health_success: Arc::default(),
            health_failures: Arc::default(),
            promotions: Arc::default(),
        }
    }
}

impl Server {
    /// The page of /metrics, in Prometheus' text format.
    pub fn metrics_text(&self) -> String {
        let mut page = Page::default();
        self.server_metrics(&mut page);
        self.store_metrics(&mut page);
        self.network_metrics(&mut page);
        process::add(&mut page);
        page.into_text()
    }

    fn server_metrics(&self, page: &mut Page) {
        let status = self.raft_status();
        let metrics = &self.metrics;
        let learner = self.membership.is_learner(self.member);
        page.gauge("etcd_server_has_leader", u64::from(status.leader.is_some()));
        page.gauge("etcd_server_is_leader", u64::from(self.is_leader()));
        page.gauge("etcd_server_is_learner", u64::from(learner));
        page.counter("etcd_server_leader_changes_seen_total", metrics.leader_changes.get());
        page.labelled_gauge("etcd_server_id", "server_id", &self.member.to_string());
        page.labelled_gauge("etcd_server_version", "server_version", crate::VERSION);
        if let Some(version) = self.membership.cluster_version() {
            let minor = version.rsplit_once('.').map_or(version.as_str(), |(minor, _)| minor);
            page.labelled_gauge("etcd_cluster_version", "cluster_version", minor);
        }
        page.gauge("etcd_server_proposals_committed_total", self.commit().get());
        page.gauge("etcd_server_proposals_applied_total", self.applied().get());
        page.gauge("etcd_server_proposals_pending", self.pending());
        page.counter("etcd_server_proposals_failed_total", metrics.proposals_failed.get());
        page.counter("etcd_server_slow_read_indexes_total", metrics.slow_read_indexes.get());
        page.counter("etcd_server_read_indexes_failed_total", metrics.read_indexes_failed.get());
        page.counter("etcd_server_health_success", metrics.health_success.get());
        page.counter("etcd_server_health_failures", metrics.health_failures.get());
        page.gauge("etcd_server_quota_backend_bytes", self.quota_bytes());
        metrics.promotions.show(page);
    }

    /// The quota in force, in bytes; 0 if it is switched off.
    fn quota_bytes(&self) -> i64 {
        match self.settings.quota_backend_bytes {
            0 => limits::QUOTA_BACKEND_BYTES_DEFAULT,
            bytes => bytes.max(0),
        }
    }

    fn store_metrics(&self, page: &mut Page) {
        let sizes = self.backend.load().sizes();
        let counts = self.kv.counts();
        page.histogram("etcd_disk_wal_fsync_duration_seconds", &self.metrics.wal_fsync.read());
        page.histogram(
            "etcd_disk_backend_commit_duration_seconds",
            &self.metrics.backend_commit.read(),
        );
        page.gauge("etcd_mvcc_db_total_size_in_bytes", sizes.total_bytes);
        page.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", sizes.in_use_bytes);
        page.counter("etcd_mvcc_put_total", counts.puts);
        page.counter("etcd_mvcc_delete_total", counts.deletes);
        page.counter("etcd_mvcc_range_total", counts.ranges);
        page.counter("etcd_mvcc_txn_total", counts.txns);
        page.gauge("etcd_debugging_mvcc_keys_total", counts.keys);
        page.gauge("etcd_debugging_mvcc_current_revision", self.kv.revision());
        page.gauge("etcd_debugging_mvcc_compact_revision", self.kv.compacted());
    }

    fn network_metrics(&self, page: &mut Page) {
        let Some(transport) = self.transport.get() else { return };
        let local = self.member.to_string();
        for (id, counters) in transport.counters() {
            let id = id.to_string();
            let to = [("To", id.as_str())];
            let from = [("From", id.as_str())];
            let both = [("Local", local.as_str()), ("Remote", id.as_str())];
            page.counter_of("etcd_network_peer_sent_bytes_total", &to, counters.sent_bytes.get());
            let received = counters.received_bytes.get();
            page.counter_of("etcd_network_peer_received_bytes_total", &from, received);
            let failures = counters.sent_failures.get();
            page.counter_of("etcd_network_peer_sent_failures_total", &to, failures);
            let failures = counters.received_failures.get();
            page.counter_of("etcd_network_peer_received_failures_total", &from, failures);
            page.gauge_of("etcd_network_active_peers", &both, counters.active.get());
            let disconnected = counters.disconnected.get();
            page.counter_of("etcd_network_disconnected_peers_total", &both, disconnected);
            let round_trip = counters.round_trip.read();
            page.histogram_of("etcd_network_peer_round_trip_time_seconds", &to, &round_trip);
            let sent = &counters.snapshot_send;
            page.counter_of("etcd_network_snapshot_send_success", &to, sent.success.get());
            page.counter_of("etcd_network_snapshot_send_failures", &to, sent.failures.get());
            let in_flight = sent.in_flight.get();
            page.gauge_of("etcd_network_snapshot_send_inflights_total", &to, in_flight);
            let received = &counters.snapshot_receive;
            page.counter_of("etcd_network_snapshot_receive_success", &from, received.success.get());
            let failures = received.failures.get();
            page.counter_of("etcd_network_snapshot_receive_failures", &from, failures);
            let in_flight = received.in_flight.get();
            page.gauge_of("etcd_network_snapshot_receive_inflights_total", &from, in_flight);
        }
    }
}
