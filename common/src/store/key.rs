//! The keys of all objects: nothing else in the project builds one.

use crate::job::JobId;

/// An object of a job. A [`JobId`] cannot leave its folder, so no key can.
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
    /// What was made and how, as JSON; written last.
    Receipt(&'a JobId),
}

impl ObjectKey<'_> {
    /// The key below the store's prefix.
    pub fn path(&self) -> String {
        match self {
            Self::Audio(job) => format!("audio/{job}"),
            Self::Transcript(job) => format!("jobs/{job}/transcript.json"),
            Self::Picture { job, index, extension } => format!("jobs/{job}/{index}.{extension}"),
            Self::Receipt(job) => format!("jobs/{job}/receipt.json"),
        }
    }

    /// The media type that the object is stored with.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Transcript(_) | Self::Receipt(_) => "application/json",
            Self::Picture { extension: "png", .. } => "image/png",
            Self::Picture { extension: "jpg", .. } => "image/jpeg",
            Self::Picture { extension: "webp", .. } => "image/webp",
            Self::Audio(_) | Self::Picture { .. } => "application/octet-stream",
        }
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
    }
}
