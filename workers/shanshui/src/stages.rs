//! The stages that this program serves, declared once: a command, settings and a worker of each.

use clap::{Args, Subcommand};
use shanshui_paint::stage::Paint;
use shanshui_pipeline::Serve;
use shanshui_transcribe::stage::Transcribe;

use crate::commands::up::Seat;
use crate::commands::work::{self, WorkArgs};
use crate::data::DataDir;
use crate::exit::{Exit, Refusal};

macro_rules! stages {
    ($($field:ident: $stage:ident),* $(,)?) => {
        /// A worker of one stage.
        #[derive(Debug, Subcommand)]
        pub(crate) enum StageCommand {
            $(#[doc = "Run one worker of this stage."]
            #[command(about = <$stage as Serve>::ABOUT, after_long_help = crate::exit::HELP)]
            $stage(Box<WorkArgs<$stage>>),)*
        }

        /// The settings of all stages, for `up`.
        #[derive(Debug, Clone, Args)]
        pub(crate) struct StageOptions {
            $(#[command(flatten)]
            $field: <$stage as Serve>::Options,)*
        }

        impl StageCommand {
            /// Works until SIGTERM or Ctrl-C.
            pub(crate) async fn run(self, data: DataDir) -> Result<Exit, Refusal> {
                match self {
                    $(Self::$stage(args) => work::run(*args, data).await,)*
                }
            }
        }

        impl StageOptions {
            /// A place for a worker of each stage, in the order in which a job takes them.
            pub(crate) fn seats(&self) -> Vec<Seat> {
                vec![$(Seat::of::<$stage>(&self.$field)),*]
            }
        }
    };
}

stages! {
    transcribe: Transcribe,
    paint: Paint,
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use shanshui_pipeline::STEPS;

    use super::StageOptions;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        stages: StageOptions,
    }

    #[test]
    fn every_step_of_the_pipeline_is_served_and_no_other() {
        let seats = Line::parse_from(["test"]).stages.seats();
        let served: Vec<_> = seats.iter().map(|seat| seat.stage()).collect();
        assert_eq!(served, STEPS.iter().map(|step| step.stage).collect::<Vec<_>>());
    }
}
