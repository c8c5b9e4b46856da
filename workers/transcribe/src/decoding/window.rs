//! One window of 30 seconds: tokens, and whether they are to be trusted.

use anyhow::ensure;
use shanshui_pipeline::telemetry::entered;

use super::{
    Options, Stopped, TranscribeError,
    alignment::Attention,
    invention::is_invention,
    repeats::{compression_ratio, end_of_first_in_loop},
    rules::Rules,
    sampling::{Draws, pick, probability},
    segments::Extent,
};
use crate::whisper::{
    Whisper,
    languages::Language,
    tokens::TIMESTAMP_SECONDS,
    towers::{Listening, Writing},
};

/// A window that is ready to be decoded, and what came before it.
pub(super) struct Window<'a> {
    pub(super) whisper: &'a Whisper,
    pub(super) options: &'a Options,
    pub(super) heard: &'a dyn Listening,
    /// Where it begins in the recording, in frames.
    pub(super) frame: usize,
    /// Start, language and task.
    pub(super) beginning: &'a [u32],
    /// What may occur.
    pub(super) hint: &'a [u32],
    /// Text of the windows before.
    pub(super) previous: &'a [u32],
    /// Tried one after the other until a text passes the thresholds of the options.
    pub(super) temperatures: &'a [f32],
}

/// The outcome of one attempt at a window.
#[derive(Debug, Clone)]
pub(super) struct Decoded {
    pub(super) tokens: Vec<u32>,
    pub(super) avg_logprob: f32,
    pub(super) compression_ratio: f32,
    pub(super) no_speech_prob: f32,
    pub(super) temperature: f32,
    /// Log-probability of each token.
    pub(super) logprobs: Vec<f32>,
    /// To what they have listened, and the end of the text as well if it was reached.
    pub(super) attention: Attention,
    /// The text ran in circles and was cut.
    looped: bool,
}

/// Once the attempts at a window have taken so many tokens together, two full texts, there is no
/// further one: noise that fails every threshold would take longer to read than it lasts.
const MAX_TOKENS: usize = 2 * 224;

/// How far below the threshold a text may stay that is believed without having passed, where the
/// model hears speech. Inventions for music and clicks were measured at -2.0 and -3.9.
const NEARLY: f32 = 0.7;
const SURELY_SPEECH: f32 = 0.5;

/// The mean log-probability from which on a text of a short window is taken. Of 22 recordings that were
/// compared word by word, one had more wrong words than in the whole window; it had -0.46.
const SURE: f32 = -0.4;

/// What is written of a window at a time.
pub(super) struct Written<'a> {
    pub(super) tokens: &'a [u32],
    /// Seconds of the window up to the last time that was written.
    pub(super) seconds: f64,
    /// Nothing speaks against it so far.
    pub(super) promising: bool,
}

/// Told what is written of the window; an error ends the work.
pub(super) type Tick<'a> = dyn FnMut(Written<'_>) -> Result<(), Stopped> + 'a;

impl<'a> Window<'a> {
    /// Tries one temperature after the other until the text passes the thresholds.
    /// If none does, the likeliest of the texts that do not repeat themselves is taken.
    pub(super) fn decode(&self, tick: &mut Tick<'_>) -> Result<Decoded, TranscribeError> {
        let _phase = entered("tokens");
        let mut failed: Vec<Decoded> = Vec::new();
        let mut spent = 0;
        for (attempt, temperature) in self.temperatures.iter().enumerate() {
            if spent >= MAX_TOKENS {
                break;
            }
            let decoded = self.attempt(attempt, *temperature, tick)?;
            spent += decoded.tokens.len();
            if decoded.is_silence(self.options) || decoded.is_good(self.options) {
                return Ok(decoded);
            }
            tracing::debug!(
                temperature,
                decoded.avg_logprob,
                decoded.compression_ratio,
                decoded.looped,
                "window is decoded again"
            );
            failed.push(decoded);
        }
        let rank = |decoded: &Decoded| (!decoded.repeats(self.options), decoded.avg_logprob);
        let best = failed.into_iter().max_by(|a, b| rank(a).partial_cmp(&rank(b)).unwrap_or(std::cmp::Ordering::Equal));
        Ok(best.ok_or_else(|| anyhow::anyhow!("temperatures: none is given"))?)
    }

    fn attempt(&self, attempt: usize, temperature: f32, tick: &mut Tick<'_>) -> Result<Decoded, TranscribeError> {
        let draws = Draws::new(self.options.seed, self.frame, attempt);
        let rules = self.rules();
        let mut writer = Writer::start(self, rules)?;
        let mut logprobs = Vec::new();
        let mut attention = Attention::default();
        let mut looped = false;
        let mut tokens: Vec<u32> = Vec::new();
        for step in 0..self.whisper.dims().text_context / 2 {
            let mut logits = writer.logits()?;
            rules.apply(&mut logits, &tokens);
            let (token, logprob) = pick(&logits, temperature, draws, step);
            logprobs.push(logprob);
            attention.push(writer.text.listened()?);
            if token == self.whisper.tokens().end {
                break;
            }
            tokens.push(token);
            let promising = self.is_promising(writer.no_speech_prob, &logprobs);
            tick(Written { tokens: &tokens, seconds: self.seconds(&tokens), promising })?;
            looped = self.cut_loop(&mut tokens);
            if looped || !writer.write(&tokens)? {
                break;
            }
        }
        let text = self.whisper.tokens().decode(&tokens)?;
        Ok(Decoded {
            avg_logprob: mean(&logprobs),
            compression_ratio: compression_ratio(text.trim()).map_err(anyhow::Error::from)?,
            no_speech_prob: writer.no_speech_prob,
            tokens,
            temperature,
            logprobs,
            attention,
            looped,
        })
    }

    /// Whether the thresholds would take what is written, were it the whole text.
    fn is_promising(&self, no_speech_prob: f32, logprobs: &[f32]) -> bool {
        no_speech_prob <= self.options.max_no_speech && mean(logprobs) >= self.options.min_logprob
    }

    fn rules(&self) -> Rules<'a> {
        let max_first_timestamp = (self.options.max_first_timestamp / TIMESTAMP_SECONDS).round() as usize;
        Rules { tokens: self.whisper.tokens(), timestamps: self.options.timestamps, max_first_timestamp }
    }

    /// Seconds of the window up to the last time that was written.
    fn seconds(&self, tokens: &[u32]) -> f64 {
        let last = tokens.iter().rev().find(|token| self.whisper.tokens().is_timestamp(**token));
        last.map_or(0.0, |token| self.whisper.tokens().seconds(*token))
    }

    /// Leaves one round of a loop of words. Times count on while the words turn, so they are not
    /// looked at.
    fn cut_loop(&self, tokens: &mut Vec<u32>) -> bool {
        let (places, words): (Vec<usize>, Vec<u32>) = tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| !self.whisper.tokens().is_timestamp(**token))
            .map(|(place, token)| (place, *token))
            .unzip();
        let end = end_of_first_in_loop(&words);
        if let Some(end) = end {
            tokens.truncate(places[end - 1] + 1);
        }
        end.is_some()
    }
}

impl Decoded {
    /// The window holds nothing that was said.
    pub(super) fn is_silence(&self, options: &Options) -> bool {
        self.no_speech_prob > options.max_no_speech && self.avg_logprob < options.min_logprob
    }

    /// Whether it may be what somebody said: it passed the thresholds, or missed one by little where
    /// the model hears speech.
    pub(super) fn is_believed(&self, options: &Options) -> bool {
        let nearly = self.avg_logprob >= options.min_logprob - NEARLY && self.no_speech_prob < SURELY_SPEECH;
        self.is_good(options) || nearly && !self.repeats(options)
    }

    /// When each token begins, in seconds of the window; none where that is not known.
    pub(super) fn begins(&self, extent: Extent) -> Vec<f64> {
        let begins = self.attention.begins(extent.frames.div_ceil(2));
        begins.into_iter().map(|position| position as f64 * TIMESTAMP_SECONDS).collect()
    }

    /// Whether it needs no second look: of a window that was cut short, only this is taken.
    pub(super) fn is_sure(&self, options: &Options) -> bool {
        let sure = self.avg_logprob >= SURE && self.no_speech_prob < SURELY_SPEECH;
        self.is_good(options) && sure && self.temperature == 0.0
    }

    /// Whether it tells of speech by itself.
    pub(super) fn is_speech(&self, options: &Options, whisper: &Whisper) -> anyhow::Result<bool> {
        let text = whisper.tokens().decode(&self.tokens)?;
        Ok(!self.is_silence(options) && self.is_believed(options) && !is_invention(&text))
    }

    fn is_good(&self, options: &Options) -> bool {
        !self.repeats(options) && self.avg_logprob >= options.min_logprob
    }

    fn repeats(&self, options: &Options) -> bool {
        self.looped || self.compression_ratio > options.max_compression
    }
}

fn mean(logprobs: &[f32]) -> f32 {
    logprobs.iter().sum::<f32>() / logprobs.len().max(1) as f32
}

/// The decoder at work on one text.
struct Writer<'a> {
    whisper: &'a Whisper,
    text: Box<dyn Writing + 'a>,
    rules: Rules<'a>,
    /// Which of the tokens that were fed last is the last.
    last: usize,
    no_speech_prob: f32,
}

impl<'a> Writer<'a> {
    fn start(window: &Window<'a>, rules: Rules<'a>) -> anyhow::Result<Self> {
        let Window { whisper, heard, .. } = *window;
        let room = whisper.dims().text_context / 2 - 1;
        let hint = &window.hint[..window.hint.len().min(room)];
        let previous = &window.previous[window.previous.len().saturating_sub(room - hint.len())..];
        let mut prompt = Vec::new();
        if hint.len() + previous.len() > 0 {
            prompt = [&[whisper.tokens().previous], hint, previous].concat();
        }
        let start = prompt.len();
        prompt.extend(window.beginning);
        ensure!(
            prompt.len() < whisper.dims().text_context,
            "weights: a context of {} tokens is too short",
            whisper.dims().text_context
        );
        let mut text = heard.start()?;
        let last = prompt.len() - 1;
        let all = 0..whisper.dims().vocabulary;
        // Whether there is speech at all is told by the scores of all tokens.
        text.feed(&prompt, if start == last { all } else { rules.reach(&[], all.end) })?;
        let no_speech_prob = probability(&text.logits(start)?, whisper.tokens().no_speech);
        Ok(Self { whisper, text, rules, last, no_speech_prob })
    }

    /// Scores of the token after the last.
    fn logits(&self) -> anyhow::Result<Vec<f32>> {
        self.text.logits(self.last)
    }

    /// Adds the last of the tokens; false if the context is full.
    fn write(&mut self, tokens: &[u32]) -> anyhow::Result<bool> {
        if self.text.length() == self.whisper.dims().text_context {
            return Ok(false);
        }
        let last = &tokens[tokens.len().saturating_sub(1)..];
        self.text.feed(last, self.rules.reach(tokens, self.whisper.dims().vocabulary))?;
        self.last = 0;
        Ok(true)
    }
}

/// How likely a window is in each of the languages that the model reads, likeliest first; none if
/// it reads only English.
pub(super) fn detect_language(
    whisper: &Whisper,
    heard: &dyn Listening,
) -> anyhow::Result<Vec<(&'static Language, f32)>> {
    let _phase = entered("tokens");
    let mut text = heard.start()?;
    let languages = whisper.tokens().languages();
    let ids = || languages.iter().map(|(id, _)| *id as usize);
    text.feed(&[whisper.tokens().start], ids().min().unwrap_or(0)..ids().max().map_or(0, |last| last + 1))?;
    let logits = text.logits(0)?;
    let scores: Vec<f32> = languages.iter().map(|(id, _)| logits[*id as usize]).collect();
    let mut found: Vec<_> =
        languages.iter().zip(0..).map(|((_, language), at)| (*language, probability(&scores, at))).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(found)
}
