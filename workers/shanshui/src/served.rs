//! A stage as an entry in a program's list. Its type is forgotten here, so that whatever goes over
//! the list needs no type of its own for it.

use std::pin::Pin;

use clap::builder::Resettable;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use shanshui_pipeline::{Layout, Serve, Step};

use crate::commands::up::Seat;
use crate::commands::work::{self, WorkArgs};
use crate::data::DataDir;
use crate::exit::{self, Exit, OrExit, Refusal};

type Working = Pin<Box<dyn Future<Output = Result<Exit, Refusal>>>>;

/// A stage that a program serves.
#[derive(Clone, Copy)]
pub struct Served {
    step: Step,
    about: &'static str,
    layout: Option<Layout>,
    flags: fn(Command) -> Command,
    worker_flags: fn(Command) -> Command,
    work: fn(&ArgMatches, &'static [Step], DataDir) -> Result<Working, Refusal>,
    seat: fn(&ArgMatches) -> Result<Seat, Refusal>,
}

impl Served {
    /// The entry of a stage.
    pub fn of<S: Serve>() -> Self {
        Self {
            step: S::STEP,
            about: S::ABOUT,
            layout: S::LAYOUT,
            flags: S::Options::augment_args,
            worker_flags: WorkArgs::<S>::augment_args,
            work: |matches, steps, data| {
                let args = WorkArgs::<S>::from_arg_matches(matches).or_exit(Exit::Usage)?;
                Ok(Box::pin(work::run(args, steps, data)))
            },
            seat: |matches| S::Options::from_arg_matches(matches).map(|own| Seat::of::<S>(&own)).or_exit(Exit::Usage),
        }
    }

    pub(crate) fn step(&self) -> Step {
        self.step
    }

    /// How its model's folder is recognised.
    pub(crate) fn layout(&self) -> Option<Layout> {
        self.layout
    }

    /// The command of one worker.
    pub(crate) fn command(&self) -> Command {
        // A group of flags brings the words of its own about itself along.
        let command = (self.worker_flags)(Command::new(self.step.stage));
        command.about(self.about).long_about(None).after_long_help(exit::HELP)
    }

    /// Adds the stage's own flags to a command that takes those of all stages.
    pub(crate) fn add_flags(&self, command: Command) -> Command {
        let (about, long) = (command.get_about().cloned(), command.get_long_about().cloned());
        let command = (self.flags)(command.next_help_heading(self.step.stage));
        command.about(Resettable::from(about)).long_about(Resettable::from(long))
    }

    /// Long names of its own flags.
    pub(crate) fn flags(&self) -> Vec<String> {
        let command = self.add_flags(Command::new("flags"));
        command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
    }

    /// Works until SIGTERM or Ctrl-C.
    pub(crate) async fn work(
        &self,
        matches: &ArgMatches,
        steps: &'static [Step],
        data: DataDir,
    ) -> Result<Exit, Refusal> {
        (self.work)(matches, steps, data)?.await
    }

    /// A place for a worker in `up`.
    pub(crate) fn seat(&self, matches: &ArgMatches) -> Result<Seat, Refusal> {
        (self.seat)(matches)
    }
}
