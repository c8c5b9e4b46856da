//! Opus packets (RFC 6716) as they lie in Ogg (RFC 7845), Matroska and MP4.

use ropus::OpusMSDecoder;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::errors::{Error, Result};
use symphonia::core::packet::Packet;

/// Opus decodes to 48 kHz whatever the encoder was fed with.
const RATE: u32 = 48_000;

/// Longest packet: 120 ms (RFC 6716, section 3.2.5), in frames.
const MAX_FRAMES: usize = 5760;

/// Decodes one track; mono, stereo and surround alike, for a plain stream is a multistream of one.
pub(super) struct OpusDecoder {
    inner: OpusMSDecoder,
    head: Head,
    pcm: Vec<i16>,
    /// From 16-bit integers to ±1, with the gain that the header asks for.
    scale: f32,
}

impl OpusDecoder {
    /// # Errors
    /// A header that is not the one of RFC 7845, section 5.1, or a layout without a decoder.
    pub(super) fn new(codec: &AudioCodecParameters) -> Result<Self> {
        let head = match codec.extra_data.as_deref() {
            Some(bytes) => Head::parse(bytes).ok_or(Error::DecodeError("opus: identification header"))?,
            None => Head::plain(codec.channels.as_ref().map_or(1, |channels| channels.count())),
        };
        let channels = head.mapping.len();
        let (streams, coupled) = (head.streams.into(), head.coupled.into());
        let inner = OpusMSDecoder::new(RATE.cast_signed(), channels as i32, streams, coupled, &head.mapping)
            .map_err(|_| Error::Unsupported("opus: channel mapping"))?;
        // The header's gain is in 1/256 dB.
        let scale = 10f32.powf(f32::from(head.gain) / 256.0 / 20.0) / 32_768.0;
        Ok(Self { inner, head, pcm: vec![0; MAX_FRAMES * channels], scale })
    }

    /// Seconds at the start that are the encoder's run-in.
    pub(super) fn pre_skip_seconds(&self) -> f64 {
        f64::from(self.head.pre_skip) / f64::from(RATE)
    }

    /// Appends the packet's interleaved samples, less the padding that Ogg marks on the last one.
    /// Returns rate and channel count.
    pub(super) fn decode(&mut self, packet: &Packet, interleaved: &mut Vec<f32>) -> Result<(u32, usize)> {
        let channels = self.head.mapping.len();
        let bytes = i32::try_from(packet.data.len()).map_err(|_| Error::DecodeError("opus: packet too long"))?;
        let frames = self
            .inner
            .decode(Some(&packet.data), bytes, &mut self.pcm, MAX_FRAMES as i32, false)
            .map_err(|_| Error::DecodeError("opus: invalid packet"))?;
        let padding = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
        let frames = usize::try_from(frames).unwrap_or(0).saturating_sub(padding);
        interleaved.extend(self.pcm[..frames * channels].iter().map(|&s| f32::from(s) * self.scale));
        Ok((RATE, channels))
    }
}

/// The identification header, RFC 7845 section 5.1.
#[derive(Debug, PartialEq)]
struct Head {
    pre_skip: u16,
    gain: i16,
    streams: u8,
    coupled: u8,
    /// Per output channel: index of the decoded channel, 255 for silence.
    mapping: Vec<u8>,
}

impl Head {
    /// Mono or stereo without run-in, where the container has no header to offer.
    fn plain(channels: usize) -> Self {
        let coupled = u8::from(channels > 1);
        Self { pre_skip: 0, gain: 0, streams: 1, coupled, mapping: (0..=coupled).collect() }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let fixed = bytes.strip_prefix(b"OpusHead")?.first_chunk::<11>()?;
        let &[version, channels, skip0, skip1, _, _, _, _, gain0, gain1, family] = fixed;
        // MP4's dOps box has the same fields, version 0, but in big-endian order.
        let (pre_skip, gain) = match version {
            0 => (u16::from_be_bytes([skip0, skip1]), i16::from_be_bytes([gain0, gain1])),
            _ => (u16::from_le_bytes([skip0, skip1]), i16::from_le_bytes([gain0, gain1])),
        };
        if family == 0 {
            let plain = Self::plain(channels.into());
            return (1..=2).contains(&channels).then_some(Self { pre_skip, gain, ..plain });
        }
        let (&[streams, coupled], rest) = bytes.get(19..)?.split_first_chunk::<2>()?;
        let mapping = rest.get(..channels.into())?.to_vec();
        let decoded = u16::from(streams) + u16::from(coupled);
        let known = mapping.iter().all(|&channel| channel == 255 || u16::from(channel) < decoded);
        (known && channels > 0).then_some(Self { pre_skip, gain, streams, coupled, mapping })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u8, channels: u8, fields: [u8; 9], mapping: &[u8]) -> Vec<u8> {
        [b"OpusHead".as_slice(), &[version, channels], &fields, mapping].concat()
    }

    #[test]
    fn the_header_is_little_endian_in_ogg_and_big_endian_in_mp4() {
        let ogg = Head::parse(&header(1, 2, [0x38, 1, 0, 0, 0, 0, 0, 1, 0], &[])).unwrap();
        let mp4 = Head::parse(&header(0, 2, [1, 0x38, 0, 0, 0, 0, 1, 0, 0], &[])).unwrap();
        assert_eq!((ogg.pre_skip, ogg.gain, ogg.streams, ogg.coupled), (312, 256, 1, 1));
        assert_eq!(ogg, mp4);
    }

    #[test]
    fn headers_that_name_missing_channels_are_refused() {
        let surround = |mapping| header(1, 3, [0, 0, 0, 0, 0, 0, 0, 0, 1], mapping);
        assert!(Head::parse(&surround(&[2, 1, 0, 1, 2])).is_some());
        assert_eq!(Head::parse(&surround(&[2, 1, 0, 1, 3])), None, "stream that does not exist");
        assert_eq!(Head::parse(&surround(&[2, 1, 0, 1])), None, "mapping cut short");
        assert_eq!(Head::parse(&header(1, 0, [0; 9], &[])), None, "no channels");
        assert_eq!(Head::parse(&header(1, 3, [0; 9], &[])), None, "family 0 ends at stereo");
        assert_eq!(Head::parse(b"OpusHead\x01"), None, "cut short");
    }
}
