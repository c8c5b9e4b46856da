//! What an `AudioSpecificConfig` says (ISO/IEC 14496-3, 1.6.2.1), and the part of it that is decoded:
//! the core of HE-AAC is plain AAC of half the rate, which still is more than 16 kHz.

use symphonia::core::codecs::audio::AudioCodecParameters;

/// Rates by their index, in Hz.
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

const LOW_COMPLEXITY: u32 = 2;

/// The stream that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Core {
    pub(super) rate: u32,
    /// As the standard counts them: 1 to 7 stand for mono to 7.1.
    pub(super) channels: u32,
}

impl Core {
    /// The core of a track, or what it is if that is no plain AAC.
    pub(super) fn of(codec: &AudioCodecParameters) -> Result<Self, String> {
        match codec.extra_data.as_deref() {
            Some(config) => Self::read(config),
            // ADTS: symphonia reads the header of each frame.
            None => Ok(Self {
                rate: codec.sample_rate.unwrap_or(0),
                channels: codec.channels.as_ref().map_or(0, |channels| match channels.count() {
                    8 => 7,
                    count => count as u32,
                }),
            }),
        }
    }

    fn read(config: &[u8]) -> Result<Self, String> {
        let mut bits = Bits { bytes: config, at: 0 };
        let mut object = bits.object();
        let rate = bits.rate();
        let channels = bits.take(4);
        // Spectral band replication and parametric stereo stand before the core that they are over.
        if matches!(object, Some(5 | 29)) {
            bits.rate();
            object = bits.object();
        }
        let (Some(object), Some(rate), Some(channels)) = (object, rate, channels) else {
            return Err("AAC with a broken configuration".into());
        };
        let short_frames = bits.take(1) == Some(1);
        match (object, short_frames, channels) {
            (LOW_COMPLEXITY, false, 1..=7) => Ok(Self { rate, channels }),
            (LOW_COMPLEXITY, true, _) => Err("AAC with frames of 960 samples".into()),
            (LOW_COMPLEXITY, ..) => Err(format!("AAC with channel configuration {channels}")),
            (object, ..) => Err(object_name(object)),
        }
    }

    /// Channels of the elements in the order in which they lie in a frame: mono or pairs.
    pub(super) fn elements(self) -> &'static [u32] {
        match self.channels {
            1 => &[1],
            2 => &[2],
            3 => &[1, 2],
            4 => &[1, 2, 1],
            5 => &[1, 2, 2],
            6 => &[1, 2, 2, 1],
            _ => &[1, 2, 2, 2, 1],
        }
    }

    /// A configuration of plain AAC with so many channels.
    pub(super) fn config(self, channels: u32) -> Box<[u8]> {
        let known = RATES.iter().position(|rate| *rate == self.rate);
        let (index, rate, digits) = known.map_or((15, self.rate, 24), |index| (index as u32, 0, 0));
        let head = u64::from(LOW_COMPLEXITY << 4 | index);
        let bits = (head << digits | u64::from(rate)) << 7 | u64::from(channels) << 3;
        let length = 16 + digits;
        bits.to_be_bytes()[8 - length / 8..].into()
    }
}

fn object_name(object: u32) -> String {
    match object {
        1 => "AAC Main".into(),
        3 => "AAC SSR".into(),
        4 => "AAC LTP".into(),
        23 => "AAC-LD".into(),
        34 => "MP3 in MP4 under AAC's name".into(),
        36 => "MPEG-4 ALS".into(),
        39 => "AAC-ELD".into(),
        42 => "xHE-AAC".into(),
        object => format!("MPEG-4 audio object type {object}"),
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |value, _| {
            let byte = self.bytes.get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    fn object(&mut self) -> Option<u32> {
        match self.take(5)? {
            31 => Some(32 + self.take(6)?),
            object => Some(object),
        }
    }

    fn rate(&mut self) -> Option<u32> {
        match self.take(4)? {
            15 => self.take(24),
            index => RATES.get(index as usize).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_he_aac_lies_plain_aac_of_half_the_rate() {
        let core = Core::read(&[0x2b, 0x11, 0x88, 0x00]).unwrap();
        assert_eq!(core, Core { rate: 24_000, channels: 2 });
        assert_eq!(&*core.config(2), [0x13, 0x10]);
        let mono = Core::read(&[0xeb, 0x8a, 0x08, 0x00]).unwrap();
        assert_eq!(mono, Core { rate: 22_050, channels: 1 });
        assert_eq!(&*mono.config(1), [0x13, 0x88]);
    }

    #[test]
    fn rates_outside_the_table_are_spelt_out() {
        let odd = Core { rate: 12_345, channels: 1 };
        assert_eq!(Core::read(&odd.config(1)), Ok(odd));
    }

    #[test]
    fn what_is_no_plain_aac_is_named() {
        assert_eq!(Core::read(&[0xf9, 0x50, 0x80]).unwrap_err(), "xHE-AAC");
        assert_eq!(Core::read(&[0x0a, 0x10]).unwrap_err(), "AAC Main");
        assert_eq!(Core::read(&[0x12, 0x00]).unwrap_err(), "AAC with channel configuration 0");
        assert_eq!(Core::read(&[]).unwrap_err(), "AAC with a broken configuration");
    }
}
