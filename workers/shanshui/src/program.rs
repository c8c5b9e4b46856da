//! The stages of a program: all else asks here which there are.

use std::path::PathBuf;

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use shanshui_pipeline::{Layout, Step};

use crate::cli::Cli;
use crate::data::DataDir;
use crate::exit::{Exit, OrExit, Refusal};
use crate::served::Served;

/// A list of stages, in the order in which a job takes them.
pub(crate) struct Program {
    stages: Vec<Served>,
    steps: &'static [Step],
}

impl Program {
    /// A program of these stages.
    ///
    /// # Errors
    /// Two stages with one name, one queue or one flag.
    pub(crate) fn of(stages: impl IntoIterator<Item = Served>) -> Result<Self, Refusal> {
        let stages: Vec<Served> = stages.into_iter().collect();
        // One list for the life of the process, and everything in it lives as long.
        let steps: &'static [Step] = stages.iter().map(Served::step).collect::<Vec<_>>().leak();
        let program = Self { stages, steps };
        program.check()?;
        Ok(program)
    }

    /// The command line, with a command for each stage behind `up`.
    pub(crate) fn command(&self) -> Command {
        let stages = self.stages.iter().zip(1..);
        let commands = stages.map(|(stage, order)| stage.command().display_order(order));
        // In place: settings files take the type of a flag from the first command that has it.
        let all_flags = |command: Command| match command.get_name() {
            "up" => self.stages.iter().fold(command, |up, stage| stage.add_flags(up)),
            _ => command,
        };
        Cli::command().mut_subcommands(all_flags).subcommands(commands)
    }

    /// Does what the command line asks.
    pub(crate) async fn run(&self, matches: &ArgMatches) -> Result<Exit, Refusal> {
        let data = matches.get_one::<PathBuf>("data").map(PathBuf::as_path);
        let data = DataDir::at(data).or_exit(Exit::Usage)?;
        if let Some((name, own)) = matches.subcommand()
            && let Some(stage) = self.stages.iter().find(|stage| stage.step().stage == name)
        {
            return stage.work(own, self.steps, data).await;
        }
        let cli = Cli::from_arg_matches(matches).or_exit(Exit::Usage)?;
        cli.command.run(self, matches, data).await
    }

    /// The steps of the pipeline.
    pub(crate) fn steps(&self) -> &'static [Step] {
        self.steps
    }

    /// How the models of the stages are recognised.
    pub(crate) fn layouts(&self) -> Vec<Layout> {
        self.stages.iter().filter_map(Served::layout).collect()
    }

    pub(crate) fn stages(&self) -> &[Served] {
        &self.stages
    }

    fn check(&self) -> Result<(), Refusal> {
        let own = Cli::command();
        let up = own.find_subcommand("up").into_iter().flat_map(Command::get_arguments);
        let taken = up.filter_map(|arg| arg.get_long().map(str::to_owned));
        let mut names: Vec<String> = own.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let (mut flags, mut queues): (Vec<String>, Vec<String>) = (taken.collect(), Vec::new());
        for stage in &self.stages {
            let Step { stage: name, queue, .. } = stage.step();
            add(&mut names, name.to_owned(), "stage")?;
            add(&mut queues, queue.to_owned(), "queue")?;
            for flag in stage.flags() {
                add(&mut flags, flag, "flag of a stage")?;
            }
        }
        Ok(())
    }
}

fn add(known: &mut Vec<String>, name: String, what: &str) -> Result<(), Refusal> {
    if known.contains(&name) {
        return Err(Refusal::setting(what, name, "a name that nothing else in the program has"));
    }
    known.push(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use shanshui_paint::stage::Paint;
    use shanshui_transcribe::stage::Transcribe;

    use super::{Program, Served};

    #[test]
    fn a_program_serves_its_stages_in_their_order() {
        let program = Program::of([Served::of::<Transcribe>(), Served::of::<Paint>()]).ok().unwrap();
        let steps: Vec<_> = program.steps().iter().map(|step| (step.stage, step.queue, step.makes)).collect();
        assert_eq!(steps, [("transcribe", "audio", "transcript"), ("paint", "text", "picture")]);
        program.command().debug_assert();
    }

    #[test]
    fn two_stages_of_one_name_are_refused() {
        let refused = Program::of([Served::of::<Paint>(), Served::of::<Paint>()]).err().unwrap();
        assert!(refused.error.to_string().starts_with("stage: paint is not allowed"), "{:#}", refused.error);
    }
}
