//! MP4, M4A, 3GP and QuickTime (ISO/IEC 14496-12): which boxes are there, and whether they are whole.

use super::super::AudioError;
use super::{Flaws, Part, be32};

/// A box that lies directly in the file.
#[derive(Debug, Clone, Copy)]
struct TopBox {
    kind: [u8; 4],
    start: usize,
    /// Where it says that it ends; may lie behind the end of the file.
    end: u64,
}

/// Files one behind the other, each from its `ftyp` on: offsets count from there.
///
/// # Errors
/// A file whose index was never written or is cut off.
pub(super) fn split(bytes: &[u8]) -> Result<Vec<Part<'_>>, AudioError> {
    let boxes = top_boxes(bytes);
    let mut starts = vec![0];
    let mut indexed = false;
    for found in &boxes {
        if found.kind == *b"ftyp" && indexed {
            starts.push(found.start);
            indexed = false;
        }
        indexed |= found.kind == *b"moov";
    }
    if !boxes.iter().any(|found| found.kind == *b"moov") {
        return Err(AudioError::NoIndex);
    }
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let part = |(start, end): (&usize, usize)| {
        let mut own = boxes.iter().filter(|found| (*start..end).contains(&found.start));
        match own.find(|found| found.end > bytes.len() as u64) {
            Some(open) => cut_off(&bytes[*start..end], open.start - start),
            None => Part { bytes: &bytes[*start..end], seekable: true, ..Part::default() },
        }
    };
    Ok(starts.iter().zip(ends).map(part).collect())
}

/// Symphonia reads nothing of a box that is longer than the file, so it gets one that is not.
fn cut_off(bytes: &[u8], open: usize) -> Part<'_> {
    let mut header = bytes.to_vec();
    // A size of 0 stands for all that is left.
    header[open..open + 4].fill(0);
    Part { header, bytes: &[], seekable: true, flaws: Flaws { truncated: true, damaged: false } }
}

fn top_boxes(bytes: &[u8]) -> Vec<TopBox> {
    let mut boxes = Vec::new();
    let mut at = 0;
    while let Some((kind, end)) = head(bytes, at) {
        boxes.push(TopBox { kind, start: at, end });
        match usize::try_from(end) {
            Ok(end) if end > at && end < bytes.len() => at = end,
            _ => break,
        }
    }
    boxes
}

/// Kind and end of the box at a place.
fn head(bytes: &[u8], at: usize) -> Option<([u8; 4], u64)> {
    let size = be32(bytes, at)?;
    let kind = *bytes.get(at + 4..)?.first_chunk::<4>()?;
    let end = match size {
        0 => bytes.len() as u64,
        1 => (at as u64).checked_add(u64::from_be_bytes(*bytes.get(at + 8..)?.first_chunk()?))?,
        size => at as u64 + u64::from(size),
    };
    kind.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == 0xa9).then_some((kind, end))
}

/// The file with its index in front, as a pipe needs it: pieces in order, the index with offsets
/// put right. `None` if it is there already, or cannot be moved.
pub(in crate::audio) fn index_first(bytes: &[u8]) -> Option<(Vec<u8>, [&[u8]; 3])> {
    let boxes = top_boxes(bytes);
    let moov = boxes.iter().find(|found| found.kind == *b"moov")?;
    let data = boxes.iter().find(|found| found.kind == *b"mdat")?;
    let end = usize::try_from(moov.end).ok()?;
    if moov.start < data.start || end > bytes.len() {
        return None;
    }
    let mut index = bytes[moov.start..end].to_vec();
    let shift = u32::try_from(index.len()).ok()?;
    move_offsets(&mut index, 8, shift, 0)?;
    Some((index, [&bytes[..data.start], &bytes[data.start..moov.start], &bytes[end..]]))
}

/// Boxes on the way from the index to a track's chunk offsets, five deep.
const WAY: [&[u8; 4]; 4] = [b"trak", b"mdia", b"minf", b"stbl"];

fn move_offsets(body: &mut [u8], from: usize, shift: u32, depth: usize) -> Option<()> {
    let mut at = from;
    while at + 8 <= body.len() {
        let (kind, end) = head(body, at)?;
        let end = usize::try_from(end).ok().filter(|end| *end <= body.len() && *end >= at + 8)?;
        if WAY.contains(&&kind) && depth < WAY.len() {
            move_offsets(&mut body[at..end], 8, shift, depth + 1)?;
        } else if kind == *b"stco" {
            for entry in body.get_mut(at + 16..end)?.chunks_exact_mut(4) {
                let offset = u32::from_be_bytes(*entry.first_chunk()?).checked_add(shift)?;
                entry.copy_from_slice(&offset.to_be_bytes());
            }
        } else if kind == *b"co64" {
            for entry in body.get_mut(at + 16..end)?.chunks_exact_mut(8) {
                let offset = u64::from_be_bytes(*entry.first_chunk()?).checked_add(shift.into())?;
                entry.copy_from_slice(&offset.to_be_bytes());
            }
        }
        at = end;
    }
    Some(())
}
