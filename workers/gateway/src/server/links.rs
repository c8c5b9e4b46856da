//! The connections that are open: who has how many, and which may go where one too many comes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::seats::{Seat, Seats};

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) all: usize,
    /// Of one address.
    pub(crate) address: usize,
    /// Work of strangers that has gone on for less than this stays.
    pub(crate) patience: Duration,
}

/// All connections.
pub(crate) struct Links {
    limits: Limits,
    open: Mutex<Open>,
    /// Requests of each caller.
    callers: Seats,
}

#[derive(Default)]
struct Open {
    next: u64,
    all: HashMap<u64, Entry>,
}

struct Entry {
    address: IpAddr,
    /// Requests in work, answers under way among them.
    busy: usize,
    /// Those of them whose caller is known.
    known: usize,
    /// When it came, or when it last had work of a known caller.
    since: Instant,
    /// It has had such work.
    trusted: bool,
    close: CancellationToken,
}

/// One connection; it is forgotten when this is dropped.
pub(crate) struct Link {
    links: Arc<Links>,
    number: u64,
    close: CancellationToken,
}

/// A request in work, until its answer is over.
pub(crate) struct Busy {
    links: Arc<Links>,
    number: u64,
    known: AtomicBool,
    seat: OnceLock<Seat>,
}

impl Links {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        // Behind a proxy all have one address: one caller leaves the others a quarter of it.
        let callers = Seats::new(limits.address - limits.address / 4);
        Arc::new(Self { limits, open: Mutex::default(), callers })
    }

    /// Takes one more connection in. Where there are too many, another one goes: one that is idle, or one that
    /// works for strangers alone. None comes in where all others have callers.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Link> {
        let address = network(address);
        let mut open = self.open();
        open.make_room(&self.limits, address, None)?;
        let (number, close) = (open.next, CancellationToken::new());
        open.next += 1;
        let entry = Entry { address, busy: 0, known: 0, since: Instant::now(), trusted: false, close: close.clone() };
        open.all.insert(number, entry);
        Some(Link { links: Arc::clone(self), number, close })
    }

    /// Closes the connection that can be done without best; none if all have callers.
    pub(crate) fn close_one(&self) -> Option<()> {
        self.open().close_weakest(self.limits.patience, |_, _| true)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// How many connections those are; one with several requests in work counts as so many.
    fn work(&self, counts: impl Fn(&Entry) -> bool) -> usize {
        self.all.values().filter(|entry| counts(entry)).map(|entry| entry.busy.max(1)).sum()
    }

    /// Room for one more of this address. The connection `own` stays.
    fn make_room(&mut self, limits: &Limits, address: IpAddr, own: Option<u64>) -> Option<()> {
        let others = |number: u64| Some(number) != own;
        if self.work(|entry| entry.address == address) >= limits.address {
            self.close_weakest(limits.patience, |number, entry| others(number) && entry.address == address)?;
        }
        if self.work(|_| true) >= limits.all {
            self.close_weakest(limits.patience, |number, _| others(number))?;
        }
        Some(())
    }

    /// Whoever has a caller stays. Of the others first go those that wait for nothing, then those that have
    /// most in work: a stranger's request is short, and there are few of it. Those that had callers go last.
    fn close_weakest(&mut self, patience: Duration, may_go: impl Fn(u64, &Entry) -> bool) -> Option<()> {
        let now = Instant::now();
        let goes = |entry: &Entry| {
            let begun = now.saturating_duration_since(entry.since);
            entry.busy == 0 || entry.known == 0 && begun >= patience
        };
        let weak = self.all.iter().filter(|(number, entry)| goes(entry) && may_go(**number, entry));
        let order = |entry: &Entry, number: u64| (entry.rank(), usize::MAX - entry.busy, entry.since, number);
        let weakest = weak.min_by_key(|(number, entry)| order(entry, **number)).map(|(number, _)| *number)?;
        self.all.remove(&weakest)?.close.cancel();
        Some(())
    }
}

impl Entry {
    fn rank(&self) -> u8 {
        match (self.busy, self.trusted) {
            (0, false) => 0,
            (1.., _) => 1,
            (0, true) => 2,
        }
    }
}

impl Link {
    /// Ends when the connection has to go.
    pub(crate) async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// A request of somebody begins. Beside others of its connection it counts as one more connection of
    /// its address.
    pub(crate) fn begin(&self) -> Option<Busy> {
        let mut open = self.links.open();
        let (address, beside) = open.all.get(&self.number).map(|entry| (entry.address, entry.busy > 0))?;
        if beside {
            open.make_room(&self.links.limits, address, Some(self.number))?;
        }
        open.all.get_mut(&self.number)?.busy += 1;
        let links = Arc::clone(&self.links);
        Some(Busy { links, number: self.number, known: AtomicBool::default(), seat: OnceLock::new() })
    }
}

impl Busy {
    /// Its caller is known: no other connection takes its place.
    pub(crate) fn is_known(&self) {
        if !self.known.swap(true, Ordering::Relaxed) {
            self.change(|entry| entry.known += 1);
        }
    }

    /// The same, where there are several callers; false if this one has too many requests in work.
    pub(crate) fn is_of(&self, caller: &str) -> bool {
        let Some(seat) = self.links.callers.take(caller) else { return false };
        // A request has one caller.
        let _ = self.seat.set(seat);
        self.is_known();
        true
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.links.open().all.get_mut(&self.number) {
            change(entry);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.links.open().all.remove(&self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let known = self.known.load(Ordering::Relaxed);
        self.change(|entry| {
            entry.busy = entry.busy.saturating_sub(1);
            if known {
                (entry.known, entry.since, entry.trusted) = (entry.known.saturating_sub(1), Instant::now(), true);
            }
        });
    }
}

/// What one host has of addresses: of IPv6 the first 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn gone<const N: usize>(links: [&Link; N]) -> [bool; N] {
        links.map(|link| link.close.is_cancelled())
    }

    /// A request whose caller is known.
    fn known(link: &Link) -> Busy {
        let busy = link.begin().unwrap();
        busy.is_known();
        busy
    }

    #[test]
    fn s20_the_connection_that_was_idle_for_longest_goes_and_one_address_takes_no_others_place() {
        let links = Links::new(Limits { all: 3, address: 2, patience: AT_ONCE });
        let many: Vec<_> = (0..2).map(|_| links.admit(address("10.0.0.1")).unwrap()).collect();
        let work = known(&many[0]);
        assert!(many[0].begin().is_some() && gone([&many[0], &many[1]]) == [false, true]);
        let third = links.admit(address("10.0.0.1")).unwrap();
        let other = links.admit(address("10.0.0.2")).unwrap();
        let late = links.admit(address("10.0.0.3")).unwrap();
        assert_eq!(gone([&third, &other, &late]), [true, false, false]);
        let busy = (known(&other), known(&late));
        assert!(links.admit(address("10.0.0.4")).is_none() && links.close_one().is_none());
        drop(work);
        assert!(links.admit(address("10.0.0.4")).is_some() && many[0].close.is_cancelled());
        drop(busy);
    }

    #[test]
    fn s33_work_of_strangers_makes_room_the_largest_first_and_work_of_callers_stays() {
        let links = Links::new(Limits { all: 9, address: 8, patience: AT_ONCE });
        let here = address("10.0.0.1");
        let [anna, page, flood] = [0; 3].map(|_| links.admit(here).unwrap());
        let (_work, _page) = (known(&anna), page.begin().unwrap());
        let streams: Vec<_> = (0..6).map_while(|_| flood.begin()).collect();
        assert_eq!(streams.len(), 6);
        // Anna's second request finds no room, and gets that of the flood.
        assert!(anna.begin().is_some());
        assert_eq!(gone([&anna, &page, &flood]), [false, false, true]);
        assert!(flood.begin().is_none(), "a connection that was told to go begins nothing");
        drop(streams);
        // Nobody makes room for itself by closing itself.
        let alone = links.admit(here).unwrap();
        let streams: Vec<_> = (0..8).map_while(|_| alone.begin()).collect();
        assert_eq!((streams.len(), gone([&anna, &page, &alone])), (7, [false, true, false]));
    }

    #[test]
    fn s33_one_caller_leaves_others_something_of_the_address_of_all() {
        let links = Links::new(Limits { all: 9, address: 8, patience: AT_ONCE });
        let own: Vec<_> = (0..7).map(|_| links.admit(address("10.0.0.1")).unwrap()).collect();
        let busy: Vec<_> = own.iter().map(|link| link.begin().unwrap()).collect();
        let served: Vec<_> = busy.iter().map(|busy| busy.is_of("anna")).collect();
        assert_eq!(served, [true, true, true, true, true, true, false]);
        assert!(busy[6].is_of("ben"));
        drop(busy);
        assert!(own[0].begin().is_some_and(|busy| busy.is_of("anna")));
    }

    #[test]
    fn s33_work_of_strangers_stays_where_it_may_take_some_time() {
        let links = Links::new(Limits { all: 1, address: 1, patience: Duration::from_secs(60) });
        let first = links.admit(address("10.0.0.1")).unwrap();
        let utterance = first.begin().unwrap();
        assert!(links.admit(address("10.0.0.1")).is_none());
        drop(utterance);
        assert!(links.admit(address("10.0.0.1")).is_some());
    }

    #[test]
    fn one_host_has_many_addresses_of_ipv6() {
        assert_eq!(network(address("2001:db8::1:2:3:4")), network(address("2001:db8::9")));
        assert_ne!(network(address("2001:db8:0:1::1")), network(address("2001:db8::1")));
        assert_eq!(network(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }
}
