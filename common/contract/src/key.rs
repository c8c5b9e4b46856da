//! The keys of all objects: nothing else in the project builds one.

use crate::job::JobId;

/// An object of a job, or of a model. A [`JobId`] cannot leave its folder, so no key of a job can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKey<'a> {
    /// The recording, when it travels by reference.
    Audio(&'a JobId),
    /// What was said, as JSON.
    Transcript(&'a JobId),
    /// One picture.
    Picture {
        /// Whose picture.
        job: &'a JobId,
        /// Which of the job's pictures; counts from 0.
        index: u32,
        /// `png`, `jpg` or `webp`.
        extension: &'static str,
    },
    /// What one stage made and how, as JSON, for the stage itself: a second attempt finds it.
    Record {
        /// Whose record.
        job: &'a JobId,
        /// Name of the stage.
        stage: &'a str,
    },
    /// Anything else that a stage makes; `name` is one part of a key.
    File {
        /// Whose file.
        job: &'a JobId,
        /// Its name, as `transcript.srt`.
        name: &'a str,
    },
    /// What was made and how, as JSON; written last.
    Receipt(&'a JobId),
    /// Why a job ended that is not done, as JSON. `run` counts its ways out of DEAD.
    End {
        /// Whose end.
        job: &'a JobId,
        /// Which run, from 0.
        run: u32,
    },
    /// A file of a model that workers fetch at start.
    Model {
        /// Name of the model: one part or two, as [`is_model_name`] has it.
        model: &'a str,
        /// Path of the file below the model's folder.
        file: &'a str,
    },
}

/// Whether a model may be called so: `NAME` or `OWNER/NAME`, of letters, digits, `.`, `_` and `-`.
pub fn is_model_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.len() <= 96 && part.chars().all(plain);
    name.split('/').count() <= 2 && name.split('/').all(part)
}

impl ObjectKey<'_> {
    /// The key below the store's prefix.
    pub fn path(&self) -> String {
        match self {
            Self::Audio(job) => format!("audio/{job}"),
            Self::Transcript(job) => format!("jobs/{job}/transcript.json"),
            Self::Picture { job, index, extension } => format!("jobs/{job}/{index}.{extension}"),
            Self::Record { job, stage } => format!("jobs/{job}/{stage}.json"),
            Self::File { job, name } => format!("jobs/{job}/{name}"),
            Self::Receipt(job) => format!("jobs/{job}/receipt.json"),
            Self::End { job, run: 0 } => format!("jobs/{job}/end.json"),
            Self::End { job, run } => format!("jobs/{job}/end-{run}.json"),
            Self::Model { model, file } => format!("models/{model}/{file}"),
        }
    }

    /// The media type that the object is stored with.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Transcript(_) | Self::Record { .. } | Self::Receipt(_) | Self::End { .. } => "application/json",
            Self::Picture { extension, .. } => media_type(extension),
            Self::File { name, .. } => media_type(name.rsplit('.').next().unwrap_or_default()),
            Self::Audio(_) | Self::Model { .. } => "application/octet-stream",
        }
    }
}

fn media_type(extension: &str) -> &'static str {
    match extension {
        "png" => "image/png",
        "jpg" => "image/jpeg",
        "webp" => "image/webp",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "srt" => "application/x-subrip",
        "vtt" => "text/vtt",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_keys_are_those_of_the_contract() {
        let job = &JobId::parse("id", "abc-1").unwrap();
        let picture = ObjectKey::Picture { job, index: 3, extension: "webp" };
        assert_eq!(ObjectKey::Audio(job).path(), "audio/abc-1");
        assert_eq!(ObjectKey::Transcript(job).path(), "jobs/abc-1/transcript.json");
        assert_eq!(picture.path(), "jobs/abc-1/3.webp");
        assert_eq!(picture.content_type(), "image/webp");
        assert_eq!(ObjectKey::Receipt(job).path(), "jobs/abc-1/receipt.json");
        let file = ObjectKey::Model { model: "owner/name", file: "unet/config.json" };
        assert_eq!(file.path(), "models/owner/name/unet/config.json");
    }

    #[test]
    fn s10_a_models_name_cannot_leave_its_folder() {
        for name in ["whisper-base", "stabilityai/sd-turbo", "a.b_c"] {
            assert!(is_model_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/..", "../a", "a/b/c", "/a", "a/", "a b", ".hidden", "a/.b", "a\\b"] {
            assert!(!is_model_name(name), "{name}");
        }
    }
}
