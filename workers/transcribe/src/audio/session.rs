//! One recording from its first byte to its last: find the track, decode its packets in order.

use std::io::{Cursor, ErrorKind, Read};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::errors::Error as Broken;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::packet::Packet;

use super::codec::{Decoded, Decoder};
use super::edit_list;
use super::names;
use super::parts::{Flaws, Part};
use super::sink::{Heard, Sink};
use super::{AudioError, SAMPLE_RATE, SOURCE_RATES};

/// A container may hold empty samples without end (`stsz` in MP4 needs no bytes for them); real
/// recordings never have so many packets in a row that yield no sound.
const MAX_DUMB_PACKETS: u32 = 4096;

/// Matroska leaves out packets while nobody speaks (DTX); a hole longer than this is refilled.
const MIN_GAP_SECONDS: f64 = 0.08;

pub(super) struct Session<'a> {
    reader: Box<dyn FormatReader + 'a>,
    track: Track,
    decoder: Decoder,
    learned: Learned,
    heard: Heard,
    /// Start of the packet in hand and end of the last one, in seconds.
    start: f64,
    end: Option<f64>,
    /// Frames that came, at the source's own rate.
    frames: u64,
    /// First error met.
    broken: Option<Broken>,
}

/// What was learned of one recording.
#[derive(Debug, Clone, Default)]
pub(super) struct Learned {
    pub(super) container: &'static str,
    pub(super) codec: &'static str,
    pub(super) rate: u32,
    pub(super) channels: usize,
    /// Bits of a sample; none for floats.
    pub(super) bits: Option<u32>,
    /// Which audio track, from 0, and how many there are.
    pub(super) track: usize,
    pub(super) tracks: usize,
    pub(super) flaws: Flaws,
}

/// Decodes a part into the sink; `track` counts audio tracks from 0, none takes the usual one.
///
/// # Errors
/// Where nothing can be decoded, or the budget is spent.
pub(super) fn hear(part: &Part<'_>, track: Option<usize>, sink: &mut Sink<'_>) -> Result<Learned, AudioError> {
    let session = Session::open(part, track)?;
    check_declared_length(&session, part.piece().len() as u64, sink)?;
    let before = sink.samples();
    sink.begin(session.heard);
    session.run(part.flaws, sink, before)
}

impl<'a> Session<'a> {
    fn open(part: &'a Part<'a>, wanted: Option<usize>) -> Result<Self, AudioError> {
        let reader = open_reader(part)?;
        let container = reader.format_info().short_name;
        let tracks = audio_tracks(reader.as_ref());
        let (index, track, codec, decoder) = pick(&tracks, wanted, container, part.piece())?;
        check_rate(codec.sample_rate)?;
        let float = decoder.name().starts_with("pcm_f");
        let learned = Learned {
            container,
            codec: decoder.name(),
            bits: (!float).then(|| codec.bits_per_sample.unwrap_or(16)),
            track: index,
            tracks: tracks.len(),
            flaws: part.flaws,
            ..Learned::default()
        };
        let heard = heard_part(&track, &decoder, container, part.piece());
        Ok(Self { reader, track, decoder, learned, heard, start: 0.0, end: None, frames: 0, broken: None })
    }

    fn run(mut self, flaws: Flaws, sink: &mut Sink<'_>, before: usize) -> Result<Learned, AudioError> {
        let mut interleaved = Vec::new();
        let mut dumb = 0;
        while let Some(packet) = self.next_packet() {
            self.fill_gap(&packet, flaws.damaged, sink)?;
            let decoded = self.decoder.decode(&packet, &mut interleaved);
            let sounds = decoded.is_ok() && !interleaved.is_empty();
            dumb = if sounds { 0 } else { dumb + 1 };
            match decoded {
                Ok(decoded) => self.take(&decoded, &interleaved, sink)?,
                Err(error) => self.lose(&packet, error, sink)?,
            }
            if dumb > MAX_DUMB_PACKETS {
                break;
            }
        }
        let sounds = sink.samples() > before || self.frames > 0;
        self.finish(sounds)
    }

    fn take(&mut self, decoded: &Decoded, interleaved: &[f32], sink: &mut Sink<'_>) -> Result<(), AudioError> {
        let &Decoded { rate, channels, ref weights } = decoded;
        check_rate(Some(rate))?;
        (self.learned.rate, self.learned.channels) = (rate, channels);
        let frames = interleaved.len() / channels.max(1);
        self.frames += frames as u64;
        self.end = Some(self.start + frames as f64 / f64::from(rate));
        sink.mixer.set(weights);
        sink.push(interleaved, channels, rate)
    }

    /// Silence takes the place of a packet that cannot be decoded, so that times stay right.
    fn lose(&mut self, packet: &Packet, error: Broken, sink: &mut Sink<'_>) -> Result<(), AudioError> {
        self.broken.get_or_insert(error);
        self.learned.flaws.damaged = true;
        let Some(base) = self.track.time_base.filter(|_| self.frames > 0) else { return Ok(()) };
        let seconds = packet.dur.get() as f64 * f64::from(base);
        self.end = Some(self.start + seconds);
        sink.push_silence(seconds.min(1.0))
    }

    /// The track's next packet; `None` at the end or where the data breaks off.
    fn next_packet(&mut self) -> Option<Packet> {
        loop {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track.id => return Some(packet),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    self.stop(error);
                    return None;
                }
            }
        }
    }

    /// The demuxer cannot go on. Whether the bytes end too early was seen before where the
    /// container's structure was walked.
    fn stop(&mut self, error: Broken) {
        let walked = !matches!(self.learned.container, "isomp4" | "aiff" | "caf" | "flac");
        let flaws = &mut self.learned.flaws;
        match is_end(&error) {
            true => flaws.truncated |= !walked && self.track.num_frames.is_some(),
            false => flaws.damaged = true,
        }
        self.broken.get_or_insert(error);
    }

    /// Keeps times right where packets are missing: fills from the end of the last packet to the
    /// start of this one. Matroska leaves out silent ones, FLAC and Ogg lose damaged ones.
    fn fill_gap(&mut self, packet: &Packet, damaged: bool, sink: &mut Sink<'_>) -> Result<(), AudioError> {
        let container = self.learned.container;
        if !(matches!(container, "matroska" | "flac") || container == "ogg" && damaged) {
            return Ok(());
        }
        let Some(base) = self.track.time_base else { return Ok(()) };
        self.start = base.calc_time_saturating(packet.pts).as_secs_f64();
        let gap = self.start - self.end.unwrap_or(self.start);
        if container == "flac" && gap > 0.001 {
            self.learned.flaws.damaged = true;
            return sink.push_silence(gap);
        }
        if gap > MIN_GAP_SECONDS { sink.push_silence(gap) } else { Ok(()) }
    }

    fn finish(mut self, sounds: bool) -> Result<Learned, AudioError> {
        // The header of a FLAC counts its samples, and each of its frames has its place.
        let declared = self.track.num_frames.filter(|_| self.learned.container == "flac").unwrap_or(0);
        let reached = self.end.unwrap_or(0.0) * f64::from(self.learned.rate);
        self.learned.flaws.truncated |= reached + 1.0 < declared as f64;
        match (sounds, self.broken) {
            (false, Some(error)) if !is_end(&error) => Err(AudioError::Corrupt(error.to_string())),
            (false, _) => Err(AudioError::Empty),
            (true, _) => Ok(self.learned),
        }
    }
}

fn is_end(error: &Broken) -> bool {
    matches!(error, Broken::IoError(error) if error.kind() == ErrorKind::UnexpectedEof)
}

/// Readers that may seek look for the end of the file first. Where that is missing, reading
/// straight on still finds the sound.
fn open_reader<'a>(part: &'a Part<'a>) -> Result<Box<dyn FormatReader + 'a>, AudioError> {
    let straight = || probe(Box::new(ReadOnlySource::new(Cursor::new(part.header.as_slice()).chain(part.bytes))));
    if part.seekable {
        return probe(Box::new(Cursor::new(part.piece())))
            .or_else(|error| straight().map_err(|_| error))
            .map_err(unreadable);
    }
    straight().map_err(unreadable)
}

fn probe<'a>(source: Box<dyn MediaSource + 'a>) -> Result<Box<dyn FormatReader + 'a>, Broken> {
    let stream = MediaSourceStream::new(source, Default::default());
    let probe = symphonia::default::get_probe();
    probe.probe(&Hint::new(), stream, Default::default(), Default::default())
}

/// An error of the probe: mostly "this is no container", else a header that makes no sense.
fn unreadable(error: Broken) -> AudioError {
    match error {
        Broken::IoError(_) => AudioError::UnknownContainer,
        Broken::Unsupported("core (probe): no suitable format reader found") => AudioError::UnknownContainer,
        error => AudioError::Corrupt(error.to_string()),
    }
}

type AudioTrack = (Track, AudioCodecParameters);

/// The audio tracks; the usual one first.
fn audio_tracks(reader: &dyn FormatReader) -> Vec<(usize, AudioTrack)> {
    let audio = |track: &Track| match &track.codec_params {
        Some(CodecParameters::Audio(codec)) => Some((track.clone(), codec.clone())),
        _ => None,
    };
    let mut tracks: Vec<(usize, AudioTrack)> = reader.tracks().iter().filter_map(audio).enumerate().collect();
    if let Some(usual) = reader.default_track(TrackType::Audio) {
        tracks.sort_by_key(|(_, (track, _))| track.id != usual.id);
    }
    tracks
}

/// The wanted track, or the first that can be decoded.
fn pick(
    tracks: &[(usize, AudioTrack)],
    wanted: Option<usize>,
    container: &'static str,
    bytes: &[u8],
) -> Result<(usize, Track, AudioCodecParameters, Decoder), AudioError> {
    let mut refused = None;
    for (index, (track, codec)) in tracks.iter().filter(|(index, _)| wanted.is_none_or(|wanted| wanted == *index)) {
        match Decoder::open(codec, container) {
            Ok(decoder) => return Ok((*index, track.clone(), codec.clone(), decoder)),
            Err(error) => _ = refused.get_or_insert(error),
        }
    }
    Err(refused.unwrap_or_else(|| match names::unknown_codec(bytes, container) {
        Some(codec) => AudioError::Unread { container, codec },
        None => AudioError::NoTrack { container },
    }))
}

fn check_rate(rate: Option<u32>) -> Result<(), AudioError> {
    match rate {
        Some(rate) if !SOURCE_RATES.contains(&rate) => Err(AudioError::SampleRate { rate }),
        _ => Ok(()),
    }
}

/// Refuses early what says itself that it is too long. More PCM than the bytes can hold is no
/// reason: the header may have been written before the length was known.
fn check_declared_length(session: &Session<'_>, bytes: u64, sink: &Sink<'_>) -> Result<(), AudioError> {
    let track = &session.track;
    let rate = track.codec_params.as_ref().and_then(|codec| codec.audio()).and_then(|codec| codec.sample_rate);
    let (Some(frames), Some(rate)) = (track.num_frames, rate) else { return Ok(()) };
    // No PCM sample takes less than a byte.
    let frames = if session.learned.codec.starts_with("pcm") { frames.min(bytes) } else { frames };
    sink.announce(frames as f64 / f64::from(rate.max(1)))
}

/// Which frames of the decoded track are sound, and which are the codec's run-in and padding.
/// Symphonia's own decoders cut MP3 and Vorbis by themselves.
fn heard_part(track: &Track, decoder: &Decoder, container: &str, bytes: &[u8]) -> Heard {
    if container == "isomp4"
        && let Some(edit) = edit_list::first_edit(bytes, track.id)
    {
        return edit;
    }
    match decoder {
        Decoder::Opus(opus) => Heard { skip: opus.pre_skip_seconds(), keep: None },
        _ if container == "caf" => {
            let seconds = |frames: u64| frames as f64 * f64::from(track.time_base.unwrap_or_default());
            Heard {
                skip: seconds(track.delay.unwrap_or(0).into()),
                keep: track.padding.and(track.num_frames).map(seconds),
            }
        }
        _ => Heard::default(),
    }
}

/// Seconds of so many samples.
pub(super) fn seconds(samples: usize) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE)
}
