//! AAC in ADTS frames (ISO/IEC 14496-3, annex 1.A.2.2).

use super::Part;
use super::frames::{Frames, runs};
use super::sniff::id3_end;

struct Adts;

impl Frames for Adts {
    fn frame(bytes: &[u8]) -> Option<(usize, u32)> {
        let &[0xff, b, c, d, e, f, _] = bytes.first_chunk::<7>()? else { return None };
        let length = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f >> 5);
        let rate_index = c >> 2 & 15;
        let is_frame = b & 0xf6 == 0xf0 && rate_index < 13 && length > 7;
        // Profile, rate and channels stay the same; the rest counts.
        is_frame.then_some((length, u32::from(c & 0xfd) << 8 | u32::from(d & 0xc0)))
    }
}

pub(super) fn split(bytes: &[u8]) -> Vec<Part<'_>> {
    let bytes = &bytes[id3_end(bytes).min(bytes.len())..];
    runs::<Adts>(bytes).iter().map(|run| run.part(bytes, run.start)).collect()
}
