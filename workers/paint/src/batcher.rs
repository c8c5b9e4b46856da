//! Several requests on one model: at every step the pictures of all that go together are one batch.
//!
//! Requests are served in the order in which they came. One that comes joins at the next step, and one that
//! ends, is stopped or fails leaves without the others noticing. None overtakes one that waits, so that a
//! request of another size gets its turn however many of the usual size come.

mod job;

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use shanshui_kernels::floats::Pool;
use shanshui_pipeline::telemetry::Histogram;

use crate::error::PaintError;
use crate::model::Model;
use crate::paint::Asker;
use job::Job;
pub use job::{Order, Watch};

/// How requests are put together.
#[derive(Clone, Copy, Debug)]
pub struct Sharing {
    /// Pictures in one batch, at most.
    pub pictures: usize,
    /// Whether a batch may hold pictures of several requests; else one request is finished before the next
    /// begins.
    pub requests: bool,
}

/// A model, and what is painted with it.
pub struct Batcher {
    // Dropped first: whoever waits hears of it before the model's own drop can fail.
    jobs: VecDeque<Job>,
    /// Requests, from the front, whose pictures go together.
    together: usize,
    asker: Asker,
    model: Model,
    sharing: Sharing,
    /// Every step needs the same memory.
    pool: Option<Pool>,
}

impl Batcher {
    /// Nothing to paint yet.
    #[must_use]
    pub fn new(model: Model, sharing: Sharing) -> Self {
        let (jobs, asker) = (VecDeque::new(), Asker::default());
        Self { jobs, together: 0, asker, model, sharing, pool: None }
    }

    /// Records how many pictures each call of the model is for.
    #[must_use]
    pub fn measured_by(self, sizes: Histogram) -> Self {
        Self { asker: self.asker.measured_by(sizes), ..self }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How requests are put together.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Takes an order, to be worked on in [`Batcher::turn`]s, in the span of the caller.
    pub fn add(&mut self, order: Order) {
        if let Some(job) = Job::new(&self.model, order) {
            self.jobs.push_back(job);
        }
    }

    /// One step of all pictures that go together; whether there is more to do.
    ///
    /// # Panics
    /// As the model does. What cannot have been the reason is given back as stopped; the others hear nothing.
    pub fn turn(&mut self) -> bool {
        self.jobs.retain_mut(Job::goes_on);
        if self.jobs.iter().all(|job| job.painting.at_work() == 0) {
            // What comes may be of another size, and find other memory.
            self.asker.rest();
            self.pool = None;
        }
        if self.jobs.is_empty() {
            return false;
        }
        self.pool.get_or_insert_with(Pool::open);
        self.gather();
        self.step();
        !self.jobs.is_empty()
    }

    /// Begins pictures until the batch is full or the next request does not go with the first.
    fn gather(&mut self) {
        let at_work: usize = self.jobs.iter().map(|job| job.painting.at_work()).sum();
        let mut room = self.sharing.pictures.max(1).saturating_sub(at_work);
        self.together = 0;
        while self.together < self.jobs.len() && self.goes_with_first(self.together) {
            let at = self.together;
            if let Err(error) = self.alone(at, Job::read) {
                self.end(at, Err(error));
                continue;
            }
            if !self.jobs[at].painting.reads_like(&self.jobs[0].painting) {
                return;
            }
            match self.alone(at, |job, _| job.begin(room)) {
                Ok(new) => (room, self.together) = (room - new, at + 1),
                Err(error) => self.end(at, Err(error)),
            }
        }
    }

    fn goes_with_first(&self, at: usize) -> bool {
        at == 0 || self.sharing.requests && self.jobs[at].painting.goes_with(&self.jobs[0].painting)
    }

    fn step(&mut self) {
        let Self { jobs, asker, model, together, .. } = self;
        let places: Vec<_> = jobs.iter().take(*together).flat_map(|job| job.painting.places()).collect();
        let asked = catch_unwind(AssertUnwindSafe(|| asker.ask(model, &places)));
        let answers = match asked {
            Ok(answers) => answers,
            Err(panic) => self.give_back(panic, 0..self.together),
        };
        let at_work = |job: &Job| job.painting.at_work();
        let (jobs, mut answers) = (self.jobs.iter().take(self.together), answers.into_iter());
        let answers: Vec<Vec<_>> = jobs.map(|job| answers.by_ref().take(at_work(job)).collect()).collect();
        self.jobs.iter_mut().take(self.together).for_each(|job| job.painting.make_noise());
        // All of it is on its way to a GPU before the first waits for it.
        self.each(answers.into_iter(), |job, _, own| job.painting.step(own.into_iter()));
        self.each(std::iter::repeat_n((), self.together), |job, model, ()| job.settle(model));
    }

    /// A part of the work for each of the requests that go together, from the front, though some may end on
    /// the way.
    fn each<T>(
        &mut self,
        parts: impl Iterator<Item = T>,
        work: impl Fn(&mut Job, &Model, T) -> Result<(), PaintError>,
    ) {
        let mut at = 0;
        for part in parts {
            match self.alone(at, |job, model| work(job, model, part)) {
                Ok(()) if self.jobs[at].painting.is_done() => self.end(at, Ok(())),
                Ok(()) => at += 1,
                Err(error) => self.end(at, Err(error)),
            }
        }
        self.together = at;
    }

    /// Work on one request. If it panics the others are given back.
    fn alone<T>(&mut self, at: usize, work: impl FnOnce(&mut Job, &mut Model) -> T) -> T {
        let (job, model) = (&mut self.jobs[at], &mut self.model);
        let span = job.span.clone();
        match catch_unwind(AssertUnwindSafe(|| span.in_scope(|| work(job, model)))) {
            Ok(result) => result,
            Err(panic) => self.give_back(panic, at..at + 1),
        }
    }

    /// A panic goes on once those who cannot be its reason know that their work is to be done elsewhere.
    fn give_back(&mut self, panic: Box<dyn Any + Send>, suspects: std::ops::Range<usize>) -> ! {
        for (at, job) in std::mem::take(&mut self.jobs).into_iter().enumerate() {
            if !suspects.contains(&at) {
                let stopped = job.painting.stopped();
                job.end(Err(stopped.into()));
            }
        }
        resume_unwind(panic)
    }

    fn end(&mut self, at: usize, result: Result<(), PaintError>) {
        if let Some(job) = self.jobs.remove(at) {
            job.end(result);
        }
    }
}
