//! Settings of a transcribe worker.

use clap::{Args, ValueEnum};
use shanshui_model::DeviceKind;

use crate::audio::Budget;

/// What a transcribe worker is told at start.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Transcribe")]
pub struct TranscribeOptions {
    /// Whisper model: a folder from Hugging Face or CTranslate2, or the name of one among the models
    #[arg(long, env = "SHANSHUI_WHISPER", default_value = "whisper-base")]
    pub whisper: String,
    /// Where to compute: cpu, auto (the first NVIDIA GPU if there is one), cuda, or cuda:N for the GPU of that
    /// number; cuda never falls back. A CPU is fast enough, and leaves the GPU to pictures
    #[arg(long = "whisper-device", env = "SHANSHUI_WHISPER_DEVICE", value_name = "DEVICE", default_value_t = DeviceKind::Cpu)]
    pub whisper_device: DeviceKind,
    /// Arithmetic of the speech model: int8 is several times faster than f32 and runs on CPUs alone; auto takes it there
    #[arg(long = "whisper-precision", env = "SHANSHUI_WHISPER_PRECISION", value_enum, default_value_t)]
    pub whisper_precision: Precision,
    /// Recordings that are written down together in int8: more of them in the hour, but each takes longer
    #[arg(long, env = "SHANSHUI_BATCH_RECORDINGS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub batch_recordings: u16,
    /// Longest recording in seconds
    #[arg(long, env = "SHANSHUI_MAX_SECONDS", default_value_t = Budget::default().max_seconds)]
    pub max_seconds: f64,
    /// Largest recording in bytes, as it comes
    #[arg(long, env = "SHANSHUI_MAX_AUDIO_BYTES", default_value_t = 256 << 20)]
    pub max_audio_bytes: u64,
    /// What reads codecs that this program does not: auto (an ffmpeg on PATH, if there is one), off, or a path
    #[arg(long, env = "SHANSHUI_FFMPEG", default_value = "auto", value_name = "auto|off|PATH")]
    pub ffmpeg: String,
    /// Beginnings of the keys that a job may name as its recording
    #[arg(long = "audio-prefix", env = "SHANSHUI_AUDIO_PREFIX", value_delimiter = ',', default_value = "audio/")]
    pub audio_prefixes: Vec<String>,
    /// Languages that the picture model reads; the task `auto` translates all others
    #[arg(long, env = "SHANSHUI_PICTURE_LANGUAGES", value_delimiter = ',', default_value = "en")]
    pub picture_languages: Vec<String>,
}

/// Numbers to compute with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// int8 on a CPU that multiplies bytes quickly, otherwise f32.
    #[default]
    Auto,
    /// Weights as bytes with a scale for each row, activations as bytes that are rounded as they come.
    Int8,
    /// As the model was published.
    F32,
}

impl TranscribeOptions {
    /// What one recording may cost.
    pub fn budget(&self) -> Budget {
        // As many samples as the longest recording has in 48 kHz stereo.
        Budget { max_seconds: self.max_seconds, max_samples: (self.max_seconds * 96_000.0) as u64 }
    }
}
