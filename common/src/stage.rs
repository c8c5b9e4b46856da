//! The only trait that a new stage implements.

use std::future::Future;

use crate::context::Context;
use crate::event::Event;
use crate::failure::Failure;
use crate::message::Message;

/// One step of the pipeline: takes a job, gives the next job or ends it.
pub trait Stage: Send + Sync + 'static {
    /// Names the durable consumer, the span and the metrics label.
    const NAME: &'static str;
    /// What it takes from its queue.
    type Input: Message;
    /// What it puts on the next queue; [`crate::message::Nothing`] for the last stage.
    type Output: Message;

    /// Does the work. It must be safe to run twice with the same input, and must return
    /// [`Failure::Interrupted`] soon after `context.stop` is cancelled.
    fn run(
        &self,
        job: Self::Input,
        context: &Context,
    ) -> impl Future<Output = Result<Outcome<Self::Output>, Failure>> + Send;
}

/// How a stage ends when it does not fail.
#[derive(Debug)]
pub enum Outcome<M> {
    /// The next stage goes on.
    Next(M),
    /// The job ends here, with this final event.
    End(Event),
}
