//! Memory that is used again: fresh pages of a large map cost about as much as its norm.

use std::{
    cell::{Cell, RefCell},
    marker::PhantomData,
    ops::{Deref, DerefMut},
    thread::LocalKey,
};

use super::{Bf16, Line};

/// A part of some memory that goes back to the pool of its thread, if one is open there.
#[derive(Debug)]
pub struct Buffer<T: Pooled> {
    units: Vec<T::Unit>,
    length: usize,
}

/// What buffers are made of.
pub trait Pooled: Copy + 'static {
    /// What its memory consists of: numbers of all kinds share theirs.
    #[doc(hidden)]
    type Unit: Copy + Default + std::fmt::Debug + 'static;

    #[doc(hidden)]
    fn free() -> &'static LocalKey<Free<Self::Unit>>;

    #[doc(hidden)]
    fn view(units: &[Self::Unit]) -> &[Self];

    #[doc(hidden)]
    fn view_mut(units: &mut [Self::Unit]) -> &mut [Self];
}

type Free<T> = RefCell<Option<Vec<Vec<T>>>>;

thread_local! {
    static NUMBERS: Free<u32> = const { RefCell::new(None) };
    static LINES: Free<Line> = const { RefCell::new(None) };
    static BYTES: Cell<Bytes> = const { Cell::new(Bytes { used: 0, kept: 0, most: 0 }) };
}

/// Memory of a thread's buffers.
#[derive(Debug, Clone, Copy)]
struct Bytes {
    used: usize,
    /// For buffers to come.
    kept: usize,
    /// The most that was in use.
    most: usize,
}

fn set_all(open: bool) {
    NUMBERS.with(|free| *free.borrow_mut() = open.then(Vec::new));
    LINES.with(|free| *free.borrow_mut() = open.then(Vec::new));
    count(|bytes| (bytes.kept, bytes.most) = (0, bytes.used));
}

macro_rules! pooled {
    ($($kind:ty: $unit:ty, $free:ident),+) => {$(
        #[expect(unsafe_code, reason = "numbers of several kinds share their memory")]
        impl Pooled for $kind {
            type Unit = $unit;

            fn free() -> &'static LocalKey<Free<$unit>> {
                &$free
            }

            fn view(units: &[$unit]) -> &[Self] {
                let length = size_of_val(units) / size_of::<Self>();
                // SAFETY: the same bytes. All that the unit can be the kind can be, and it is aligned no more.
                unsafe { std::slice::from_raw_parts(units.as_ptr().cast(), length) }
            }

            fn view_mut(units: &mut [$unit]) -> &mut [Self] {
                let length = size_of_val(units) / size_of::<Self>();
                // SAFETY: as above, and the other way round.
                unsafe { std::slice::from_raw_parts_mut(units.as_mut_ptr().cast(), length) }
            }
        }
        const _: () = assert!(align_of::<$kind>() <= align_of::<$unit>());
    )+};
}
pooled!(f32: u32, NUMBERS, Bf16: u32, NUMBERS, Line: Line, LINES);

thread_local!(static DEPTH: Cell<usize> = const { Cell::new(0) });

/// As long as it lives, buffers of its thread are kept for those that follow. When the last pool of a
/// thread closes, all memory goes back.
///
/// Large pages would be quicker still, but where memory is in pieces the system first takes seconds to
/// make them.
#[derive(Debug)]
pub struct Pool(PhantomData<*const ()>);

impl Pool {
    /// Opens a pool for this thread, or joins the one that is open.
    #[must_use]
    pub fn open() -> Self {
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            set_all(true);
        }
        Self(PhantomData)
    }

    /// The most bytes that buffers of this thread have used since its pool was opened; it holds hardly more.
    #[must_use]
    pub fn most_bytes() -> usize {
        BYTES.get().most
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            set_all(false);
        }
    }
}

impl<T: Pooled> Buffer<T> {
    /// Room for so many values, of which nothing is known.
    #[must_use]
    pub fn new(length: usize) -> Self {
        let units = (length * size_of::<T>()).div_ceil(size_of::<T::Unit>());
        let kept = T::free().with(|free| take(free.borrow_mut().as_mut()?, units));
        let found = kept.is_some();
        let room = kept.as_ref().map_or(units, Vec::len) * size_of::<T::Unit>();
        count(|bytes| {
            bytes.used += room;
            bytes.most = bytes.most.max(bytes.used);
            bytes.kept -= if found { room } else { 0 };
        });
        if !found {
            NUMBERS.with(release);
            LINES.with(release);
        }
        Self { units: kept.unwrap_or_else(|| vec![T::Unit::default(); units]), length }
    }

    /// Keeps the first values and gives the memory of the others back.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        let before = self.units.len();
        self.units.truncate((self.length * size_of::<T>()).div_ceil(size_of::<T::Unit>()));
        self.units.shrink_to_fit();
        let freed = (before - self.units.len()) * size_of::<T::Unit>();
        count(|bytes| bytes.used = bytes.used.saturating_sub(freed));
    }
}

fn count(change: impl FnOnce(&mut Bytes)) {
    let mut bytes = BYTES.get();
    change(&mut bytes);
    BYTES.set(bytes);
}

/// Gives back what was kept longest, as long as far more is held than was ever used: nothing fitted it.
fn release<T>(free: &Free<T>) {
    let mut free = free.borrow_mut();
    let Some(free) = free.as_mut() else { return };
    count(|bytes| {
        while bytes.used + bytes.kept > bytes.most + SPARE && !free.is_empty() {
            bytes.kept -= size_of_val(&free.remove(0)[..]);
        }
    });
}

/// From so many bytes on, memory is missed elsewhere, and not used for what is far smaller.
const LARGE: usize = 32 << 20;

/// So many bytes are kept that fit nothing just now: the next picture needs the same maps, and the system takes
/// its time with new memory.
const SPARE: usize = 256 << 20;

/// The smallest that is large enough, unless it is far too large.
fn take<T>(free: &mut Vec<Vec<T>>, length: usize) -> Option<Vec<T>> {
    let fits = |units: &Vec<T>| {
        // Better used for a smaller map than kept beside it, but not for a handful.
        let most = if size_of_val(&units[..]) < LARGE { length.saturating_mul(8) } else { length + length / 4 };
        (length..=most).contains(&units.len())
    };
    let place = (0..free.len()).filter(|at| fits(&free[*at])).min_by_key(|at| free[*at].len())?;
    Some(free.remove(place))
}

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        let units = std::mem::take(&mut self.units);
        let room = size_of_val(&units[..]);
        // At the end of a thread its pool may be gone before its buffers are.
        let kept = T::free().try_with(|free| free.borrow_mut().as_mut().map(|free| free.push(units)));
        count(|bytes| {
            // Another thread may have taken it.
            bytes.used = bytes.used.saturating_sub(room);
            bytes.kept += if let Ok(Some(())) = kept { room } else { 0 };
        });
    }
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &T::view(&self.units)[..self.length]
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut T::view_mut(&mut self.units)[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_fits_nothing_any_more_makes_room() {
        let _pool = Pool::open();
        let unit = LARGE / size_of::<f32>();
        for size in 1..8 {
            // Too small for the next one, and the last one is too large for the first.
            drop(Buffer::<f32>::new(2 * size * unit));
            let bytes = BYTES.get();
            assert!(bytes.used == 0 && bytes.kept <= bytes.most + SPARE, "{size}: {bytes:?}");
        }
        let mut map = Buffer::<f32>::new(unit);
        assert_eq!(BYTES.get().used, LARGE, "not one of a large map");
        map.fill(1.0);
        map.truncate(unit / 2);
        assert_eq!((BYTES.get().used, map.len()), (LARGE / 2, unit / 2));
        assert!(map.iter().all(|value| *value == 1.0));
    }

    #[test]
    fn a_pool_hands_a_buffer_out_again_until_it_closes() {
        fn address<T: Pooled>(buffer: &Buffer<T>) -> *const u8 {
            buffer.as_ptr().cast()
        }
        let pool = Pool::open();
        let first = Buffer::<f32>::new(1000);
        let place = address(&first);
        drop(first);
        assert_ne!(address(&Buffer::<f32>::new(100)), place, "nearly all of it would be wasted");
        assert_eq!(address(&Buffer::<Bf16>::new(2000)), place, "it is not for f32 alone");
        let mut again = Buffer::<f32>::new(800);
        again.fill(1.0);
        assert_eq!((address(&again), again.len()), (place, 800));
        drop(again);
        drop(Pool::open());
        assert_eq!(address(&Buffer::<f32>::new(1000)), place, "the outer pool is still open");
        drop(pool);
        f32::free().with(|free| assert!(free.borrow().is_none()));
        assert!(Buffer::<f32>::new(900).iter().all(|value| *value == 0.0), "fresh memory");
    }
}
