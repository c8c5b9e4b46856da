//! Recordings of any common container, as the 16 kHz mono samples that Whisper hears.

mod edit_list;
mod opus;
mod resample;
mod session;
mod sink;

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;

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
    /// Mono samples at [`SAMPLE_RATE`], finite, about -1 to 1; never empty, but possibly shorter
    /// than the 100 ms that [`crate::gate`] wants to hear.
    pub samples: Vec<f32>,
    /// Length in seconds.
    pub seconds: f64,
    /// Sampling rate of the source in Hz (48000 for Opus, which has no other).
    pub source_rate: u32,
    /// Channels of the source, averaged into one.
    pub channels: usize,
    /// Container as symphonia names it, such as `wave`, `ogg` or `isomp4`.
    pub container: &'static str,
    /// Codec, such as `pcm_s16le`, `opus` or `aac`.
    pub codec: &'static str,
    /// The data ended or broke before the container said so; `samples` is what came before.
    pub truncated: bool,
}

/// Why a recording cannot be heard. None of these goes away by trying again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AudioError {
    /// No bytes, or a container with zero samples.
    #[error("audio is empty, at least one sample is needed")]
    Empty,
    /// Nothing in the bytes looks like a container that we read.
    #[error(
        "audio.container is unknown, allowed are wav, flac, mp3, ogg, webm, matroska, mp4/m4a, \
         aac (adts), aiff and caf"
    )]
    UnknownContainer,
    /// A container without an audio track, such as a silent film.
    #[error("audio.container {container} holds no audio track, at least one is needed")]
    NoTrack {
        /// Container as symphonia names it.
        container: &'static str,
    },
    /// A codec, or a variant of one, that we do not decode.
    #[error(
        "audio.codec in {container} is not supported ({source}), allowed are pcm, adpcm, flac, \
         alac, mp3, aac-lc, vorbis and opus"
    )]
    UnsupportedCodec {
        /// Container as symphonia names it.
        container: &'static str,
        /// What the decoder said.
        source: symphonia::core::errors::Error,
    },
    /// The header's sampling rate is nonsense.
    #[error("audio.sample_rate {rate} Hz is out of range, allowed are {} to {} Hz", SOURCE_RATES.start(), SOURCE_RATES.end())]
    SampleRate {
        /// The declared rate in Hz.
        rate: u32,
    },
    /// The recording is, or claims to be, longer than the budget allows.
    #[error("audio.seconds is at least {seconds:.1}, allowed are at most {max}")]
    TooLong {
        /// Length seen when decoding stopped, or declared, in seconds.
        seconds: f64,
        /// [`Budget::max_seconds`].
        max: f64,
    },
    /// Too many samples at the source's rate and channels.
    #[error("audio.samples over all channels are at least {samples}, allowed are at most {max}")]
    TooManySamples {
        /// Samples seen when decoding stopped.
        samples: u64,
        /// [`Budget::max_samples`].
        max: u64,
    },
    /// The container or codec data is broken and nothing could be decoded.
    #[error("audio is corrupt: {0}")]
    Corrupt(#[source] symphonia::core::errors::Error),
    /// A decoder panicked; contained here, the process is sound.
    #[error("audio is corrupt: the decoder gave up: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The resampler refused; a defect of ours rather than of the recording.
    #[error("audio could not be resampled: {0}")]
    Resample(#[source] Box<dyn Error + Send + Sync>),
}

/// Decodes WAV, AIFF, CAF, FLAC, MP3, Ogg (Vorbis, Opus, FLAC), WebM and Matroska, MP4/M4A (AAC,
/// ALAC, Opus) and ADTS of any rate and channel count into 16 kHz mono.
///
/// Encoder delay and padding are cut off, times are those of the source. A recording whose tail
/// is missing or damaged yields what was decoded before, marked `truncated`.
///
/// # Errors
/// See [`AudioError`]; panics of the decoders are contained and become one.
pub fn decode(bytes: &[u8], budget: &Budget) -> Result<Recording, AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::Empty);
    }
    // Nothing outlives the closure, so no state that a panic left half-made can be seen.
    catch_unwind(AssertUnwindSafe(|| session::Session::open(bytes, budget)?.run()))
        .unwrap_or_else(|panic| Err(AudioError::Panicked { message: panic_text(panic.as_ref()) }))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
