//! The only trait that a new stage implements.

use std::future::Future;

use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;
use crate::job::Job;
use crate::made::Made;
use crate::step::Step;

/// One step of the pipeline: takes a job and makes something of it.
pub trait Stage: Send + Sync + 'static {
    /// Names the step, the durable consumer, the span and the metrics label.
    const NAME: &'static str;
    /// What it makes, in one word, as `picture`: a job's `until` may say that instead of the stage.
    const MAKES: &'static str = Self::NAME;
    /// The stage as a step of a pipeline.
    const STEP: Step = Step { stage: Self::NAME, queue: <Self::Input as Job>::QUEUE, makes: Self::MAKES };
    /// What it takes from its queue.
    type Input: Job;
    /// What it passes on; [`std::convert::Infallible`] for a stage that only makes objects.
    type Output: Job;

    /// Does the work. It must be safe to run twice with the same input, and must return
    /// [`Failure::Interrupted`] soon after `context.stop` is cancelled.
    fn run(
        &self,
        job: Self::Input,
        context: &Context,
    ) -> impl Future<Output = Result<Outcome<Self::Output>, Failure>> + Send;

    /// What it says of itself to whoever asks what runs: its model, its limits. An object.
    fn about(&self) -> Value {
        Value::Null
    }

    /// Jobs that it works on at a time, where the operator does not say: more than one only if they cost
    /// less together.
    fn together(&self) -> u16 {
        1
    }

    /// Whether a further job could begin at once, beside those that it works on. A worker whose stage has no
    /// room leaves jobs to others.
    fn has_room(&self) -> bool {
        true
    }

    /// Name of the model that is loaded here. A job that names another one goes to that pool.
    fn model(&self) -> &str {
        crate::names::DEFAULT_POOL
    }
}

/// How a stage ends when it does not fail. An illegal end cannot be expressed.
#[derive(Debug)]
pub enum Outcome<J> {
    /// The stage has done its part, and this is the job of the next one.
    Next(J, Made),
    /// The stage has done its part. If another stage follows, it gets the same job with what was
    /// made so far.
    Done(Made),
    /// Nobody speaks in the recording, for this reason: the job ends here.
    NoSpeech(String),
}
