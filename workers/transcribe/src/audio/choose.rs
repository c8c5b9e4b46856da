//! Which track, and which of its channels, is heard: the first that holds speech.

use super::level::level;
use super::mix::{Mix, Mixer};
use super::parts::{Flaws, Part};
use super::session::{self, Learned, hear};
use super::sink::Sink;
use super::{AudioError, Budget, Recording, Source};
use crate::gate::{self, Verdict};

/// Most other channels and tracks that are tried; each costs as much as the first.
const MAX_CHANNELS: usize = 4;
const MAX_TRACKS: usize = 8;

/// One way to hear the file.
struct Try {
    recording: Recording,
    learned: Learned,
    mixer: Mixer,
}

/// The usual track with its channels mixed; if that holds no speech the first other channel or
/// track that does.
pub(super) fn best(parts: &[Part<'_>], budget: &Budget) -> Result<Recording, AudioError> {
    let usual = take(parts, budget, None, Mix::Mean)?;
    if usual.speaks() && !usual.mixer.cancels() {
        return Ok(usual.recording);
    }
    let found = other_channel(parts, budget, &usual).or_else(|| other_track(parts, budget, &usual));
    Ok(found.unwrap_or(usual.recording))
}

fn other_channel(parts: &[Part<'_>], budget: &Budget, usual: &Try) -> Option<Recording> {
    let nothing = usual.recording.sound.verdict == Verdict::Silence && !usual.mixer.cancels();
    if usual.learned.channels < 2 || nothing {
        return None;
    }
    usual.mixer.loudest().into_iter().take(MAX_CHANNELS).find_map(|channel| {
        let mut alone = take(parts, budget, Some(usual.learned.track), Mix::One(channel)).ok().filter(Try::speaks)?;
        alone.recording.source.channel = Some(channel + 1);
        Some(alone.recording)
    })
}

fn other_track(parts: &[Part<'_>], budget: &Budget, usual: &Try) -> Option<Recording> {
    let others = (0..usual.learned.tracks).filter(|track| *track != usual.learned.track);
    others.take(MAX_TRACKS).find_map(|track| {
        take(parts, budget, Some(track), Mix::Mean).ok().filter(Try::speaks).map(|other| other.recording)
    })
}

impl Try {
    fn speaks(&self) -> bool {
        self.recording.sound.verdict == Verdict::Speech
    }
}

/// Hears all parts, one behind the other. What of them cannot be read at all is damage, unless
/// nothing can.
fn take(parts: &[Part<'_>], budget: &Budget, track: Option<usize>, mix: Mix) -> Result<Try, AudioError> {
    let mut sink = Sink::new(budget, mix);
    let mut learned: Option<Learned> = None;
    let mut refused = None;
    for part in parts {
        match hear(part, track, &mut sink) {
            Ok(found) => join(&mut learned, found),
            Err(error @ (AudioError::TooLong { .. } | AudioError::TooManySamples { .. })) => return Err(error),
            Err(error) => _ = refused.get_or_insert(error),
        }
    }
    let (mut samples, mixer) = sink.finish()?;
    let Some(mut learned) = learned.filter(|_| !samples.is_empty()) else {
        return Err(refused.unwrap_or(AudioError::Empty));
    };
    learned.flaws.damaged |= refused.is_some();
    level(&mut samples, learned.bits);
    let sound = gate::listen(&samples);
    let source = source(&learned, parts.len(), session::seconds(samples.len()));
    Ok(Try { recording: Recording { samples, source, sound }, learned, mixer })
}

fn join(learned: &mut Option<Learned>, found: Learned) {
    match learned {
        None => *learned = Some(found),
        Some(first) => {
            first.flaws = first.flaws.and(found.flaws);
            first.bits = first.bits.zip(found.bits).map(|(a, b)| a.max(b));
        }
    }
}

fn source(learned: &Learned, parts: usize, seconds: f64) -> Source {
    let Flaws { truncated, damaged } = learned.flaws;
    Source {
        container: learned.container.to_owned(),
        codec: learned.codec.to_owned(),
        sample_rate: learned.rate,
        channels: learned.channels,
        channel: None,
        track: learned.track + 1,
        tracks: learned.tracks,
        parts,
        seconds,
        truncated,
        damaged,
        decoder: None,
    }
}
