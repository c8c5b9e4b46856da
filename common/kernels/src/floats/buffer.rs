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
}

fn set_all(open: bool) {
    NUMBERS.with(|free| *free.borrow_mut() = open.then(Vec::new));
    LINES.with(|free| *free.borrow_mut() = open.then(Vec::new));
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
        Self { units: kept.unwrap_or_else(|| vec![T::Unit::default(); units]), length }
    }
}

/// The smallest that is large enough, unless it is far too large.
fn take<T>(free: &mut Vec<Vec<T>>, length: usize) -> Option<Vec<T>> {
    let fits = |units: &Vec<T>| (length..=length.saturating_mul(WASTE)).contains(&units.len());
    let place = (0..free.len()).filter(|at| fits(&free[*at])).min_by_key(|at| free[*at].len())?;
    Some(free.swap_remove(place))
}

/// A large map's memory is better used for a small one than kept beside it, but not for a handful.
const WASTE: usize = 8;

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        let units = std::mem::take(&mut self.units);
        // At the end of a thread its pool may be gone before its buffers are.
        let _ = T::free().try_with(|free| {
            if let Some(free) = free.borrow_mut().as_mut() {
                free.push(units);
            }
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
