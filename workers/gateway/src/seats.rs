//! How many of one kind of request each caller has in work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Requests in work by caller; cheap to clone.
#[derive(Clone)]
pub(crate) struct Seats {
    each: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// One of them; it is free again when this is dropped.
pub(crate) struct Seat {
    seats: Seats,
    caller: String,
}

impl Seats {
    /// So many for each caller.
    pub(crate) fn new(each: usize) -> Self {
        Self { each, taken: Arc::default() }
    }

    /// One more, if the caller may have it.
    pub(crate) fn take(&self, caller: &str) -> Option<Seat> {
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(caller.to_owned()).or_default();
        if *own >= self.each {
            return None;
        }
        *own += 1;
        Some(Seat { seats: self.clone(), caller: caller.to_owned() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is remembered for good: names of hosts are whatever callers make up.
        if all.get_mut(&self.caller).is_some_and(|own| {
            *own = own.saturating_sub(1);
            *own == 0
        }) {
            all.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Seats;

    #[test]
    fn each_caller_has_seats_of_its_own_and_gives_them_back() {
        let seats = Seats::new(2);
        let own = (seats.take("anna"), seats.take("anna"));
        assert!(own.0.is_some() && own.1.is_some() && seats.take("anna").is_none() && seats.take("ben").is_some());
        drop(own);
        assert!(seats.take("anna").is_some());
        for name in 0..100 {
            drop(seats.take(&name.to_string()));
        }
        assert!(seats.taken.lock().unwrap().is_empty());
    }
}
