//! One order, from its place in the line to its answer.

use std::ops::ControlFlow;

use tokio::sync::oneshot;
use tracing::Span;

use crate::error::PaintError;
use crate::model::Model;
use crate::paint::{Painted, Painting, Progress, Request};
use crate::preview::Sketch;

/// Whoever wants a request painted.
pub trait Watch: Send {
    /// The first picture begins.
    fn begins(&mut self) {}

    /// Whether the work is to stop.
    fn is_stopped(&self) -> bool {
        false
    }

    /// So far is the work.
    fn report(&mut self, at: Progress) {
        let _ = at;
    }

    /// So far is a picture.
    fn show(&mut self, model: &Model, sketch: Sketch<'_>) {
        let _ = (model, sketch);
    }
}

/// Nobody listens.
impl Watch for () {}

/// A request, and where its pictures go.
pub struct Order {
    /// What to paint.
    pub request: Request,
    /// Hears of the work.
    pub watch: Box<dyn Watch>,
    /// Gets the pictures; nothing, if the model is lost over them. When nobody waits there any more the work
    /// stops.
    pub reply: oneshot::Sender<Result<Painted, PaintError>>,
}

pub(super) struct Job {
    pub(super) painting: Painting,
    /// The part of the trace that the work belongs to.
    pub(super) span: Span,
    watch: Box<dyn Watch>,
    reply: oneshot::Sender<Result<Painted, PaintError>>,
}

impl Job {
    /// None if the request cannot be painted; whoever waits hears it.
    pub(super) fn new(model: &Model, order: Order) -> Option<Self> {
        let Order { request, watch, reply } = order;
        match Painting::new(model, request) {
            Ok(painting) => Some(Self { painting, span: Span::current(), watch, reply }),
            Err(error) => {
                // Nobody to tell: the caller has gone away.
                let _ = reply.send(Err(error));
                None
            }
        }
    }

    /// Whether there is anybody to work for; says so if not.
    pub(super) fn goes_on(&mut self) -> bool {
        if !self.watch.is_stopped() {
            return !self.reply.is_closed();
        }
        let (closed, _) = oneshot::channel();
        let reply = std::mem::replace(&mut self.reply, closed);
        let _ = reply.send(Err(self.painting.stopped().into()));
        false
    }

    /// Brings the model to what the request wants, and reads its texts.
    pub(super) fn read(&mut self, model: &mut Model) -> Result<(), PaintError> {
        model.adapt(self.painting.loras())?;
        self.painting.read(model)
    }

    /// Begins pictures, at most so many; returns how many.
    pub(super) fn begin(&mut self, most: usize) -> Result<usize, PaintError> {
        let first = !self.painting.has_begun();
        let Self { painting, watch, .. } = self;
        let new = painting.begin(most)?;
        if first && new > 0 {
            watch.begins();
            watch.report(painting.progress());
        }
        Ok(new)
    }

    /// Waits until the step of its pictures is done, tells of it, and decodes those that are done.
    pub(super) fn settle(&mut self, model: &Model) -> Result<(), PaintError> {
        let Self { painting, watch, .. } = self;
        painting.settle()?;
        painting.show(&mut |sketch| watch.show(model, sketch));
        let mut report = |at: Progress| {
            watch.report(at);
            if watch.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        painting.report(&mut report)?;
        painting.finish(model, &mut report)
    }

    /// Tells whoever waits.
    pub(super) fn end(self, result: Result<(), PaintError>) {
        let Self { painting, reply, .. } = self;
        // Nobody to tell: the caller has gone away.
        let _ = reply.send(result.map(|()| painting.into_painted()));
    }
}
