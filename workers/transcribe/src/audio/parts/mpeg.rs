//! MPEG audio, layers 1 to 3 (ISO/IEC 11172-3, 13818-3): recordings with and without a Xing header.

use super::Part;
use super::frames::{Frames, runs};

pub(super) struct Mpeg;

/// Bit rates in kbit/s by index: MPEG-1 layers 1, 2, 3, then MPEG-2 layer 1, and layers 2 and 3.
const BIT_RATES: [[u32; 14]; 5] = [
    [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
const RATES: [u32; 3] = [44_100, 48_000, 32_000];

impl Frames for Mpeg {
    fn frame(bytes: &[u8]) -> Option<(usize, u32)> {
        let &[0xff, b, c, _] = bytes.first_chunk::<4>()? else { return None };
        let (version, layer) = (b >> 3 & 3, 4 - u32::from(b >> 1 & 3));
        let (index, rate_index) = (usize::from(c >> 4), usize::from(c >> 2 & 3));
        // Version 1 and layer 4 are reserved, index 0 is a length that is not told.
        if b & 0xe0 != 0xe0 || version == 1 || layer == 4 || !(1..15).contains(&index) || rate_index == 3 {
            return None;
        }
        let first = version == 3;
        let rate = RATES[rate_index] >> if first { 0 } else { 2 - u32::from(version) / 2 };
        let row = if first { layer as usize - 1 } else { 3 + usize::from(layer > 1) };
        let bits = BIT_RATES[row][index - 1] * 1000;
        let padding = u32::from(c >> 1 & 1);
        let length = match layer {
            1 => (12 * bits / rate + padding) * 4,
            3 if !first => 72 * bits / rate + padding,
            _ => 144 * bits / rate + padding,
        };
        Some((length as usize, u32::from(b & 0x1e) << 8 | u32::from(c & 0x0c)))
    }

    fn tag(frame: &[u8]) -> Option<Option<u32>> {
        let &[_, b, _, d] = frame.first_chunk::<4>()?;
        if b >> 1 & 3 != 1 {
            return None;
        }
        let (first, mono) = (b >> 3 & 3 == 3, d >> 6 == 3);
        let side = match (first, mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        };
        let body = frame.get(4 + side..)?;
        if body.starts_with(b"Xing") || body.starts_with(b"Info") {
            let counts = super::be32(body, 4)? & 1 == 1;
            return Some(super::be32(body, 8).filter(|_| counts));
        }
        let body = frame.get(36..)?;
        body.starts_with(b"VBRI").then(|| super::be32(body, 14))
    }
}

pub(super) fn split(bytes: &[u8]) -> Vec<Part<'_>> {
    let part = |run: super::frames::Run| {
        let counted = run.tag.and_then(|(_, frames)| frames);
        // A count that falls short would cut off the end; without its frame nothing counts.
        let short = counted.is_some_and(|counted| counted < run.frames);
        let start = run.tag.filter(|_| short).map_or(run.start, |(length, _)| run.start + length);
        let mut part = run.part(bytes, start);
        // Some encoders count the tag's frame, too.
        part.flaws.truncated |= counted.is_some_and(|counted| counted > run.frames + 1);
        (run.frames > 0).then_some(part)
    };
    runs::<Mpeg>(bytes).into_iter().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of 32 kbit/s at 44.1 kHz, 104 bytes, mono.
    fn frame() -> Vec<u8> {
        [b"\xff\xfb\x10\xc0".as_slice(), &[0; 100]].concat()
    }

    fn tag(count: u32) -> Vec<u8> {
        let mut tag = frame();
        tag[21..25].copy_from_slice(b"Xing");
        tag[28] = 1;
        tag[29..33].copy_from_slice(&count.to_be_bytes());
        tag
    }

    #[test]
    fn lengths_are_those_of_the_standard() {
        for (header, length) in [
            (b"\xff\xfb\x90\x64", 417),
            (b"\xff\xfb\x92\x64", 418),
            (b"\xff\xf3\x40\xc4", 104),
            (b"\xff\xe3\x18\xc4", 72 * 8000 / 8000),
            (b"\xff\xfd\xa4\x00", 576),
        ] {
            assert_eq!(Mpeg::frame(header).map(|(length, _)| length), Some(length), "{header:02x?}");
        }
        assert_eq!(Mpeg::frame(b"\xff\xff\xff\xff"), None);
    }

    #[test]
    fn each_tag_begins_a_recording_and_missing_frames_are_a_cut() {
        let file = [tag(2), frame(), frame(), tag(4), frame(), frame()].concat();
        let parts = split(&file);
        assert_eq!(parts.iter().map(|part| part.bytes.len()).collect::<Vec<_>>(), [312, 312]);
        assert_eq!(parts.iter().map(|part| part.flaws.truncated).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_count_that_falls_short_is_left_out_and_rubbish_between_frames_is_damage() {
        let file = [tag(1), frame(), frame(), vec![0x55; 200], frame(), frame()].concat();
        let parts = split(&file);
        assert_eq!((parts.len(), parts[0].bytes.len()), (1, 4 * 104 + 200));
        assert!(parts[0].flaws.damaged && !parts[0].flaws.truncated);
    }

    #[test]
    fn tags_of_players_are_no_damage_and_half_a_frame_is_a_cut() {
        let file = [frame(), frame(), [b"TAG".as_slice(), &[1; 125]].concat()].concat();
        assert_eq!(split(&file)[0].flaws, super::super::Flaws::default());
        let file = [frame(), frame()].concat();
        assert!(split(&file[..150])[0].flaws.truncated);
    }
}
