//! AAC of more than two channels, by decoders of one and of two.
//!
//! A frame holds one element for each speaker or pair of speakers (ISO/IEC 14496-3, 4.4.2.1), and
//! no element says how long it is. A decoder for the first element alone tells: with fewer bits it
//! runs out of them, with more it meets an element that it does not expect.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::{Error as Broken, Result};
use symphonia::core::packet::{Packet, PacketRef};
use symphonia::core::units::{Duration, Timestamp};

use super::aac::Core;
use super::codec::Decoded;

/// The element of the low-frequency channel, by its first three bits (table 4.85).
const LOW_FREQUENCIES: u8 = 3;

pub(super) struct Surround {
    rate: u32,
    elements: Vec<Element>,
    sound: Vec<Vec<f32>>,
}

/// A speaker or a pair.
struct Element {
    channels: u32,
    decoder: Box<dyn AudioDecoder>,
    /// Only looks for the end.
    scout: Box<dyn AudioDecoder>,
}

impl Surround {
    pub(super) fn open(core: Core) -> Result<Self> {
        let element = |channels: &u32| {
            Ok(Element { channels: *channels, decoder: open(core, *channels)?, scout: open(core, *channels)? })
        };
        let elements: Vec<Element> = core.elements().iter().map(element).collect::<Result<_>>()?;
        let sound = elements.iter().map(|_| Vec::new()).collect();
        Ok(Self { rate: core.rate, elements, sound })
    }

    /// Replaces `interleaved` by the packet's samples, in the order of the elements.
    pub(super) fn decode(&mut self, packet: &Packet, interleaved: &mut Vec<f32>) -> Result<Decoded> {
        let mut from = 0;
        let last = self.elements.len() - 1;
        for (at, (element, sound)) in self.elements.iter_mut().zip(&mut self.sound).enumerate() {
            let end = if at == last { packet.data.len() * 8 } else { element.end(&packet.data, from)? };
            element.decode(&packet.data, from..end, sound)?;
            from = end;
        }
        let widths = || self.elements.iter().map(|element| element.channels as usize);
        let frames = self.sound[0].len() / self.elements[0].channels as usize;
        for frame in 0..frames {
            for (sound, width) in self.sound.iter().zip(widths()) {
                let zero = [0.0; 2];
                interleaved.extend(sound.get(frame * width..(frame + 1) * width).unwrap_or(&zero[..width]));
            }
        }
        let channels = widths().sum();
        Ok(Decoded { rate: self.rate, channels, weights: weights(channels) })
    }
}

/// Centre, front pair, rear; the last of six or eight is for low frequencies.
fn weights(channels: usize) -> Vec<f32> {
    let weight = |channel: usize| match channel {
        0 => 1.0,
        1 | 2 => 0.7,
        channel if channels.is_multiple_of(2) && channels > 4 && channel + 1 == channels => 0.0,
        _ => 0.5,
    };
    (0..channels).map(weight).collect()
}

fn open(core: Core, channels: u32) -> Result<Box<dyn AudioDecoder>> {
    let mut codec = AudioCodecParameters::new();
    codec.for_codec(CODEC_ID_AAC).with_sample_rate(core.rate);
    codec.with_channels(Channels::Discrete(channels as u16)).with_extra_data(core.config(channels));
    symphonia::default::get_codecs().make_audio_decoder(&codec, &Default::default())
}

impl Element {
    fn decode(&mut self, frame: &[u8], bits: std::ops::Range<usize>, sound: &mut Vec<f32>) -> Result<()> {
        let own = cut(frame, bits.start, bits.end);
        let decoded = self.decoder.decode_ref(&packet(&own))?;
        decoded.copy_to_vec_interleaved(sound);
        Ok(())
    }

    /// The bit behind the element that begins at `from`.
    fn end(&mut self, frame: &[u8], from: usize) -> Result<usize> {
        // The fewest whole bytes at which the decoder sees what comes next.
        let (mut few, mut many) = (0, (frame.len() * 8 - from).div_ceil(8));
        while many - few > 1 {
            let middle = (few + many) / 2;
            match self.probe(&cut_raw(frame, from, from + middle * 8)) {
                Err(Broken::IoError(_)) | Ok(()) => few = middle,
                Err(_) => many = middle,
            }
        }
        // It needs seven bits of that: the element's kind and number. The end lies up to that many
        // before, and of all bits where a mark of the end is understood it is the last.
        let latest = from + many * 8;
        (latest.saturating_sub(16).max(from)..=latest.min(frame.len() * 8))
            .rev()
            .find(|end| self.probe(&cut(frame, from, *end)).is_ok())
            .ok_or(Broken::DecodeError("aac: no end of an element"))
    }

    fn probe(&mut self, bytes: &[u8]) -> Result<()> {
        self.scout.decode_ref(&packet(bytes)).map(drop)
    }
}

fn packet(bytes: &[u8]) -> PacketRef<'_> {
    PacketRef::new(0, Timestamp::ZERO, Duration::new(1024), bytes)
}

/// The bits of a range, moved to the start of a byte; what is behind them is zero.
fn cut_raw(frame: &[u8], start: usize, end: usize) -> Vec<u8> {
    let end = end.min(frame.len() * 8);
    let byte = |at: usize| {
        let (index, shift) = ((start + at * 8) / 8, start % 8);
        let high = u16::from(frame.get(index).copied().unwrap_or(0)) << 8;
        let low = u16::from(frame.get(index + 1).copied().unwrap_or(0));
        ((high | low) << shift >> 8) as u8
    };
    let length = end.saturating_sub(start);
    let mut own: Vec<u8> = (0..length.div_ceil(8)).map(byte).collect();
    if let Some(last) = own.last_mut()
        && !length.is_multiple_of(8)
    {
        *last &= 0xff << (8 - length % 8);
    }
    // A decoder of one channel takes low frequencies for what they are: one more channel.
    if own.first().is_some_and(|first| first >> 5 == LOW_FREQUENCIES) {
        own[0] &= 0x1f;
    }
    own
}

/// The same, with a mark of the end behind.
fn cut(frame: &[u8], start: usize, end: usize) -> Vec<u8> {
    let mut own = cut_raw(frame, start, end);
    let length = end.min(frame.len() * 8).saturating_sub(start);
    own.resize((length + 3).div_ceil(8), 0);
    for bit in length..length + 3 {
        own[bit / 8] |= 1 << (7 - bit % 8);
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_moved_to_the_start_of_a_byte_and_followed_by_three_ones() {
        assert_eq!(cut_raw(&[0b1011_0100, 0b0101_0011], 3, 11), [0b1010_0010]);
        assert_eq!(cut(&[0b1010_1100, 0b0101_0011], 8, 11), [0b0101_1100]);
        // An element of low frequencies becomes one of a single channel.
        assert_eq!(cut_raw(&[0b0110_1010], 0, 8), [0b0000_1010]);
        assert_eq!(cut(&[0b1111_1111], 0, 6), [0b1111_1111, 0b1000_0000]);
    }

    #[test]
    fn the_channel_of_low_frequencies_is_not_heard() {
        assert_eq!(weights(6), [1.0, 0.7, 0.7, 0.5, 0.5, 0.0]);
        assert_eq!(weights(3), [1.0, 0.7, 0.7]);
    }
}
