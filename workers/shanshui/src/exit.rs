//! What the exit code says, and the errors that choose it.

use std::fmt::Display;
use std::process::ExitCode;

use shanshui_client::Story;
use shanshui_pipeline::Event;
use shanshui_pipeline::queue::Refused;

/// The exit codes, as `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    /// The job failed, or the command did.
    Failed = 1,
    /// A flag, a setting or a field of the job is wrong.
    Usage = 2,
    /// Nobody speaks in the recording.
    NoSpeech = 3,
    /// The job was taken back.
    Canceled = 4,
    /// The time to wait is over; the job goes on.
    TimedOut = 5,
    /// NATS or the object store cannot be reached, or takes nothing now.
    Unreachable = 6,
    /// Another process works on the same data directory.
    Busy = 7,
}

impl Exit {
    /// The exit code of a job that has ended so.
    pub(crate) fn of(story: &Story) -> Self {
        match story.end() {
            Some(Event::Done { .. }) => Self::Done,
            Some(Event::NoSpeech { .. }) => Self::NoSpeech,
            Some(Event::Canceled { .. }) => Self::Canceled,
            _ => Self::Failed,
        }
    }
}

/// The table at the end of `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  the job or the command failed
  2  a flag, a setting or a field of the job is wrong
  3  nobody speaks in the recording
  4  the job was canceled
  5  the time to wait is over; the job goes on
  6  NATS or the object store cannot be reached, or is full
  7  another process works on the same data directory

Settings, the first that is there: flag, environment variable, --nats-context, settings file
(--config), the running `shanshui up` of the data directory, the variables NATS_URL, NATS_CREDS and
so on as the `nats` command line has them, built-in default. The settings file is TOML; its keys
are the long names of the flags, and a table stands for the first words of a name: `nats-url = \"…\"`
and `[nats] url = \"…\"` mean the same.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows the exit code it deserves.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The code.
    pub(crate) exit: Exit,
    /// What went wrong.
    pub(crate) error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        let error = error.into();
        let refused = error.chain().any(|cause| cause.is::<Refused>());
        Self { exit: if refused { Exit::Unreachable } else { Exit::Failed }, error }
    }
}

impl Refusal {
    /// A wrong setting: `name` has `value`, where only `allowed` is.
    pub(crate) fn setting(name: &str, value: impl Display, allowed: impl Display) -> Self {
        let error = anyhow::anyhow!("{name}: {value} is not allowed; allowed: {allowed}");
        Self { exit: Exit::Usage, error }
    }
}

/// Says which exit code an error deserves, where it is seen.
pub(crate) trait OrExit<T> {
    /// The same result, with `exit` for its error.
    fn or_exit(self, exit: Exit) -> Result<T, Refusal>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Refusal> {
        self.map_err(|error| Refusal { exit, error: error.into() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Exit, Story};

    #[test]
    fn the_exit_code_tells_how_a_job_ended() {
        let ends = [
            (json!({ "kind": "done", "stage": "paint", "key": null, "seconds": 1.0 }), Exit::Done),
            (json!({ "kind": "failed", "stage": "paint", "reason": "r", "attempts": 1 }), Exit::Failed),
            (json!({ "kind": "no-speech", "reason": "r" }), Exit::NoSpeech),
            (json!({ "kind": "canceled", "stage": "paint" }), Exit::Canceled),
        ];
        for (end, exit) in ends {
            let event = json!({ "subject": "a", "time": "2027-01-01T00:00:00Z", "source": "/x", "data": end });
            let story = Story { submitted: None, events: vec![serde_json::from_value(event).unwrap()] };
            assert_eq!(Exit::of(&story), exit, "{end}");
        }
    }
}
