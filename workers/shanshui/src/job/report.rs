//! What a command says at the end: lines for people, one JSON object for scripts.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shanshui_client::{Picture, Story};
use shanshui_pipeline::job::JobId;
use shanshui_pipeline::made::MadeObject;

use crate::print;

/// A job that was waited for.
pub(crate) struct Report<'a> {
    /// The job.
    pub(crate) job: &'a JobId,
    /// What happened.
    pub(crate) story: &'a Story,
    /// `done`, `failed` …, or `timeout`.
    pub(crate) state: &'a str,
    /// Where its results are.
    pub(crate) saved: &'a Saved,
}

/// Results with the files that they were saved to.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// Pictures, as their events tell of them.
    pub(crate) pictures: Vec<(Picture, PathBuf)>,
    /// What a later stage made.
    pub(crate) files: Vec<(MadeObject, PathBuf)>,
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
        let Saved { pictures, files } = self.saved;
        let paths = pictures.iter().map(|(_, path)| path).chain(files.iter().map(|(_, path)| path));
        paths.for_each(|path| print::line(path.display()));
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
            .saved
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
            "files": self.saved.files.iter().map(|(object, path)| file(object, path)).collect::<Vec<_>>(),
        })
    }
}

fn file(object: &MadeObject, path: &Path) -> Value {
    json!({ "kind": object.kind, "path": path, "key": object.key, "sha256": object.sha256 })
}
