//! The ways in which things are broken.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::storm::{Storm, now};
use crate::steps::steps;

/// As R35 wants it.
const CUT_OFF: f64 = 60.0;
/// How long the killed leader stays away.
const LEADER_AWAY: f64 = 15.0;

pub(super) const WORKER_KILLED: &str = "worker killed (SIGKILL)";
pub(super) const QUEUE_KILLED: &str = "nats-server killed (SIGKILL)";
pub(super) const STORE_STOPPED: &str = "S3 stopped (port closed, 2-8 s)";
pub(super) const LEADER_KILLED: &str = "leader of AUDIO killed (SIGKILL, 15 s away)";
pub(super) const LEADER_CUT: &str = "leader of AUDIO cut off from both others (half-open routes, 60 s)";

impl Storm {
    pub(super) fn kill_worker(&mut self, random: &mut StdRng) {
        let seat = random.random_range(0..self.crew.workers());
        let at = now();
        let whom = self.crew.kill(&self.world.stack, seat);
        let blow = self.struck(WORKER_KILLED, Some(whom));
        self.log.blows[blow].at = at;
    }

    pub(super) fn disturb_worker(&mut self, random: &mut StdRng) {
        let (lot, seat) = (random.random_range(0..10), random.random_range(0..self.crew.workers()));
        match lot {
            0 => {
                self.struck("reconciler killed (SIGKILL)", None);
                self.crew.kill(&self.world.stack, self.crew.workers());
            }
            1..6 => {
                self.struck("worker told to leave (SIGTERM)", None);
                self.crew.ask_to_leave(&self.world.stack, seat);
            }
            _ => {
                // Longer than the lease: it wakes as one of two that believe to have the job.
                let seconds = self.ack_wait as f64 + random.random_range(1.0..4.0);
                self.struck("worker frozen past its lease (SIGSTOP)", None);
                self.crew.freeze(seat);
                self.later(seconds, |storm| storm.crew.thaw());
            }
        }
    }

    pub(super) fn kill_queue(&mut self, random: &mut StdRng) {
        let blow = self.struck(QUEUE_KILLED, None);
        self.world.stack.stop_nats();
        self.later(random.random_range(0.5..5.0), move |storm| {
            storm.world.stack.start_nats();
            storm.is_back(blow);
        });
    }

    pub(super) fn trouble_store(&mut self, random: &mut StdRng) {
        let (lot, seconds) = (random.random_range(0..6), random.random_range(2.0..8.0));
        let (seed, few) = (random.random(), random.random_range(1..=3));
        let faults = self.world.stack.objects().faults().clone();
        match lot {
            0 => {
                let blow = self.struck(STORE_STOPPED, None);
                faults.stop();
                self.later(seconds, move |storm| {
                    faults.start();
                    storm.is_back(blow);
                });
            }
            1 => {
                self.struck("S3 answers late (0.7 s each, 2-8 s)", None);
                faults.slow(Duration::from_millis(700));
                self.later(seconds, move |_| faults.slow(Duration::ZERO));
            }
            2 => {
                self.struck("S3 fails 30 % of requests (500, 503, 429; 2-8 s)", None);
                faults.fail(0.3, &[500, 503, 429], seed);
                self.later(seconds, move |_| faults.fail(0.0, &[500], seed));
            }
            3 => {
                self.struck("S3 stores, and the answer is lost (1-3 PUTs)", None);
                faults.lose_puts(few);
            }
            4 => {
                self.struck("S3 takes requests and answers none (2-8 s)", None);
                faults.stall(true);
                self.later(seconds, move |_| faults.stall(false));
            }
            _ => {
                self.struck("S3 at 50 KiB/s (2-8 s)", None);
                self.world.stack.s3_proxy().slow(Some(50 * 1024));
                self.later(seconds, |storm| storm.world.stack.s3_proxy().slow(None));
            }
        }
    }

    pub(super) fn trouble_network(&mut self, random: &mut StdRng) {
        let (lot, seconds) = (random.random_range(0..5), random.random_range(1.0..6.0));
        let stack = &self.world.stack;
        match lot {
            0 => {
                stack.nats_proxy().cut();
                self.struck("all connections to NATS reset", None);
            }
            1 => {
                stack.nats_proxy().freeze(true);
                self.struck("all connections to NATS half-open (1-6 s)", None);
                self.later(seconds, |storm| storm.world.stack.nats_proxy().freeze(false));
            }
            2 => {
                stack.nats_proxy().refuse(true);
                self.struck("connections to NATS refused (1-6 s)", None);
                self.later(seconds, |storm| storm.world.stack.nats_proxy().refuse(false));
            }
            3 => {
                stack.s3_proxy().cut();
                self.struck("all connections to S3 reset", None);
            }
            _ => {
                stack.nats_proxy().delay(Duration::from_millis(200));
                self.struck("NATS 0.2 s away each way (1-6 s)", None);
                self.later(seconds, |storm| storm.world.stack.nats_proxy().delay(Duration::ZERO));
            }
        }
    }

    pub(super) fn kill_leader(&mut self) {
        let leader = self.leader();
        let blow = self.struck(LEADER_KILLED, None);
        self.cluster().kill(leader);
        self.later(LEADER_AWAY, move |storm| {
            storm.cluster().start_node(leader);
            storm.is_back(blow);
        });
    }

    pub(super) fn cut_leader_off(&mut self) {
        let leader = self.leader();
        let blow = self.struck(LEADER_CUT, None);
        self.cluster().cut_off(leader, true);
        self.later(CUT_OFF, move |storm| {
            storm.cluster().cut_off(leader, false);
            storm.is_back(blow);
        });
    }

    fn leader(&mut self) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(self.cluster().leader(&steps()[0].stream)).expect("a stream with a leader")
    }

    fn cluster(&mut self) -> &mut super::cluster::Cluster {
        self.world.cluster.as_mut().expect("a trial of a cluster")
    }
}
