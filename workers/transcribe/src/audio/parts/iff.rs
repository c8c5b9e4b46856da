//! AIFF and CAF: whether the sound is as long as its chunk says.

use super::{Flaws, Part, be32};

pub(super) fn split(bytes: &[u8]) -> Vec<Part<'_>> {
    let part = if bytes.starts_with(b"caff") { caf(bytes) } else { aiff(bytes) };
    vec![part]
}

fn aiff(bytes: &[u8]) -> Part<'_> {
    let declared = be32(bytes, 4).map_or(0, |size| size as usize);
    // Written to a pipe, sizes are 0 or as large as can be.
    let known = declared < 0x7fff_0000;
    let truncated = known && declared > bytes.len().saturating_sub(8);
    Part { bytes, seekable: !truncated, flaws: Flaws { truncated, damaged: false }, ..Part::default() }
}

/// Symphonia wants the whole of a CAF's sound, so a cut one gets a header that says what is there.
fn caf(bytes: &[u8]) -> Part<'_> {
    let mut at = 8;
    while let Some((kind, size)) = chunk(bytes, at) {
        let start = at + 12;
        if kind == *b"data" && size >= 0 && size as u64 > (bytes.len() - start) as u64 {
            let there = (bytes.len() - start) as i64;
            let header = [&bytes[..at + 4], &there.to_be_bytes()].concat();
            let flaws = Flaws { truncated: true, damaged: false };
            return Part { header, bytes: &bytes[start..], seekable: false, flaws };
        }
        let Some(next) = usize::try_from(size).ok().and_then(|size| start.checked_add(size)) else { break };
        at = next;
    }
    Part { bytes, seekable: true, ..Part::default() }
}

fn chunk(bytes: &[u8], at: usize) -> Option<([u8; 4], i64)> {
    let (kind, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    Some((*kind, i64::from_be_bytes(*rest.first_chunk()?)))
}
