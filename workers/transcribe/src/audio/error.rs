//! Why a recording cannot be heard: the recording's fault, or the worker's.

use std::error::Error;

use thiserror::Error;

use super::SOURCE_RATES;

/// What went wrong, by whose fault it is: a bad recording can never cost a worker or a retry.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The recording cannot be heard, here or on any worker of the same kind.
    #[error(transparent)]
    Recording(#[from] AudioError),
    /// This worker could not do its part, such as starting the `ffmpeg` it was told to use.
    #[error(transparent)]
    Worker(anyhow::Error),
}

/// Why a recording cannot be heard. None of these goes away by trying again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AudioError {
    /// No bytes, or a container with zero samples.
    #[error("audio is empty, at least one sample is needed")]
    Empty,
    /// Nothing in the bytes looks like a container that is read.
    #[error(
        "audio.container is unknown, allowed are wav, flac, mp3, ogg, webm, matroska, mp4/m4a, \
         aac (adts), aiff and caf"
    )]
    UnknownContainer,
    /// The bytes are something else, such as a picture.
    #[error("audio is {what} and no recording")]
    NoRecording {
        /// What it is, in words.
        what: &'static str,
    },
    /// A container without an audio track, such as a silent film.
    #[error("audio.container {container} holds no audio track, at least one is needed")]
    NoTrack {
        /// Name of the container.
        container: &'static str,
    },
    /// A recording that was not finished: the index that says where the sound lies is missing.
    #[error("audio.container mp4 has no index (moov): the recording was cut off or never finished")]
    NoIndex,
    /// A codec that only `ffmpeg` reads, and there is none.
    #[error(
        "audio.codec {codec} in {container} is not read by this worker, allowed are pcm, adpcm, flac, alac, \
         mp3, mp2, aac, vorbis and opus; a worker with ffmpeg (--ffmpeg) reads more"
    )]
    Unread {
        /// Name of the container.
        container: &'static str,
        /// Name of the codec.
        codec: String,
    },
    /// `ffmpeg` was asked, and could not read it either.
    #[error("audio.codec {codec} in {container} could not be read by ffmpeg: {reason}")]
    Foreign {
        /// Name of the container.
        container: &'static str,
        /// Name of the codec.
        codec: String,
        /// What `ffmpeg` said, or which limit it met.
        reason: String,
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
        /// [`Budget::max_seconds`](super::Budget::max_seconds).
        max: f64,
    },
    /// Too many samples at the source's rate and channels.
    #[error("audio.samples over all channels are at least {samples}, allowed are at most {max}")]
    TooManySamples {
        /// Samples seen when decoding stopped.
        samples: u64,
        /// [`Budget::max_samples`](super::Budget::max_samples).
        max: u64,
    },
    /// The container or codec data is broken and nothing could be decoded.
    #[error("audio is corrupt: {0}")]
    Corrupt(String),
    /// A decoder panicked; contained here, the process is sound.
    #[error("audio is corrupt: the decoder gave up: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The resampler refused; a defect of ours, but every worker would meet it with this recording.
    #[error("audio could not be resampled: {0}")]
    Resample(Box<dyn Error + Send + Sync>),
}
