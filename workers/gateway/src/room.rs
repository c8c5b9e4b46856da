//! How much of requests this process holds: a byte counts from when it comes until nobody has it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Most bytes that are held, whatever the largest request is.
const HELD: usize = 512 << 20;

/// Bytes that are held, of all callers and of each.
pub(crate) struct Room {
    most: usize,
    /// Most of one caller.
    share: usize,
    held: Mutex<HashMap<String, usize>>,
}

/// The bytes of one request; they are free again when this is dropped.
pub(crate) struct Place {
    room: Arc<Room>,
    caller: String,
    bytes: AtomicUsize,
}

/// More bytes than there is room for.
#[derive(Debug)]
pub(crate) struct Full;

impl Room {
    /// Room for several requests of the largest size; with `keys` a caller gets half of it, so that
    /// one key leaves the others something.
    pub(crate) fn new(largest: usize, keys: bool) -> Arc<Self> {
        // A request in JSON counts three times while it is read.
        let most = HELD.max(largest.saturating_mul(6));
        let share = if keys { most / 2 } else { most };
        Arc::new(Self { most, share, held: Mutex::default() })
    }

    /// A request of which nothing has come yet.
    pub(crate) fn place(self: &Arc<Self>, caller: &str) -> Arc<Place> {
        Arc::new(Place { room: Arc::clone(self), caller: caller.to_owned(), bytes: AtomicUsize::new(0) })
    }

    fn fits(&self, held: &HashMap<String, usize>, caller: &str, bytes: usize) -> bool {
        let (all, own) = (held.values().sum::<usize>(), held.get(caller).copied().unwrap_or(0));
        all.saturating_add(bytes) <= self.most && own.saturating_add(bytes) <= self.share
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether so much more would fit now: asked before anything comes.
    pub(crate) fn fits(&self, bytes: usize) -> Result<(), Full> {
        let held = self.room.held();
        if self.room.fits(&held, &self.caller, bytes) { Ok(()) } else { Err(Full) }
    }

    /// Counts so many more bytes.
    pub(crate) fn grow(&self, bytes: usize) -> Result<(), Full> {
        let mut held = self.room.held();
        if !self.room.fits(&held, &self.caller, bytes) {
            return Err(Full);
        }
        *held.entry(self.caller.clone()).or_default() += bytes;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// The same bytes, which keep this place until the last copy of them is gone.
    pub(crate) fn keep(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Kept { bytes, _place: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.room.held();
        if let Some(own) = held.get_mut(&self.caller) {
            *own = own.saturating_sub(self.bytes.load(Ordering::Relaxed));
        }
    }
}

struct Kept {
    bytes: Bytes,
    _place: Arc<Place>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn s20_one_key_leaves_room_for_others_and_bytes_count_as_long_as_somebody_has_them() {
        let room = Room::new(64 * MIB, true);
        let (anna, slow) = (room.place("anna"), room.place("anna"));
        assert!(slow.fits(64 * MIB).is_ok() && anna.grow(200 * MIB).is_ok());
        assert!(slow.fits(64 * MIB).is_err() && slow.grow(56 * MIB).is_ok() && slow.grow(1).is_err());
        assert!(room.place("ben").fits(256 * MIB).is_ok());
        let bytes = anna.keep(Bytes::from_static(b"sound"));
        let part = bytes.slice(1..3);
        drop((anna, bytes));
        assert!(slow.grow(1).is_err());
        drop(part);
        assert!(slow.grow(200 * MIB).is_ok());
    }

    #[test]
    fn s20_a_larger_limit_makes_a_larger_room() {
        let room = Room::new(1024 * MIB, true);
        assert!(room.place("anna").grow(3 * 1024 * MIB).is_ok() && room.place("ben").fits(1024 * MIB).is_ok());
    }
}
