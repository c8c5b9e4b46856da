//! A sender of jobs that is not ours: raw JSON, message ids of its own, and no rest until PubAck.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, HeaderMap};
use bytes::Bytes;

use super::Board;
use super::order::{Order, Then};
use super::plan::Pace;

/// Pause before a publication is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// Shortest time from one job to the next.
const LEAST: Duration = Duration::from_millis(400);

/// How publishing went.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// Jobs whose publication was acknowledged.
    pub(super) accepted: usize,
    /// Publications that had no acknowledgement and were sent again.
    pub(super) retries: usize,
    /// Publications that the server knew already.
    pub(super) duplicates: usize,
    /// Longest time between two acknowledgements.
    pub(super) gap: Duration,
}

struct Sender<'a> {
    queue: Context,
    board: &'a Board,
    told: Published,
    last: Instant,
    later: Vec<(Instant, &'a Order, Then)>,
}

/// Publishes every order and does what its sender does later.
pub(super) async fn publish(url: &str, orders: &[Order], pace: Pace, board: &Board) -> Published {
    let servers: Vec<&str> = url.split(',').collect();
    let options = ConnectOptions::new().retry_on_initial_connect().ping_interval(Duration::from_secs(5));
    let nats = options.connect(servers).await.expect("addresses");
    let (queue, last) = (jetstream::new(nats), Instant::now());
    let mut sender = Sender { queue, board, told: Published::default(), last, later: Vec::new() };
    for order in orders {
        sender.wait(pace).await;
        sender.send(order.subject, order.headers.clone(), order.payload.clone()).await;
        sender.told.accepted += 1;
        board.accepted.store(sender.told.accepted, Ordering::Relaxed);
        sender.later.extend(order.then.map(|(then, after)| (Instant::now() + after, order, then)));
    }
    while !sender.later.is_empty() && !sender.is_over() {
        sender.do_later().await;
        tokio::time::sleep(AGAIN).await;
    }
    board.sent.store(true, Ordering::Relaxed);
    sender.told
}

impl Sender<'_> {
    async fn wait(&mut self, pace: Pace) {
        self.do_later().await;
        match pace {
            Pace::Every(pause) => tokio::time::sleep_until((self.last + pause).into()).await,
            Pace::Backlog(most) => {
                // On a fast machine, too, jobs must meet many faults.
                tokio::time::sleep_until((self.last + LEAST).into()).await;
                while !self.is_over() && self.told.accepted >= self.board.ended.load(Ordering::Relaxed) + most {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    self.do_later().await;
                }
            }
        }
    }

    async fn do_later(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.later.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, order, then) in due {
            match then {
                Then::Cancel => {
                    let mut headers = HeaderMap::new();
                    headers.insert("Nats-Msg-Id", format!("{}/cancel", order.id));
                    self.send(&format!("shanshui.cancel.{}", order.id), headers, Bytes::new()).await;
                }
                Then::SameMessage => self.send(order.subject, order.headers.clone(), order.payload.clone()).await,
                Then::OtherMessage => {
                    let mut headers = order.headers.clone();
                    headers.insert("Nats-Msg-Id", format!("{}/submitted-again", order.id));
                    self.send(order.subject, headers, order.payload.clone()).await;
                }
            }
        }
    }

    /// Until it is acknowledged, however long that takes.
    async fn send(&mut self, subject: &str, headers: HeaderMap, payload: Bytes) {
        loop {
            let sent = self.queue.publish_with_headers(subject.to_owned(), headers.clone(), payload.clone()).await;
            let acknowledged = match sent {
                Ok(acknowledged) => acknowledged.await.ok(),
                Err(_) => None,
            };
            if let Some(acknowledged) = acknowledged {
                self.told.duplicates += usize::from(acknowledged.duplicate);
                self.told.gap = self.told.gap.max(self.last.elapsed());
                self.last = Instant::now();
                return;
            }
            assert!(!self.is_over(), "no acknowledgement on {subject} although nothing is broken any more");
            self.told.retries += 1;
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn is_over(&self) -> bool {
        self.board.over.load(Ordering::Relaxed)
    }
}
