//! FLAC files one behind the other. Cuts and damage show while decoding: each frame has its place
//! and the header the whole length.

use super::{Part, find, sniff::id3_end};

/// The header of the block that must come first, be it the only one or not (RFC 9639, section 8.2).
const FIRST_BLOCK: [&[u8]; 2] = [b"\0\0\0\x22", b"\x80\0\0\x22"];

pub(super) fn split(bytes: &[u8]) -> Vec<Part<'_>> {
    let mut starts = vec![id3_end(bytes)];
    let mut from = starts[0] + 1;
    while let Some(at) = find(bytes, b"fLaC", from) {
        if FIRST_BLOCK.iter().any(|block| bytes[at + 4..].starts_with(block)) {
            starts.push(at);
        }
        from = at + 4;
    }
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let part = |(start, end): (&usize, usize)| Part { bytes: &bytes[*start..end], seekable: true, ..Part::default() };
    starts.iter().zip(ends).map(part).collect()
}
