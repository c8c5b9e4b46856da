//! `shanshui dead`: jobs that failed for good.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shanshui_pipeline::Step;
use shanshui_pipeline::queue::{DeadLetter, Queue};

use crate::exit::{Exit, Refusal};
use crate::print;
use crate::reach::Reach;

/// Longest payload that is shown, in characters.
const SHOWN: usize = 2000;

/// Inspect and replay dead letters
#[derive(Debug, Clone, Args)]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    command: DeadCommand,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Subcommand)]
enum DeadCommand {
    /// List dead letters, oldest first: sequence, time, job, attempts, code, reason
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one with its headers and payload
    Show {
        /// Sequence of the dead letter, as listed
        sequence: u64,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Put dead letters back on the queue they came from
    Replay {
        /// Sequence of the dead letter, as listed
        #[arg(required_unless_present = "all")]
        sequence: Option<u64>,
        /// Replay every dead letter that is listed now
        #[arg(long, conflicts_with = "sequence")]
        all: bool,
    },
}

/// Does what was asked.
pub(crate) async fn run(args: DeadArgs, steps: &'static [Step]) -> Result<Exit, Refusal> {
    let queue = args.reach.queue(steps).await?;
    match args.command {
        DeadCommand::List { json } => {
            for letter in queue.dead().await? {
                print::line(if json { object(&letter).to_string() } else { line(&letter) });
            }
        }
        DeadCommand::Show { sequence, json } => {
            let letter = queue.dead_letter(sequence).await?;
            if json { print::line(object(&letter)) } else { show(&letter) }
        }
        DeadCommand::Replay { sequence, .. } => replay(&queue, sequence).await?,
    }
    Ok(Exit::Done)
}

async fn replay(queue: &Queue, sequence: Option<u64>) -> anyhow::Result<()> {
    let sequences = match sequence {
        Some(sequence) => vec![sequence],
        None => queue.dead().await?.iter().map(|letter| letter.sequence).collect(),
    };
    for sequence in sequences {
        let submitted = queue.replay(sequence).await?;
        print::line(format_args!("{sequence}: queued again as {} {}", submitted.stream, submitted.sequence));
    }
    Ok(())
}

fn line(letter: &DeadLetter) -> String {
    let DeadLetter { sequence, time, job, attempts, code, reason, .. } = letter;
    format!("{sequence}  {time}  {job}  attempts {attempts}  {code}: {reason}")
}

fn show(letter: &DeadLetter) {
    print::line(line(letter));
    print::line(format_args!("subject: {}", letter.subject));
    print::line(format_args!("worker: {}", letter.worker));
    for (name, values) in letter.headers.iter() {
        for value in values {
            print::line(format_args!("header {name}: {}", safe(value.as_str())));
        }
    }
    match std::str::from_utf8(&letter.payload) {
        Ok(text) => print::line(safe(text)),
        Err(_) => print::line(format_args!("payload: {} bytes of binary", letter.payload.len())),
    }
}

/// A payload comes from anyone: it must not steer the terminal.
fn safe(text: &str) -> String {
    let plain = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().map(plain).take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn object(letter: &DeadLetter) -> Value {
    json!({
        "sequence": letter.sequence,
        "time": letter.time,
        "job": letter.job,
        "subject": letter.subject,
        "code": letter.code,
        "reason": letter.reason,
        "worker": letter.worker,
        "attempts": letter.attempts,
        "payload": std::str::from_utf8(&letter.payload).ok(),
        "payload_bytes": letter.payload.len(),
    })
}
