//! Threads that do the same kind of work: whoever comes while one computes is served together with the
//! others that came meanwhile.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Whoever was served comes again when it has chosen a token, which takes less than this. Without this pause
/// two texts would take turns for ever, and never go together.
const MOMENT: Duration = Duration::from_millis(1);

/// Work that waits, and whether somebody computes.
#[derive(Debug)]
pub(super) struct Line<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<J> {
    waiting: Vec<(u64, J)>,
    done: Vec<(u64, J)>,
    /// Work over which a thread panicked.
    lost: Vec<u64>,
    busy: bool,
    /// Those that were served and are expected again.
    between: usize,
    next: u64,
}

/// The place of one who comes again and again.
#[derive(Debug)]
pub(super) struct Seat<'a, J> {
    line: &'a Line<J>,
    between: bool,
}

impl<J> Default for Line<J> {
    fn default() -> Self {
        let (waiting, done, lost) = (Vec::new(), Vec::new(), Vec::new());
        let state = State { waiting, done, lost, busy: false, between: 0, next: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<J> Line<J> {
    pub(super) fn seat(&self) -> Seat<'_, J> {
        Seat { line: self, between: false }
    }

    /// Work while nobody else computes.
    pub(super) fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = self.changed.wait_while(self.lock(), |state| state.busy);
        free.unwrap_or_else(PoisonError::into_inner).busy = true;
        let _busy = Busy { line: self, work: Vec::new() };
        work()
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does all that waits, with the line taken.
    fn serve(&self, work: impl FnOnce(&mut [J])) {
        let answered = |state: &mut State<J>| state.between > 0;
        let waited = self.changed.wait_timeout_while(self.lock(), MOMENT, answered);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (ids, mut jobs): (Vec<u64>, Vec<J>) = std::mem::take(&mut state.waiting).into_iter().unzip();
        drop(state);
        let mut busy = Busy { line: self, work: ids };
        work(&mut jobs);
        let mut state = self.lock();
        state.between += jobs.len();
        state.done.extend(std::mem::take(&mut busy.work).into_iter().zip(jobs));
    }
}

impl<J> Seat<'_, J> {
    /// Has a piece of work done together with what waits, by this thread or another; nothing, if that panicked.
    pub(super) fn join(&mut self, job: J, work: impl Fn(&mut [J])) -> Option<J> {
        let line = self.line;
        self.rise();
        let mut state = line.lock();
        let id = state.next;
        state.next += 1;
        state.waiting.push((id, job));
        line.changed.notify_all();
        loop {
            if let Some(at) = state.done.iter().position(|(of, _)| *of == id) {
                self.between = true;
                return Some(state.done.swap_remove(at).1);
            }
            if let Some(at) = state.lost.iter().position(|of| *of == id) {
                state.lost.swap_remove(at);
                return None;
            }
            if state.busy {
                state = line.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                state.busy = true;
                drop(state);
                line.serve(&work);
                state = line.lock();
            }
        }
    }

    /// It is not expected any more.
    fn rise(&mut self) {
        if std::mem::take(&mut self.between) {
            self.line.lock().between -= 1;
            self.line.changed.notify_all();
        }
    }
}

impl<J> Drop for Seat<'_, J> {
    fn drop(&mut self) {
        self.rise();
    }
}

/// The line is taken, for work that is lost if it is not done in the end.
struct Busy<'a, J> {
    line: &'a Line<J>,
    work: Vec<u64>,
}

impl<J> Drop for Busy<'_, J> {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        state.busy = false;
        state.lost.append(&mut self.work);
        drop(state);
        self.line.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn wait_for(line: &Line<usize>, waiting: usize) {
        while line.lock().waiting.len() < waiting {
            thread::yield_now();
        }
    }

    #[test]
    fn what_comes_while_one_computes_is_done_together_and_again_after_a_moment() {
        let (line, calls, largest) = (Line::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |jobs: &mut [usize]| {
            calls.fetch_add(1, Ordering::Relaxed);
            largest.fetch_max(jobs.len(), Ordering::Relaxed);
            jobs.iter_mut().for_each(|job| *job += 100);
        };
        thread::scope(|scope| {
            line.alone(|| {
                for own in 0..3 {
                    let (line, work) = (&line, &work);
                    scope.spawn(move || assert_eq!(line.seat().join(own, work), Some(100 + own)));
                }
                wait_for(&line, 3);
            });
        });
        assert_eq!((calls.into_inner(), largest.into_inner()), (1, 3));
        let state = line.lock();
        assert!(state.between == 0 && state.done.is_empty() && !state.busy);
    }

    #[test]
    fn a_panic_is_told_to_all_whose_work_is_lost_and_the_line_goes_on() {
        let line = Line::default();
        let work = |jobs: &mut [usize]| assert!(jobs.is_empty(), "on purpose");
        let lost = AtomicUsize::new(0);
        thread::scope(|scope| {
            line.alone(|| {
                for own in 0..3 {
                    let (line, work, lost) = (&line, &work, &lost);
                    scope.spawn(move || {
                        let joined = catch_unwind(AssertUnwindSafe(|| line.seat().join(own, work)));
                        lost.fetch_add(usize::from(joined.is_ok_and(|joined| joined.is_none())), Ordering::Relaxed);
                    });
                }
                wait_for(&line, 3);
            });
        });
        assert_eq!(lost.into_inner(), 2, "the third is the one that panicked");
        assert_eq!(line.seat().join(7, |jobs| jobs[0] = 8), Some(8));
    }
}
