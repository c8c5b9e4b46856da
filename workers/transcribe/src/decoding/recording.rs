//! A whole recording, window after window.

use std::ops::ControlFlow;

use super::{
    OnProgress, Options, Progress, Segment, Stopped, Task, Transcript,
    invention::invented,
    segments::{Cut, Extent, FRAMES_PER_SECOND, cut},
    window::{Decoded, Window, detect_language},
};
use crate::mel::Spectrogram;
use crate::whisper::{
    Whisper,
    decoder::Heard,
    languages::{self, Language},
};

/// A rest shorter than this, in frames, is the end of a sound and not a word: 0.2 s.
const SHORTEST_WINDOW: usize = 20;
/// Text from higher temperatures is not shown to the next window: it may be wrong.
const MAX_TRUSTED_TEMPERATURE: f32 = 0.5;

/// Transcribes a recording by its log-mel frames.
///
/// # Errors
/// [`Stopped`] if `on_progress` breaks; a language or task that the model does not know.
pub(crate) fn transcribe(
    whisper: &Whisper,
    mel: &Spectrogram,
    options: &Options,
    on_progress: &mut OnProgress<'_>,
) -> anyhow::Result<Transcript> {
    let mut recording = Recording {
        whisper,
        mel,
        options,
        on_progress,
        hint: Vec::new(),
        history: Vec::new(),
        trusted_from: 0,
        text: String::new(),
        segments: Vec::new(),
        invented: Vec::new(),
    };
    let mut heard = Some(recording.hear(0)?);
    let (language, language_probability) = recording.language(heard.as_ref())?;
    let task = options.task_for(language.code);
    let beginning = whisper.tokens().beginning(language, task, options.timestamps)?;
    if let Some(hint) = options.hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty()) {
        recording.hint = whisper.tokens().encode(&format!(" {hint}"))?;
    }
    let mut frame = 0;
    while frame + SHORTEST_WINDOW.min(mel.frames()) <= mel.frames() && frame < mel.frames() {
        let window = match heard.take() {
            Some(window) => window,
            None => recording.hear(frame)?,
        };
        frame += recording.write(frame, &window, &beginning)?;
        recording.report(frame as f64 / FRAMES_PER_SECOND)?;
    }
    recording.report(recording.seconds())?;
    Ok(recording.finish(language, language_probability, task))
}

struct Recording<'a, 'p> {
    whisper: &'a Whisper,
    mel: &'a Spectrogram,
    options: &'a Options,
    on_progress: &'a mut OnProgress<'p>,
    hint: Vec<u32>,
    /// Tokens of all windows so far.
    history: Vec<u32>,
    /// From where on the history is shown to the next window.
    trusted_from: usize,
    /// Whisper puts the spaces between segments itself, where the language has them.
    text: String,
    segments: Vec<Segment>,
    invented: Vec<Segment>,
}

impl Recording<'_, '_> {
    fn seconds(&self) -> f64 {
        self.mel.frames() as f64 / FRAMES_PER_SECOND
    }

    fn hear(&mut self, frame: usize) -> anyhow::Result<Heard> {
        self.report(frame as f64 / FRAMES_PER_SECOND)?;
        Ok(self.whisper.hear(self.mel.window(frame, self.whisper.dims().frames()))?)
    }

    fn language(&self, heard: Option<&Heard>) -> anyhow::Result<(&'static Language, Option<f32>)> {
        if let Some(language) = &self.options.language {
            return Ok((languages::find(language)?, None));
        }
        let found = match heard {
            Some(heard) => detect_language(self.whisper, heard)?,
            None => Vec::new(),
        };
        match found.first() {
            Some((language, probability)) => Ok((language, Some(*probability))),
            None => Ok((languages::find("en")?, None)),
        }
    }

    /// Decodes the window at a frame and adds its segments; returns by how many frames to go on.
    fn write(&mut self, frame: usize, heard: &Heard, beginning: &[u32]) -> anyhow::Result<usize> {
        let frames = self.whisper.dims().frames().min(self.mel.frames() - frame);
        let decoded = self.decode(frame, heard, beginning)?;
        if decoded.is_silence(self.options) {
            return Ok(frames);
        }
        let extent = Extent { frames, goes_on: frame + frames < self.mel.frames() };
        let (cuts, done) = cut(&decoded.tokens, self.whisper.tokens(), extent);
        let mut segments = Vec::with_capacity(cuts.len());
        for cut in &cuts {
            segments.push(self.segment(cut, frame, &decoded)?);
        }
        for (segment, invented) in std::iter::zip(&segments, invented(&segments)) {
            self.add(segment, invented);
        }
        if !self.options.condition_on_previous || decoded.temperature > MAX_TRUSTED_TEMPERATURE {
            self.trusted_from = self.history.len();
        }
        // A window that ends where it began would be read for ever.
        Ok(if done == 0 { frames } else { done })
    }

    fn decode(&mut self, frame: usize, heard: &Heard, beginning: &[u32]) -> anyhow::Result<Decoded> {
        let window = Window {
            whisper: self.whisper,
            options: self.options,
            heard,
            frame,
            beginning,
            hint: &self.hint,
            previous: &self.history[self.trusted_from..],
        };
        let total = self.seconds();
        let start = frame as f64 / FRAMES_PER_SECOND;
        let on_progress = &mut *self.on_progress;
        window.decode(&mut |seconds| report(on_progress, start + seconds, total))
    }

    /// A segment whose text still has the spaces around it.
    fn segment(&self, cut: &Cut<'_>, frame: usize, decoded: &Decoded) -> anyhow::Result<Segment> {
        let offset = frame as f64 / FRAMES_PER_SECOND;
        // Whisper hears silence behind the end of a recording and sometimes puts a time into it.
        let total = self.seconds();
        Ok(Segment {
            start: (offset + cut.start).min(total),
            end: (offset + cut.end).min(total),
            text: self.whisper.tokens().decode(cut.tokens)?,
            tokens: cut.tokens.to_vec(),
            avg_logprob: decoded.avg_logprob,
            compression_ratio: decoded.compression_ratio,
            no_speech_prob: decoded.no_speech_prob,
            temperature: decoded.temperature,
        })
    }

    fn add(&mut self, segment: &Segment, invented: bool) {
        let trimmed = Segment { text: segment.text.trim().to_owned(), ..segment.clone() };
        if !invented {
            self.text.push_str(&segment.text);
            self.history.extend(&segment.tokens);
            self.segments.push(trimmed);
        } else if !trimmed.text.is_empty() {
            self.invented.push(trimmed);
        }
    }

    fn report(&mut self, done: f64) -> Result<(), Stopped> {
        let total = self.seconds();
        report(self.on_progress, done, total)
    }

    fn finish(self, language: &'static Language, language_probability: Option<f32>, task: Task) -> Transcript {
        Transcript {
            text: self.text.trim().to_owned(),
            language: language.code,
            language_probability,
            task,
            duration: self.seconds(),
            segments: self.segments,
            invented: self.invented,
        }
    }
}

fn report(on_progress: &mut OnProgress<'_>, done: f64, total: f64) -> Result<(), Stopped> {
    match on_progress(Progress { done: done.min(total), total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Stopped),
    }
}
