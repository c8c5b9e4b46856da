//! Memory that is used again: fresh pages of a large map cost about as much as its norm.

use std::{
    cell::{Cell, RefCell},
    marker::PhantomData,
    ops::{Deref, DerefMut},
    thread::LocalKey,
};

use super::{Bf16, Line};

/// A part of a vector that goes back to the pool of its thread, if one is open there.
#[derive(Debug)]
pub struct Buffer<T: Pooled> {
    values: Vec<T>,
    length: usize,
}

/// What there are pools of.
pub trait Pooled: Copy + Default + 'static {
    #[doc(hidden)]
    fn free() -> &'static LocalKey<Free<Self>>;

    /// Fresh zeros, which the system makes when they are first touched.
    #[doc(hidden)]
    fn zeros(length: usize) -> Vec<Self>;
}

type Free<T> = RefCell<Option<Vec<Vec<T>>>>;

macro_rules! pooled {
    ($($kind:ty = $zeros:expr),+) => {
        $(impl Pooled for $kind {
            fn free() -> &'static LocalKey<Free<Self>> {
                thread_local!(static FREE: Free<$kind> = const { RefCell::new(None) });
                &FREE
            }

            fn zeros(length: usize) -> Vec<Self> {
                $zeros(length)
            }
        })+
        fn set_all(open: bool) {
            $(<$kind>::free().with(|free| *free.borrow_mut() = open.then(Vec::new));)+
        }
    };
}
pooled!(f32 = |length| vec![0.0; length], Bf16 = Bf16::zeros, Line = |length| vec![Line::default(); length]);

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
        let kept = T::free().with(|free| take(free.borrow_mut().as_mut()?, length));
        Self { values: kept.unwrap_or_else(|| T::zeros(length)), length }
    }
}

/// The smallest that is large enough, unless that would waste most of it.
fn take<T>(free: &mut Vec<Vec<T>>, length: usize) -> Option<Vec<T>> {
    let fits = |values: &Vec<T>| (length..=length.saturating_mul(2)).contains(&values.len());
    let place = (0..free.len()).filter(|at| fits(&free[*at])).min_by_key(|at| free[*at].len())?;
    Some(free.swap_remove(place))
}

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        // At the end of a thread its pool may be gone before its buffers are.
        let _ = T::free().try_with(|free| {
            if let Some(free) = free.borrow_mut().as_mut() {
                free.push(values);
            }
        });
    }
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[..self.length]
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_hands_a_buffer_out_again_until_it_closes() {
        let address = |buffer: &Buffer<f32>| buffer.as_ptr();
        let pool = Pool::open();
        let first = Buffer::<f32>::new(1000);
        let place = address(&first);
        drop(first);
        assert_ne!(address(&Buffer::new(100)), place, "most of it would be wasted");
        let again = Buffer::<f32>::new(800);
        assert_eq!((address(&again), again.len()), (place, 800));
        drop(again);
        drop(Pool::open());
        assert_eq!(address(&Buffer::new(1000)), place, "the outer pool is still open");
        drop(pool);
        f32::free().with(|free| assert!(free.borrow().is_none()));
        assert!(Buffer::<f32>::new(900).iter().all(|value| *value == 0.0), "fresh memory");
    }
}
