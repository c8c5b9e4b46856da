//! AIFF and CAF, one file or several behind each other: whether the sound is as long as its chunk says.

use super::{Flaws, Part, be32};

pub(super) fn split(mut bytes: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    loop {
        let end = next_start(bytes);
        let file = &bytes[..end.unwrap_or(bytes.len())];
        parts.push(if is_caf(file) { caf(file) } else { aiff(file) });
        let Some(end) = end else { return parts };
        bytes = &bytes[end..];
    }
}

fn is_caf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"caff")
}

fn is_aiff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"FORM") && bytes.get(8..12).is_some_and(|kind| matches!(kind, b"AIFF" | b"AIFC"))
}

/// Where the next file begins, if one lies behind the first.
fn next_start(bytes: &[u8]) -> Option<usize> {
    if !is_caf(bytes) {
        let end = (be32(bytes, 4)? as usize).checked_add(8)?.checked_next_multiple_of(2)?;
        return is_aiff(bytes.get(end..)?).then_some(end);
    }
    let mut at = 8;
    loop {
        let (_, size) = chunk(bytes, at)?;
        at = (at + 12).checked_add(usize::try_from(size).ok()?)?;
        if is_caf(bytes.get(at..)?) {
            return Some(at);
        }
    }
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
