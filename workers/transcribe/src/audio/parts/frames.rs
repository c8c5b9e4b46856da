//! Streams of frames that each say how long they are (MP3, ADTS): walked from frame to frame, and
//! past damage.

use super::sniff::id3_length;
use super::{Flaws, Part};

/// How one kind of frame is read.
pub(super) trait Frames {
    /// Its length in bytes, and what is the same in all frames of a recording.
    fn frame(bytes: &[u8]) -> Option<(usize, u32)>;
    /// Whether it begins a recording, and how many frames that has, if it says so.
    fn tag(_frame: &[u8]) -> Option<Option<u32>> {
        None
    }
}

/// One recording of frames.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) end: usize,
    /// What is the same in all its frames.
    pub(super) kind: u32,
    /// Frames of sound.
    pub(super) frames: u32,
    /// Length of the tag frame that it begins with, in bytes, and the frames that it counts.
    pub(super) tag: Option<(usize, Option<u32>)>,
    pub(super) flaws: Flaws,
}

/// Fewer bytes than this between two frames, or at the end, are padding and no damage.
const SLACK: usize = 64;

/// All recordings in the bytes.
pub(super) fn runs<F: Frames>(bytes: &[u8]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    loop {
        match F::frame(&bytes[at..]) {
            Some((length, kind)) if is_next::<F>(bytes, at + length) || goes_on(&runs, kind) => {
                add::<F>(&mut runs, bytes, at, (length, kind));
                at = (at + length).min(bytes.len());
            }
            _ => match skip::<F>(bytes, at) {
                Some((next, lost)) => {
                    mark_damage(&mut runs, lost);
                    at = next;
                }
                None => return finish(runs, bytes.len() - at),
            },
        }
        if at >= bytes.len() {
            return finish(runs, 0);
        }
    }
}

/// A frame, the end or a tag lies here: what a true frame is followed by.
fn is_next<F: Frames>(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at..) {
        Some(rest) => {
            rest.is_empty() || F::frame(rest).is_some() || rest.starts_with(b"TAG") || rest.starts_with(b"ID3")
        }
        None => false,
    }
}

fn goes_on(runs: &[Run], kind: u32) -> bool {
    runs.last().is_some_and(|run| run.kind == kind)
}

fn add<F: Frames>(runs: &mut Vec<Run>, bytes: &[u8], at: usize, (length, kind): (usize, u32)) {
    let end = at + length;
    let tag = F::tag(&bytes[at..end.min(bytes.len())]).map(|frames| (length, frames));
    if tag.is_some() || !goes_on(runs, kind) {
        runs.push(Run { start: at, kind, tag, ..Run::default() });
    }
    if let Some(run) = runs.last_mut() {
        run.frames += u32::from(tag.is_none());
        run.end = end.min(bytes.len());
        run.flaws.truncated |= end > bytes.len();
    }
}

/// Where the frames go on, and how many bytes were lost on the way; tags are no loss.
fn skip<F: Frames>(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = &bytes[at..];
    let tag = id3_length(rest)
        .or_else(|| rest.starts_with(b"TAG").then_some(128))
        .or_else(|| rest.starts_with(b"APETAGEX").then(|| ape_length(rest)));
    if let Some(length) = tag {
        return Some(((at + length).min(bytes.len()), 0));
    }
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    let next = (at + 1..bytes.len()).find(|next| {
        bytes[*next] == 0xff && F::frame(&bytes[*next..]).is_some_and(|(length, _)| is_next::<F>(bytes, next + length))
    });
    let tail = || rest.len().checked_sub(128).filter(|tail| rest[*tail..].starts_with(b"TAG")).map(|tail| at + tail);
    let next = next.or_else(tail)?;
    Some((next, (next - at).saturating_sub(zeros)))
}

/// Version 2 of the tag: what its size counts, and a header of 32 bytes.
fn ape_length(tag: &[u8]) -> usize {
    super::le32(tag, 12).map_or(32, |size| 32 + size as usize)
}

fn mark_damage(runs: &mut [Run], lost: usize) {
    if let Some(run) = runs.last_mut()
        && lost > SLACK
    {
        run.flaws.damaged = true;
    }
}

fn finish(mut runs: Vec<Run>, rest: usize) -> Vec<Run> {
    if let Some(run) = runs.last_mut() {
        run.flaws.damaged |= rest > SLACK;
    }
    runs
}

impl Run {
    pub(super) fn part<'a>(&self, bytes: &'a [u8], start: usize) -> Part<'a> {
        Part { bytes: &bytes[start..self.end], seekable: false, flaws: self.flaws, ..Part::default() }
    }
}
