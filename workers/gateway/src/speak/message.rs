//! What goes over the socket besides sound and pictures.

use bytes::{BufMut, Bytes, BytesMut};
use rmpv::Value as Field;
use serde::Deserialize;
use serde_json::{Value, json};
use shanshui_pipeline::fields::FieldError;
use shanshui_pipeline::job::JobId;

use crate::error::ApiError;
use crate::jobs::document;

/// Sampling rates of bare samples.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// Longest message in words, in bytes: read, a value of two bytes takes up to [`GROWS`] times as much.
const LONGEST: usize = 64 << 10;
/// How many times as much memory a job takes once it is read.
pub(crate) const GROWS: usize = 32;

/// What a client says in words.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Said {
    /// What the sound that follows is, and what to make of it.
    Start {
        /// The fields of the job.
        #[serde(default)]
        job: Option<Field>,
        /// The sound is samples of 16 bits, little-endian, one channel, at this rate; without it the
        /// sound is a recording of any kind, cut into pieces.
        #[serde(default)]
        pcm: Option<u32>,
    },
    /// The sound is over.
    End,
    /// The job is not wanted any more.
    Cancel,
}

impl Said {
    pub(super) fn read(text: &str) -> Result<Self, FieldError> {
        if text.len() > LONGEST {
            let found = format!("({} bytes)", text.len());
            return Err(FieldError::new("message", found, format!("at most {LONGEST} bytes of text")));
        }
        let allowed = "an object with the type start (job, pcm), end or cancel";
        let said: Self = serde_json::from_str(text).map_err(|error| FieldError::new("message", error, allowed))?;
        match said {
            Self::Start { pcm: Some(rate), .. } if !RATES.contains(&rate) => {
                let allowed = format!("a sampling rate from {} to {}", RATES.start(), RATES.end());
                Err(FieldError::new("pcm", rate, allowed))
            }
            said => Ok(said),
        }
    }
}

/// The samples as a WAV file (RIFF, PCM of 16 bits, one channel).
pub(crate) fn wav(samples: &[u8], rate: u32) -> Bytes {
    let length = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    let mut file = BytesMut::with_capacity(44 + samples.len());
    file.put_slice(b"RIFF");
    file.put_u32_le(length.saturating_add(36));
    file.put_slice(b"WAVEfmt ");
    file.put_u32_le(16);
    file.put_u16_le(1);
    file.put_u16_le(1);
    file.put_u32_le(rate);
    file.put_u32_le(rate * 2);
    file.put_u16_le(2);
    file.put_u16_le(16);
    file.put_slice(b"data");
    file.put_u32_le(length);
    file.put_slice(samples);
    file.freeze()
}

pub(super) fn accepted(id: &JobId) -> Value {
    json!({ "type": "accepted", "id": id.as_str(), "links": document::links(id) })
}

pub(super) fn event(event: &Value) -> Value {
    json!({ "type": "event", "event": event })
}

/// Before the bytes of a picture.
pub(super) fn picture(index: u32, media: &str, bytes: usize) -> Value {
    json!({ "type": "picture", "index": index, "media": media, "bytes": bytes })
}

pub(super) fn end(id: &JobId, state: &str) -> Value {
    json!({ "type": "end", "id": id.as_str(), "state": state })
}

pub(super) fn error(error: &ApiError) -> Value {
    let mut value = error.value();
    value["type"] = "error".into();
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_refused_with_its_field() {
        assert!(matches!(Said::read(r#"{"type":"start","pcm":16000}"#), Ok(Said::Start { pcm: Some(16000), .. })));
        assert!(matches!(Said::read(r#"{"type":"end"}"#), Ok(Said::End)));
        for wrong in ["", "{", "[]", "7", r#"{"type":"sing"}"#, r#"{"type":"start","pcm":7}"#, &" ".repeat(LONGEST + 1)]
        {
            assert!(Said::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn samples_become_a_file_that_says_what_they_are() {
        let file = wav(&[1, 2, 3, 4], 16_000);
        assert_eq!(
            (file.len(), &file[..4], &file[8..16], &file[40..]),
            (48, &b"RIFF"[..], &b"WAVEfmt "[..], &[4, 0, 0, 0, 1, 2, 3, 4][..])
        );
        assert_eq!(u32::from_le_bytes(file[24..28].try_into().unwrap()), 16_000);
    }
}
