//! The connections that are open: who has how many, and which may go where one too many comes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) all: usize,
    /// Of one address.
    pub(super) address: usize,
}

/// All connections.
pub(super) struct Links {
    limits: Limits,
    open: Mutex<Open>,
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
    /// When it came, or when its last answer was over.
    since: Instant,
    close: CancellationToken,
}

/// One connection; it is forgotten when this is dropped.
pub(super) struct Link {
    links: Arc<Links>,
    number: u64,
    close: CancellationToken,
}

/// A request in work, until its answer is over.
pub(super) struct Busy {
    links: Arc<Links>,
    number: u64,
}

impl Links {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// Takes one more connection in. Where there are too many, the one goes that has been idle for
    /// longest; none comes in where all are busy.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Link> {
        let address = network(address);
        let mut open = self.open();
        let own = open.work(|entry| entry.address == address);
        if own >= self.limits.address {
            open.close_idle(|entry| entry.address == address)?;
        } else if open.all.len() >= self.limits.all {
            open.close_idle(|_| true)?;
        }
        let (number, close) = (open.next, CancellationToken::new());
        open.next += 1;
        open.all.insert(number, Entry { address, busy: 0, since: Instant::now(), close: close.clone() });
        Some(Link { links: Arc::clone(self), number, close })
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

    fn close_idle(&mut self, may_go: impl Fn(&Entry) -> bool) -> Option<()> {
        let idle = self.all.iter().filter(|(_, entry)| entry.busy == 0 && may_go(entry));
        let oldest = idle.min_by_key(|(number, entry)| (entry.since, **number)).map(|(number, _)| *number)?;
        self.all.remove(&oldest)?.close.cancel();
        Some(())
    }
}

impl Link {
    /// Ends when the connection has to go.
    pub(super) async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// A request begins. Beside others of its connection it counts as one more connection of its address.
    pub(super) fn begin(&self) -> Option<Busy> {
        let (mut open, limits) = (self.links.open(), self.links.limits);
        let (address, beside) = open.all.get(&self.number).map(|entry| (entry.address, entry.busy > 0))?;
        if beside
            && (open.work(|entry| entry.address == address) >= limits.address || open.work(|_| true) >= limits.all)
        {
            return None;
        }
        open.all.get_mut(&self.number)?.busy += 1;
        Some(Busy { links: Arc::clone(&self.links), number: self.number })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.links.open().all.remove(&self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(entry) = self.links.open().all.get_mut(&self.number) {
            entry.busy = entry.busy.saturating_sub(1);
            entry.since = Instant::now();
        }
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

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn s20_the_connection_that_was_idle_for_longest_goes_and_one_address_takes_no_others_place() {
        let links = Links::new(Limits { all: 3, address: 2 });
        let many: Vec<_> = (0..2).map(|_| links.admit(address("10.0.0.1")).unwrap()).collect();
        let work = many[0].begin();
        assert!(work.is_some() && many[0].begin().is_none());
        let third = links.admit(address("10.0.0.1")).unwrap();
        assert_eq!([&many[0], &many[1], &third].map(|link| link.close.is_cancelled()), [false, true, false]);
        let other = links.admit(address("10.0.0.2")).unwrap();
        let late = links.admit(address("10.0.0.3")).unwrap();
        assert_eq!([&third, &other, &late].map(|link| link.close.is_cancelled()), [true, false, false]);
        let busy = (other.begin(), late.begin());
        assert!(links.admit(address("10.0.0.4")).is_none());
        drop(work);
        assert!(links.admit(address("10.0.0.4")).is_some() && many[0].close.is_cancelled());
        drop(busy);
    }

    #[test]
    fn one_host_has_many_addresses_of_ipv6() {
        assert_eq!(network(address("2001:db8::1:2:3:4")), network(address("2001:db8::9")));
        assert_ne!(network(address("2001:db8:0:1::1")), network(address("2001:db8::1")));
        assert_eq!(network(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }
}
