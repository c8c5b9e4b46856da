//! From features to a transcript: Whisper's own rules of decoding, for recordings of any length.
//!
//! Sections 2.3 and 4.5 of "Robust Speech Recognition via Large-Scale Weak Supervision" (Radford
//! et al., 2022), with the choices of its reference implementation, `openai/whisper`.

mod alignment;
mod draft;
mod invention;
mod recording;
mod repeats;
mod rules;
mod sampling;
mod segments;
mod short;
mod spoken;
pub mod subtitles;
mod timeline;
mod window;
mod words;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

pub use draft::{Draft, Hearing};
pub use invention::Verdict;
pub(crate) use recording::transcribe;

/// What to do with the speech.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Write it down in its language.
    #[default]
    Transcribe,
    /// Write it down in English.
    Translate,
}

/// How to transcribe. [`Options::default`] is what the paper does, but for
/// [`Options::condition_on_previous`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Code or English name; if absent, detected in the first window in which somebody speaks.
    pub language: Option<String>,
    /// Transcribe, or translate to English.
    pub task: Task,
    /// Languages, by their codes, that the reader of the text knows: if given, `task` does not
    /// count, speech in them is written down and speech in all others translated.
    pub readable: Option<Vec<String>>,
    /// Names and jargon that may occur: Whisper reads them as if they had been said before every
    /// window.
    pub hint: Option<String>,
    /// Whether segments get times; without them a window is one segment.
    pub timestamps: bool,
    /// Whether a window is told what was said in the ones before. Names are then spelt alike, but
    /// words that are said again are often left out, and errors live on: off by default.
    pub condition_on_previous: bool,
    /// Whether sound that ends early is first heard without all the silence behind it, which is
    /// quicker; where the text is doubtful then, the whole window of 30 s is heard.
    pub short_windows: bool,
    /// Tried one after the other until a text passes the thresholds; 0 takes the likeliest token.
    pub temperatures: Vec<f32>,
    /// A text that zlib shrinks by more than this repeats itself.
    pub max_compression: f32,
    /// A mean log-probability per token below this is no good text.
    pub min_logprob: f32,
    /// Above this, and with a low mean log-probability, a window is silence.
    pub max_no_speech: f32,
    /// The latest time, in seconds, at which the first segment of a window may begin.
    pub max_first_timestamp: f64,
    /// Draws at temperatures above zero depend on this and the place in the recording alone.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            language: None,
            task: Task::Transcribe,
            readable: None,
            hint: None,
            timestamps: true,
            condition_on_previous: false,
            short_windows: true,
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            max_compression: 2.4,
            min_logprob: -1.0,
            max_no_speech: 0.6,
            max_first_timestamp: 1.0,
            seed: 0,
        }
    }
}

impl Options {
    /// What to do with speech in the language of this code.
    pub(crate) fn task_for(&self, language: &str) -> Task {
        match &self.readable {
            None => self.task,
            Some(readable) if readable.iter().any(|code| code == language) => Task::Transcribe,
            Some(_) => Task::Translate,
        }
    }
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transcript {
    /// All segments, one after the other.
    pub text: String,
    /// Code of the language that was spoken.
    pub language: &'static str,
    /// How sure the detection is, 0 to 1; absent if the language was given.
    pub language_probability: Option<f32>,
    /// Whether `text` is a translation.
    pub task: Task,
    /// Length of the recording in seconds.
    pub duration: f64,
    /// Parts of the text with their times.
    pub segments: Vec<Segment>,
    /// What Whisper wrote where nobody spoke; not part of `text`.
    pub invented: Vec<Segment>,
}

/// A part of the text, a few seconds long.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Segment {
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording.
    pub end: f64,
    /// What was said, without spaces around it.
    pub text: String,
    /// The tokens of the text and of its times.
    pub tokens: Vec<u32>,
    /// Mean log-probability of the tokens of its window.
    pub avg_logprob: f32,
    /// How much zlib shrinks the text of its window.
    pub compression_ratio: f32,
    /// How likely its window holds no speech, 0 to 1.
    pub no_speech_prob: f32,
    /// The temperature at which its window was decoded.
    pub temperature: f32,
    /// Its words with their times; none if the model's files do not say which of its heads follow the
    /// sound. Of a translation, they are the times of what it translates, and rough.
    pub words: Vec<Word>,
}

/// A word with the punctuation that belongs to it. Where a language writes no spaces, a character.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Word {
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording.
    pub end: f64,
    /// What was said, without spaces around it.
    pub text: String,
    /// How sure the model is of it, 0 to 1: the geometric mean of its tokens' probabilities.
    pub probability: f32,
}

/// How far a transcription has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Seconds of the recording that are written down.
    pub done: f64,
    /// Seconds of the recording.
    pub total: f64,
}

/// The error of a transcription that its caller broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the transcription was stopped")]
pub struct Stopped;

/// Why there is no transcript, by whose doing.
#[derive(Debug, thiserror::Error)]
pub enum TranscribeError {
    /// The caller broke it off.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The model cannot do what was wished for, such as a language it does not know: no attempt of
    /// this worker can.
    #[error(transparent)]
    Wish(anyhow::Error),
    /// The model failed; the recording need not be the reason.
    #[error(transparent)]
    Model(#[from] anyhow::Error),
}

/// Called between decoding steps and between windows; `Break` ends the work with [`Stopped`].
pub type OnProgress<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Called with the words while they are decoded: it must be quick.
pub type OnHearing<'a> = dyn FnMut(&Hearing<'_>) + 'a;

/// Who is told what while a recording is transcribed.
pub struct Told<'a> {
    /// How far it is.
    pub progress: &'a mut OnProgress<'a>,
    /// What was understood so far.
    pub hearing: &'a mut OnHearing<'a>,
}
