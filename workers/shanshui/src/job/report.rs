//! What a command says at the end: lines for people, one JSON object for scripts.

use std::path::PathBuf;

use serde_json::{Value, json};
use shanshui_client::{Picture, Story};
use shanshui_pipeline::job::JobId;

use crate::print;

/// A job that was waited for.
pub(crate) struct Report<'a> {
    /// The job.
    pub(crate) job: &'a JobId,
    /// What happened.
    pub(crate) story: &'a Story,
    /// `done`, `failed` …, or `timeout`.
    pub(crate) state: &'a str,
    /// Pictures with the files they were saved to.
    pub(crate) pictures: &'a [(Picture, PathBuf)],
}

impl Report<'_> {
    /// Prints it.
    pub(crate) fn print(&self, as_json: bool) {
        if as_json {
            return print::line(self.json());
        }
        if let Some((text, language)) = self.story.transcript() {
            print::line(format_args!("transcript ({language}): {text}"));
        }
        for stage in self.story.stages() {
            let attempts = if stage.attempts > 1 { format!(", {} attempts", stage.attempts) } else { String::new() };
            let (name, wait, work) = (stage.stage, stage.wait, stage.work);
            print::line(format_args!("{name}: waited {wait:.2} s, worked {work:.2} s{attempts}"));
        }
        print::line(format_args!("job {}: {} after {:.2} s", self.job, self.state, self.story.total()));
        for (_, path) in self.pictures {
            print::line(path.display());
        }
    }

    /// Prints what is known of a job that nobody waits for: its name.
    pub(crate) fn print_submitted(&self, as_json: bool) {
        if as_json { print::line(self.json()) } else { print::line(self.job) }
    }

    fn json(&self) -> Value {
        let transcript = self.story.transcript();
        let stages: Vec<Value> = self
            .story
            .stages()
            .into_iter()
            .map(|stage| {
                json!({
                    "stage": stage.stage,
                    "wait_seconds": stage.wait,
                    "work_seconds": stage.work,
                    "attempts": stage.attempts,
                })
            })
            .collect();
        let pictures: Vec<Value> = self
            .pictures
            .iter()
            .map(|(picture, path)| {
                json!({
                    "index": picture.index,
                    "path": path,
                    "key": picture.key,
                    "sha256": picture.sha256,
                    "seed": picture.seed,
                    "width": picture.size.0,
                    "height": picture.size.1,
                })
            })
            .collect();
        json!({
            "job": self.job.as_str(),
            "state": self.state,
            "reason": self.story.reason(),
            "transcript": transcript.map(|(text, _)| text),
            "language": transcript.map(|(_, language)| language),
            "stages": stages,
            "total_seconds": self.story.total(),
            "pictures": pictures,
        })
    }
}
