//! Memory of weights, in large pages.
//!
//! A word passes all weights of a decoder, and they are on more small pages than a CPU keeps in mind.

use std::{
    alloc::{Layout, handle_alloc_error},
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use memmap2::{MmapMut, MmapRaw};

use crate::packed::Group;

/// Groups of weights that lie beside those of other matrices: most matrices are smaller than a large page.
pub(crate) struct Groups {
    start: NonNull<Group>,
    count: usize,
    /// Goes back to the system with the last matrix in it.
    _chunk: Arc<MmapRaw>,
}

/// Groups of a chunk: 16 MB, of which only what is written to takes memory.
const CHUNK: usize = (16 << 20) / size_of::<Group>();

/// The chunk that the next matrix goes to, and how many of its groups have gone.
static OPEN: Mutex<(Weak<MmapRaw>, usize)> = Mutex::new((Weak::new(), 0));

impl Groups {
    /// So many zeros.
    #[expect(unsafe_code, reason = "several matrices share a chunk, and each writes to its own part")]
    pub(crate) fn zeros(count: usize) -> Self {
        let (chunk, first) = part(count);
        // SAFETY: the chunk is as long as that, begins with a page, and nobody else is given this part of it. Its
        // bytes are zero, as the system hands them out.
        let start = unsafe { NonNull::new_unchecked(chunk.as_mut_ptr().cast::<Group>().add(first)) };
        Self { start, count, _chunk: chunk }
    }
}

/// A chunk, and the first of so many groups in it that nobody else gets.
fn part(count: usize) -> (Arc<MmapRaw>, usize) {
    if count > CHUNK {
        return (chunk(count), 0);
    }
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = open.0.upgrade().filter(|_| open.1 + count <= CHUNK);
    let chunk = kept.unwrap_or_else(|| {
        let fresh = chunk(CHUNK);
        *open = (Arc::downgrade(&fresh), 0);
        fresh
    });
    let first = open.1;
    open.1 += count;
    (chunk, first)
}

fn chunk(count: usize) -> Arc<MmapRaw> {
    let size = count * size_of::<Group>();
    let map = MmapMut::map_anon(size).unwrap_or_else(|_| {
        handle_alloc_error(Layout::from_size_align(size, align_of::<Group>()).unwrap_or(Layout::new::<Group>()))
    });
    // Where the system has no large pages, small ones do.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    Arc::new(map.into())
}

#[expect(unsafe_code, reason = "a part of a chunk belongs to one matrix, as a vector would")]
// SAFETY: nobody else reads or writes the part, and the chunk may be unmapped by any thread.
unsafe impl Send for Groups {}

#[expect(unsafe_code, reason = "as above")]
// SAFETY: as above; shared, they are only read.
unsafe impl Sync for Groups {}

impl Deref for Groups {
    type Target = [Group];

    #[expect(unsafe_code, reason = "as above")]
    fn deref(&self) -> &[Group] {
        // SAFETY: the chunk lives as long as this, and has these groups, of which every byte may be anything.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl DerefMut for Groups {
    #[expect(unsafe_code, reason = "as above")]
    fn deref_mut(&mut self) -> &mut [Group] {
        // SAFETY: as above, and nobody else has them.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.count) }
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} groups", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_matrix_has_memory_of_its_own_that_outlives_the_others() {
        let filled = |number: usize, count: usize| {
            let mut groups = Groups::zeros(count);
            assert!(groups.iter().all(|group| group.0 == Group::ZERO.0), "{number}: what others left");
            groups.iter_mut().for_each(|group| group.0.fill(number as i8));
            groups
        };
        let counts = [1, 1000, 0, CHUNK / 2, CHUNK / 2, 7, CHUNK + 1, CHUNK];
        let mut all: Vec<_> = counts.into_iter().enumerate().map(|(number, count)| filled(number, count)).collect();
        let unharmed = move |number: usize, groups: &Groups| {
            assert_eq!(groups.len(), counts[number]);
            assert!(groups.iter().all(|group| group.0 == [number as i8; 256]), "{number}");
        };
        all.iter().enumerate().for_each(|(number, groups)| unharmed(number, groups));
        let last = all.remove(5);
        drop(all);
        unharmed(5, &last);
        std::thread::spawn(move || unharmed(5, &last)).join().unwrap();
    }
}
