//! What is broken: queue, store, and the way there.

use super::cluster::Cluster;
use super::plan::{Plan, Trial};
use crate::stack::Stack;

/// Servers without workers.
pub(super) struct World {
    pub(super) stack: Stack,
    pub(super) cluster: Option<Cluster>,
}

impl World {
    pub(super) fn start(plan: &Plan) -> Self {
        let (ack_wait, max_deliver) = (plan.ack_wait.to_string(), plan.max_deliver.to_string());
        let settings = ["--ack-wait-seconds", &ack_wait, "--max-deliver", &max_deliver];
        if plan.trial == Trial::Storm {
            return Self { stack: Stack::behind_proxies(&settings), cluster: None };
        }
        let cluster = Cluster::start();
        let stack = Stack::on_queue(&cluster.urls(), &[&settings[..], &["--replicas", "3"]].concat());
        Self { stack, cluster: Some(cluster) }
    }
}
