//! One container from its first byte to its last: find the track, decode its packets in order.

use std::io::{Cursor, ErrorKind};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error as Broken;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::packet::Packet;

use super::edit_list;
use super::opus::OpusDecoder;
use super::sink::{Heard, Sink};
use super::{AudioError, Budget, Recording, SOURCE_RATES};

/// A container may hold empty samples without end (`stsz` in MP4 needs no bytes for them); real
/// recordings never have so many packets in a row that yield no sound.
const MAX_DUMB_PACKETS: u32 = 4096;

/// Matroska leaves out packets while nobody speaks (DTX); a hole longer than this is refilled.
const MIN_GAP_SECONDS: f64 = 0.08;

pub(super) struct Session<'a> {
    reader: Box<dyn FormatReader + 'a>,
    track: Track,
    decoder: Decoder,
    sink: Sink<'a>,
    channels: usize,
    /// Start of the packet in hand and end of the last one, in seconds; only Matroska's count.
    start: f64,
    end: Option<f64>,
    /// First error met; the recording is then called truncated.
    broken: Option<Broken>,
}

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusDecoder>),
}

impl<'a> Session<'a> {
    pub(super) fn open(bytes: &'a [u8], budget: &'a Budget) -> Result<Self, AudioError> {
        // Readers that may seek look for the end of the file first. Where that is missing (a cut
        // AIFF or CAF), reading straight on still finds the sound.
        let reader = probe(Box::new(Cursor::new(bytes)))
            .or_else(|error| probe(Box::new(ReadOnlySource::new(bytes))).map_err(|_| error))
            .map_err(unreadable)?;
        let container = reader.format_info().short_name;
        let (track, codec) = audio_track(reader.as_ref())?;
        check_rate(codec.sample_rate)?;
        let decoder = open_decoder(&codec, container)?;
        // No PCM sample takes less than a byte.
        let possible = decoder.name().starts_with("pcm").then_some(bytes.len() as u64);
        check_declared_length(&track, &codec, possible, budget)?;
        let heard = heard_part(&track, &decoder, container, bytes);
        let sink = Sink::new(budget, heard);
        Ok(Self { reader, track, decoder, sink, channels: 0, start: 0.0, end: None, broken: None })
    }

    pub(super) fn run(mut self) -> Result<Recording, AudioError> {
        let mut interleaved = Vec::new();
        let mut dumb = 0;
        while let Some(packet) = self.next_packet() {
            self.fill_gap(&packet)?;
            let decoded = self.decoder.decode(&packet, &mut interleaved);
            let sounds = decoded.is_ok() && !interleaved.is_empty();
            dumb = if sounds { 0 } else { dumb + 1 };
            match decoded {
                Ok((rate, channels)) => {
                    check_rate(Some(rate))?;
                    self.channels = channels;
                    let frames = interleaved.len() / channels.max(1);
                    self.end = Some(self.start + frames as f64 / f64::from(rate));
                    self.sink.push(&interleaved, channels, rate)?;
                }
                Err(error) => _ = self.broken.get_or_insert(error),
            }
            if dumb > MAX_DUMB_PACKETS {
                break;
            }
        }
        self.finish()
    }

    /// The track's next packet; `None` at the end or where the data breaks off.
    fn next_packet(&mut self) -> Option<Packet> {
        loop {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track.id => return Some(packet),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    self.broken.get_or_insert(error);
                    return None;
                }
            }
        }
    }

    /// Keeps times right where Matroska skipped the silent packets: fills from the end of the
    /// last packet to the start of this one.
    fn fill_gap(&mut self, packet: &Packet) -> Result<(), AudioError> {
        if self.reader.format_info().short_name != "matroska" {
            return Ok(());
        }
        let Some(base) = self.track.time_base else {
            return Ok(());
        };
        self.start = base.calc_time_saturating(packet.pts).as_secs_f64();
        let gap = self.start - self.end.unwrap_or(self.start);
        if gap > MIN_GAP_SECONDS { self.sink.push_silence(gap) } else { Ok(()) }
    }

    fn finish(self) -> Result<Recording, AudioError> {
        let container = self.reader.format_info().short_name;
        let codec = self.decoder.name();
        // Where no length was declared, the end of the bytes is the end.
        let open_end = |error: &Broken| self.track.num_frames.is_none() && is_end(error);
        let truncated = self.broken.as_ref().is_some_and(|error| !open_end(error));
        let (samples, source_rate) = self.sink.finish()?;
        match (samples.is_empty(), self.broken) {
            (true, Some(error)) if is_end(&error) => Err(AudioError::Empty),
            (true, Some(error)) => Err(AudioError::Corrupt(error)),
            (true, None) => Err(AudioError::Empty),
            (false, _) => Ok(Recording {
                seconds: samples.len() as f64 / f64::from(super::SAMPLE_RATE),
                samples,
                source_rate,
                channels: self.channels,
                container,
                codec,
                truncated,
            }),
        }
    }
}

impl Decoder {
    /// Replaces `interleaved` by the packet's samples; returns their rate and channel count.
    fn decode(&mut self, packet: &Packet, interleaved: &mut Vec<f32>) -> Result<(u32, usize), Broken> {
        interleaved.clear();
        match self {
            Self::Symphonia(decoder) => {
                let decoded = decoder.decode(packet)?;
                decoded.copy_to_vec_interleaved(interleaved);
                Ok((decoded.spec().rate(), decoded.spec().channels().count()))
            }
            Self::Opus(decoder) => decoder.decode(packet, interleaved),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Symphonia(decoder) => decoder.codec_info().short_name,
            Self::Opus(_) => "opus",
        }
    }
}

fn is_end(error: &Broken) -> bool {
    matches!(error, Broken::IoError(error) if error.kind() == ErrorKind::UnexpectedEof)
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
        error => AudioError::Corrupt(error),
    }
}

fn audio_track(reader: &dyn FormatReader) -> Result<(Track, AudioCodecParameters), AudioError> {
    let track = reader.default_track(TrackType::Audio);
    match track.map(|track| (track, &track.codec_params)) {
        Some((track, Some(CodecParameters::Audio(codec)))) => Ok((track.clone(), codec.clone())),
        _ => Err(AudioError::NoTrack { container: reader.format_info().short_name }),
    }
}

fn check_rate(rate: Option<u32>) -> Result<(), AudioError> {
    match rate {
        Some(rate) if !SOURCE_RATES.contains(&rate) => Err(AudioError::SampleRate { rate }),
        _ => Ok(()),
    }
}

/// Refuses early what says itself that it is too long. More PCM than the bytes can hold is no
/// reason: the header may have been written before the length was known.
fn check_declared_length(
    track: &Track,
    codec: &AudioCodecParameters,
    possible: Option<u64>,
    budget: &Budget,
) -> Result<(), AudioError> {
    let (Some(frames), Some(rate)) = (track.num_frames, codec.sample_rate) else {
        return Ok(());
    };
    let frames = possible.map_or(frames, |possible| frames.min(possible));
    let seconds = frames as f64 / f64::from(rate.max(1));
    if seconds > budget.max_seconds {
        return Err(AudioError::TooLong { seconds, max: budget.max_seconds });
    }
    Ok(())
}

fn open_decoder(codec: &AudioCodecParameters, container: &'static str) -> Result<Decoder, AudioError> {
    let opened = if codec.codec == CODEC_ID_OPUS {
        OpusDecoder::new(codec).map(|opus| Decoder::Opus(Box::new(opus)))
    } else {
        let registry = symphonia::default::get_codecs();
        registry.make_audio_decoder(codec, &Default::default()).map(Decoder::Symphonia)
    };
    opened.map_err(|source| AudioError::UnsupportedCodec { container, source })
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
        Decoder::Symphonia(_) if container == "caf" => {
            let seconds = |frames: u64| frames as f64 * f64::from(track.time_base.unwrap_or_default());
            Heard {
                skip: seconds(track.delay.unwrap_or(0).into()),
                keep: track.padding.and(track.num_frames).map(seconds),
            }
        }
        Decoder::Symphonia(_) => Heard { skip: 0.0, keep: None },
    }
}
