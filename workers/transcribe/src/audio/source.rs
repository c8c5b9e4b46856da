//! What was learned of a recording while it was decoded.

use serde::{Deserialize, Serialize};

/// What the recording is, and how much of it was heard: told in `transcript.json`, events and
/// receipt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Container, such as `wave`, `ogg` or `isomp4`.
    pub container: String,
    /// Codec, such as `pcm_s16le`, `opus` or `aac`.
    pub codec: String,
    /// Sampling rate in Hz (48000 for Opus, which has no other; that of the core for HE-AAC).
    pub sample_rate: u32,
    /// Channels.
    pub channels: usize,
    /// The channel that was heard, from 1, where the mean of all held no speech.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<usize>,
    /// The audio track that was heard, from 1.
    pub track: usize,
    /// Audio tracks.
    pub tracks: usize,
    /// Recordings one behind the other in the file; all were heard.
    pub parts: usize,
    /// Seconds that were heard.
    pub seconds: f64,
    /// The recording ends before its own end: it was cut off. What came before was heard.
    pub truncated: bool,
    /// Something within is missing or broken. What is left was heard.
    pub damaged: bool,
    /// `ffmpeg`, if that decoded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
}
