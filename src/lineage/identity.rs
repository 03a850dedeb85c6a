//! Who a data directory belongs to: the cluster for life, and the lineage within it.

use base::{ClusterId, Epoch};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Identity of one lineage of a cluster. Stands in the data dir of every member that a manager owns, and in the control log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The cluster, for life: the same in all its lineages.
    pub cluster: Uuid,
    /// Generation of the lineage; the first is 1. A recovery takes one that was never promised or used before.
    pub epoch: Epoch,
    /// `initial-cluster-token` of the lineage: members of two lineages cannot talk to each other (R9).
    pub token: String,
    /// etcd's cluster id, as soon as the lineage was formed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<ClusterId>,
}
