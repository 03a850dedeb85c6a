//! Carries out the committed orders for the nodes of this host, one at a time for each node, and
//! commits what came of it. An order that is void by then has no outcome; whoever leads looks again.

use std::{sync::Arc, time::Duration};

use super::cluster::Cluster;
use crate::{
    control::{entry::Entry, state::OrderRecord},
    execute,
};

/// Pause before an outcome that found no quorum is proposed again.
const PAUSE: Duration = Duration::from_millis(300);

/// Runs until the control group is gone.
pub(crate) async fn run(cluster: Arc<Cluster>) {
    let mut states = cluster.control.watch();
    let mut changes = cluster.changes.subscribe();
    loop {
        changes.borrow_and_update();
        let state = states.borrow_and_update().clone();
        let own = cluster.host().unwrap_or_default();
        for (node, order) in state.orders.iter().filter(|(_, order)| order.host == own) {
            if cluster.take_order(node, order.id) {
                tokio::spawn(carry_out(cluster.clone(), node.clone(), order.clone()));
            }
        }
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            // An order may be over, and the next one for its node may be there.
            _ = changes.changed() => {}
        }
    }
}

async fn carry_out(cluster: Arc<Cluster>, node: String, order: OrderRecord) {
    let OrderRecord { id, task, .. } = order;
    let is_open = || cluster.control.state().orders.get(&node).is_some_and(|open| open.id == id);
    // It may have become void between the look and the hand: then nothing is done.
    if is_open() {
        let result = execute::perform(&cluster, &node, &task).await;
        let (done, text) = match result {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        while is_open() {
            let entry = Entry::OrderDone { node: node.clone(), id, done, text: text.clone() };
            match cluster.control.commit(entry).await {
                Ok(_) => break,
                Err(error) if error.is_fatal() => break,
                Err(error) => {
                    tracing::warn!("order {id} for {node}: {}", base::ErrorChain(&error));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
    cluster.end_order(&node);
}
