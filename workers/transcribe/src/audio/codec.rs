//! Packets to samples: symphonia's decoders, Opus, and AAC of more than two channels.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::{self as ids, CODEC_ID_AAC, CODEC_ID_OPUS};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error as Broken;
use symphonia::core::packet::Packet;

use super::AudioError;
use super::aac::Core;
use super::mix;
use super::opus::OpusDecoder;
use super::surround::Surround;

pub(super) enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusDecoder>),
    Surround(Box<Surround>),
}

/// What a packet held; its samples are elsewhere.
pub(super) struct Decoded {
    pub(super) rate: u32,
    pub(super) channels: usize,
    /// The share of each channel in the mean.
    pub(super) weights: Vec<f32>,
}

impl Decoder {
    /// # Errors
    /// A codec, or a variant of one, that is not decoded here.
    pub(super) fn open(codec: &AudioCodecParameters, container: &'static str) -> Result<Self, AudioError> {
        let unread = |codec: String| AudioError::Unread { container, codec };
        match codec.codec {
            CODEC_ID_OPUS => {
                let opus = OpusDecoder::new(codec).map_err(|error| unread(reason("Opus", &error)))?;
                Ok(Self::Opus(Box::new(opus)))
            }
            CODEC_ID_AAC => aac(codec).map_err(unread),
            id => symphonia(codec).map_err(|error| unread(reason(&name(id), &error))),
        }
    }

    /// Replaces `interleaved` by the packet's samples.
    pub(super) fn decode(&mut self, packet: &Packet, interleaved: &mut Vec<f32>) -> Result<Decoded, Broken> {
        interleaved.clear();
        match self {
            Self::Symphonia(decoder) => {
                let decoded = decoder.decode(packet)?;
                decoded.copy_to_vec_interleaved(interleaved);
                let channels = decoded.spec().channels();
                Ok(Decoded { rate: decoded.spec().rate(), channels: channels.count(), weights: mix::weights(channels) })
            }
            Self::Opus(decoder) => {
                let (rate, channels) = decoder.decode(packet, interleaved)?;
                Ok(Decoded { rate, channels, weights: mix::weights_in_vorbis_order(channels) })
            }
            Self::Surround(decoder) => decoder.decode(packet, interleaved),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Symphonia(decoder) => decoder.codec_info().short_name,
            Self::Opus(_) => "opus",
            Self::Surround(_) => "aac",
        }
    }
}

fn symphonia(codec: &AudioCodecParameters) -> Result<Decoder, Broken> {
    let registry = symphonia::default::get_codecs();
    registry.make_audio_decoder(codec, &Default::default()).map(Decoder::Symphonia)
}

fn aac(codec: &AudioCodecParameters) -> Result<Decoder, String> {
    let core = Core::of(codec)?;
    if core.channels > 2 {
        let surround = Surround::open(core).map_err(|error| reason("AAC", &error))?;
        return Ok(Decoder::Surround(Box::new(surround)));
    }
    let mut plain = codec.clone();
    if plain.extra_data.is_some() {
        plain.extra_data = Some(core.config(core.channels));
        plain.sample_rate = Some(core.rate);
        plain.channels = Some(Channels::Discrete(core.channels as u16));
    }
    symphonia(&plain).map_err(|error| reason("AAC", &error))
}

/// A name, and the decoder's reason where that says more than "no".
fn reason(name: &str, error: &Broken) -> String {
    match error {
        Broken::Unsupported(what) if !what.starts_with("core") => format!("{name} ({what})"),
        Broken::DecodeError(what) => format!("{name} ({what})"),
        _ => name.to_owned(),
    }
}

/// Codecs that a demuxer recognises and nobody here decodes.
fn name(id: AudioCodecId) -> String {
    const NAMES: &[(AudioCodecId, &str)] = &[
        (ids::CODEC_ID_AC3, "AC-3"),
        (ids::CODEC_ID_EAC3, "E-AC-3"),
        (ids::CODEC_ID_AC4, "AC-4"),
        (ids::CODEC_ID_DCA, "DTS"),
        (ids::CODEC_ID_TRUEHD, "Dolby TrueHD"),
        (ids::CODEC_ID_WAVPACK, "WavPack"),
        (ids::CODEC_ID_TTA, "True Audio"),
        (ids::CODEC_ID_MUSEPACK, "Musepack"),
        (ids::CODEC_ID_SPEEX, "Speex"),
    ];
    let known = NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| (*name).to_owned());
    let registered =
        || symphonia::default::get_codecs().get_audio_decoder(id).map(|found| found.codec.info.short_name.to_owned());
    known.or_else(registered).unwrap_or_else(|| format!("number {id}"))
}
