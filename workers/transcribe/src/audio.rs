//! Recordings of any common container, as the 16 kHz mono samples that Whisper hears.

mod aac;
mod choose;
mod codec;
mod edit_list;
mod error;
mod ffmpeg;
mod level;
mod mix;
mod names;
mod opus;
mod parts;
mod resample;
mod session;
mod sink;
mod source;
mod surround;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::gate::Sound;
pub use error::{AudioError, DecodeError};
pub use ffmpeg::Ffmpeg;
pub use source::Source;

/// Samples per second of every [`Recording`]; Whisper was trained on nothing else.
pub const SAMPLE_RATE: u32 = 16_000;

/// Source rates that are resampled, in Hz; anything outside is a lying header.
pub const SOURCE_RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// What one recording may cost. Both limits hold while decoding, so that neither a lying header
/// nor a few kilobytes of compressed silence can take more memory or time than this.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Longest recording in seconds; the 16 kHz result takes 64 kB for each.
    pub max_seconds: f64,
    /// Most samples to decode at the source's own rate, all channels counted.
    pub max_samples: u64,
}

impl Default for Budget {
    /// Half an hour, and as many samples as that has in 48 kHz stereo.
    fn default() -> Self {
        Self { max_seconds: 1800.0, max_samples: 1800 * 48_000 * 2 }
    }
}

/// A decoded recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Mono samples at [`SAMPLE_RATE`], finite, -1 to 1; never empty, but possibly shorter than the
    /// 100 ms that [`crate::gate`] wants to hear.
    pub samples: Vec<f32>,
    /// What it is, and how much of it was heard.
    pub source: Source,
    /// Where in it somebody may speak.
    pub sound: Sound,
}

/// Decodes WAV (RIFF, RF64, W64), AIFF, CAF, FLAC, MP3, Ogg (Vorbis, Opus, FLAC), WebM and
/// Matroska, MP4/M4A (AAC, ALAC, Opus) and ADTS of any rate and channel count into 16 kHz mono.
///
/// Encoder delay and padding are cut off, times are those of the source. Recordings one behind the
/// other are all heard. Of one whose tail is missing, or that is damaged, what is left is heard,
/// and [`Source`] says so. Where the mean of the channels holds no speech the channels are tried
/// one by one, and then the other tracks.
///
/// # Errors
/// See [`AudioError`]; panics of the decoders are contained and become one.
pub fn decode(bytes: &[u8], budget: &Budget) -> Result<Recording, AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::Empty);
    }
    // Nothing outlives the closure, so no state that a panic left half-made can be seen.
    catch_unwind(AssertUnwindSafe(|| choose::best(&parts::split(bytes)?, budget)))
        .unwrap_or_else(|panic| Err(AudioError::Panicked { message: panic_text(panic.as_ref()) }))
}

/// As [`decode`], with `ffmpeg` for what is not read here.
///
/// # Errors
/// [`DecodeError`] says whose fault it is.
pub fn decode_with(bytes: &[u8], budget: &Budget, ffmpeg: Option<&Ffmpeg>) -> Result<Recording, DecodeError> {
    let refused = match decode(bytes, budget) {
        Ok(recording) => return Ok(recording),
        Err(refused) => refused,
    };
    let (container, codec) = match &refused {
        AudioError::Unread { container, codec } => (*container, codec.clone()),
        AudioError::UnknownContainer => ("an unknown container", "unknown".to_owned()),
        _ => return Err(refused.into()),
    };
    let Some(ffmpeg) = ffmpeg else { return Err(refused.into()) };
    match ffmpeg.decode(bytes, &codec, budget) {
        Ok(recording) => Ok(recording.called(container, &codec)),
        // What nobody reads was no recording.
        Err(DecodeError::Recording(AudioError::Foreign { .. })) if matches!(refused, AudioError::UnknownContainer) => {
            Err(refused.into())
        }
        Err(DecodeError::Recording(AudioError::Foreign { reason, .. })) => {
            Err(AudioError::Foreign { container, codec, reason }.into())
        }
        Err(error) => Err(error),
    }
}

impl Recording {
    /// Names what `ffmpeg` read; what it wrote was WAV.
    fn called(mut self, container: &str, codec: &str) -> Self {
        self.source.container = container.to_owned();
        self.source.codec = codec.to_owned();
        self.source.decoder = Some("ffmpeg".to_owned());
        self
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
