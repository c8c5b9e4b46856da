//! A whole recording, window after window.

use std::ops::{ControlFlow, Range};

use super::{
    Draft, Hearing, OnHearing, OnProgress, Options, Progress, Segment, Stopped, Told, TranscribeError, Transcript,
    Word,
    invention::{invented, is_echo},
    segments::{Cut, Extent, FRAMES_PER_SECOND, cut},
    short,
    spoken::{self, ENGLISH, Spoken},
    timeline::Timeline,
    window::{Decoded, Window, Written},
    words::{self, Script},
};
use crate::mel::Spectrogram;
use crate::whisper::{
    Whisper,
    languages::{self, Language},
    towers::Listening,
};

/// A rest shorter than this, in frames, is the end of a sound and not a word: 0.2 s.
const SHORTEST_WINDOW: usize = 20;
/// Text from higher temperatures is not shown to the next window: it may be wrong.
const MAX_TRUSTED_TEMPERATURE: f32 = 0.5;

/// Transcribes the stretches of a recording of 16 kHz samples.
///
/// # Errors
/// See [`TranscribeError`].
pub(crate) fn transcribe<'p>(
    whisper: &Whisper,
    samples: &[f32],
    stretches: &[Range<usize>],
    options: &Options,
    Told { progress, hearing }: Told<'p>,
) -> Result<Transcript, TranscribeError> {
    let timeline = Timeline::new(stretches, samples.len());
    let mel = whisper.mel().spectrogram(&timeline.gather(samples));
    let hint = options.hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty());
    let hint = hint.map(|hint| whisper.tokens().encode(&format!(" {hint}"))).transpose()?;
    let spoken = options.language.as_deref().map(languages::find).transpose().map_err(TranscribeError::Wish)?;
    let mut recording = Recording {
        whisper,
        mel: &mel,
        timeline,
        options,
        on_progress: progress,
        on_hearing: hearing,
        hint: hint.unwrap_or_default(),
        history: Vec::new(),
        trusted_from: 0,
        spoken: spoken.map(|language| Spoken { language, probability: None }),
        guess: None,
        text: String::new(),
        segments: Vec::new(),
        invented: Vec::new(),
    };
    spoken::check(whisper, options)?;
    recording.read()?;
    Ok(recording.finish())
}

struct Recording<'a, 'p> {
    whisper: &'a Whisper,
    mel: &'a Spectrogram,
    timeline: Timeline,
    options: &'a Options,
    on_progress: &'p mut OnProgress<'p>,
    on_hearing: &'p mut OnHearing<'p>,
    hint: Vec<u32>,
    /// Tokens of all windows so far.
    history: Vec<u32>,
    /// From where on the history is shown to the next window.
    trusted_from: usize,
    /// The language, once somebody has spoken or if it was given.
    spoken: Option<Spoken>,
    /// The language of the first window, where nobody has spoken yet.
    guess: Option<Spoken>,
    /// Whisper puts the spaces between segments itself, where the language has them.
    text: String,
    segments: Vec<Segment>,
    invented: Vec<Segment>,
}

/// How a window is to be decoded.
struct Asked<'a> {
    frame: usize,
    language: &'static Language,
    beginning: &'a [u32],
    temperatures: &'a [f32],
}

/// A language that is less sure than this in a short window is detected again in the whole one.
const SURE_LANGUAGE: f32 = 0.8;

impl Recording<'_, '_> {
    fn read(&mut self) -> Result<(), TranscribeError> {
        let total = self.timeline.frames();
        let mut frame = 0;
        while frame + SHORTEST_WINDOW.min(total) <= total && frame < total {
            let (frames, goes_on) = self.timeline.window(frame, self.whisper.dims().frames());
            frame += self.write(frame, Extent { frames, goes_on })?;
            let language = self.spoken().map_or(ENGLISH, |spoken| spoken.language.code);
            (self.on_hearing)(&Hearing::Settled { text: &self.text, language });
            self.report(frame as f64)?;
        }
        let all = self.timeline.seconds();
        Ok(report(self.on_progress, all, all)?)
    }

    /// What is said in the window at a frame, and in which language.
    ///
    /// First only the sound and some silence behind it are heard, which is quick. If the model is less
    /// than sure of the text then, the whole window is heard as it was trained for.
    fn understand(&mut self, frame: usize, heard: usize) -> Result<(Spoken, Decoded), TranscribeError> {
        let whole = self.whisper.dims().frames();
        let short = short::frames(heard);
        if self.options.short_windows && short < whole && self.options.temperatures.first() == Some(&0.0) {
            let (spoken, decoded) = self.understand_in(frame, heard, short, &[0.0])?;
            let sure = spoken.probability.is_none_or(|probability| probability >= SURE_LANGUAGE);
            if sure && decoded.is_sure(self.options) {
                return Ok((spoken, decoded));
            }
            tracing::debug!(
                decoded.avg_logprob,
                decoded.no_speech_prob,
                spoken.probability,
                "window is heard as a whole"
            );
        }
        self.understand_in(frame, heard, whole, &self.options.temperatures)
    }

    fn understand_in(
        &mut self,
        frame: usize,
        heard: usize,
        frames: usize,
        temperatures: &[f32],
    ) -> Result<(Spoken, Decoded), TranscribeError> {
        self.report(frame as f64)?;
        let heard = self.whisper.hear(&self.mel.rows(frame, heard, frames))?;
        let spoken = self.spoken.map_or_else(|| spoken::detect(self.whisper, &*heard), Ok)?;
        let task = self.options.task_for(spoken.language.code);
        let beginning = self.whisper.tokens().beginning(spoken.language, task, self.options.timestamps)?;
        Ok((
            spoken,
            self.decode(&*heard, &Asked { frame, language: spoken.language, beginning: &beginning, temperatures })?,
        ))
    }

    /// Decodes the window at a frame and adds its segments; returns by how many frames to go on.
    fn write(&mut self, frame: usize, extent: Extent) -> Result<usize, TranscribeError> {
        let (spoken, decoded) = self.understand(frame, extent.frames)?;
        self.guess.get_or_insert(spoken);
        if decoded.is_silence(self.options) {
            return Ok(extent.frames);
        }
        let (cuts, done) = cut(&decoded.tokens, self.whisper.tokens(), extent);
        let mut segments = Vec::with_capacity(cuts.len());
        let begins = decoded.begins(extent);
        let script = Script::of(spoken.language.code, self.options.task_for(spoken.language.code));
        for cut in &cuts {
            let words = words::of(cut, &decoded.logprobs, &begins, (self.whisper.tokens(), script))?;
            segments.push(self.segment(cut, frame, &decoded, words)?);
        }
        let doubtful = !decoded.is_believed(self.options);
        let before = self.segments.len();
        for (segment, invented) in std::iter::zip(&segments, invented(&segments)) {
            self.add(segment, invented || doubtful);
        }
        self.spoken = if self.segments.len() > before { Some(spoken) } else { self.spoken };
        if !self.options.condition_on_previous || decoded.temperature > MAX_TRUSTED_TEMPERATURE {
            self.trusted_from = self.history.len();
        }
        // A window that ends where it began would be read for ever.
        Ok(if done == 0 || doubtful { extent.frames } else { done })
    }

    /// What is said in a window. Words of the hint and nothing else may be an echo of it: then the
    /// window is read without, and if nothing is left there was nothing.
    fn decode(&mut self, heard: &dyn Listening, asked: &Asked<'_>) -> Result<Decoded, TranscribeError> {
        let hint = std::mem::take(&mut self.hint);
        let decoded = self.decode_with(&hint, heard, asked);
        self.hint = hint;
        let decoded = decoded?;
        let text = self.whisper.tokens().decode(&decoded.tokens)?;
        let hint = self.options.hint.as_deref().unwrap_or_default();
        if !is_echo(&text, hint) {
            return Ok(decoded);
        }
        let plain = self.decode_with(&[], heard, asked)?;
        Ok(if plain.is_speech(self.options, self.whisper)? { decoded } else { plain })
    }

    fn decode_with(
        &mut self,
        hint: &[u32],
        heard: &dyn Listening,
        asked: &Asked<'_>,
    ) -> Result<Decoded, TranscribeError> {
        let Asked { frame, language, beginning, temperatures } = *asked;
        let window = Window {
            whisper: self.whisper,
            options: self.options,
            heard,
            frame,
            beginning,
            hint,
            previous: &self.history[self.trusted_from..],
            temperatures,
        };
        let (timeline, on_progress, on_hearing) = (&self.timeline, &mut *self.on_progress, &mut *self.on_hearing);
        let (tokens, hint) = (self.whisper.tokens(), self.options.hint.as_deref().unwrap_or_default());
        window.decode(&mut |Written { tokens: written, seconds, promising }| {
            if promising {
                on_hearing(&Hearing::Draft(Draft {
                    vocabulary: tokens,
                    tokens: written,
                    language: language.code,
                    hint,
                }));
            }
            report(on_progress, timeline.ends(frame as f64 + seconds * FRAMES_PER_SECOND), timeline.seconds())
        })
    }

    /// A segment whose text still has the spaces around it.
    fn segment(&self, cut: &Cut<'_>, frame: usize, decoded: &Decoded, words: Vec<Word>) -> anyhow::Result<Segment> {
        let place = |seconds: f64| frame as f64 + seconds * FRAMES_PER_SECOND;
        let start = self.timeline.begins(place(cut.start));
        Ok(Segment {
            start,
            // Whisper hears silence behind the end of a recording and sometimes puts a time into it.
            end: self.timeline.ends(place(cut.end)).max(start),
            text: self.whisper.tokens().decode(cut.tokens)?,
            tokens: cut.tokens.to_vec(),
            avg_logprob: decoded.avg_logprob,
            compression_ratio: decoded.compression_ratio,
            no_speech_prob: decoded.no_speech_prob,
            temperature: decoded.temperature,
            words: words.into_iter().map(|word| self.timeline.word(frame, word)).collect(),
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

    fn report(&mut self, frame: f64) -> Result<(), Stopped> {
        let (done, total) = (self.timeline.ends(frame), self.timeline.seconds());
        report(self.on_progress, done, total)
    }

    fn spoken(&self) -> Option<Spoken> {
        self.spoken.or(self.guess)
    }

    fn finish(self) -> Transcript {
        let spoken = self.spoken();
        let language = spoken.map_or(ENGLISH, |spoken| spoken.language.code);
        Transcript {
            text: self.text.trim().to_owned(),
            language,
            language_probability: spoken.and_then(|spoken| spoken.probability),
            task: self.options.task_for(language),
            duration: self.timeline.seconds(),
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
