//! What a trial is to be.

use std::path::PathBuf;
use std::time::Duration;

/// Jobs that wait or are in work at a time, as far as the publisher sees: enough that workers never
/// starve, few enough that publishing goes on through all faults.
const BACKLOG: usize = 16;
/// In a cluster, where the longest gap between two acknowledgements is measured.
const EVERY: Duration = Duration::from_millis(1500);

/// One trial.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Every choice comes from it.
    pub seed: u64,
    /// Jobs to be published.
    pub jobs: usize,
    /// Workers of each stage.
    pub workers: usize,
    /// Seconds after which an unacknowledged delivery goes to another worker.
    pub ack_wait: u64,
    /// Deliveries of one message; then the reconciler queues it again.
    pub max_deliver: u64,
    /// What is broken.
    pub trial: Trial,
    /// A folder for what the workers and the events said.
    pub keep: PathBuf,
}

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Everything, again and again, with one nats-server.
    Storm,
    /// R34: the leader of the AUDIO stream is killed, with three nats-servers.
    LeaderKilled,
    /// R35: that leader is cut off from the two others for a minute.
    ReplicaCutOff,
}

/// When the publisher publishes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// As soon as fewer jobs than this are on their way.
    Backlog(usize),
    /// One after this time.
    Every(Duration),
}

impl Plan {
    pub(super) fn pace(&self) -> Pace {
        if self.trial == Trial::Storm { Pace::Backlog(BACKLOG) } else { Pace::Every(EVERY) }
    }
}

impl Trial {
    /// For headings.
    pub fn title(self) -> &'static str {
        match self {
            Self::Storm => "everything is broken, one nats-server",
            Self::LeaderKilled => "R34: three nats-servers, the leader of AUDIO is killed",
            Self::ReplicaCutOff => "R35: three nats-servers, the leader of AUDIO is cut off for 60 s",
        }
    }
}
