//! The tokens of a window, cut at their times.

use std::ops::Range;

use crate::whisper::tokens::Tokens;

/// Frames of a second.
pub(super) const FRAMES_PER_SECOND: f64 = 100.0;

/// A part of a window's tokens with its times in seconds from the start of the window.
#[derive(Debug, PartialEq)]
pub(super) struct Cut<'a> {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) tokens: &'a [u32],
    /// Which token of the window is the first.
    pub(super) first: usize,
}

/// What a window holds of the recording.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) frames: usize,
    /// The recording goes on behind the window.
    pub(super) goes_on: bool,
}

/// A segment that ends so close to the end of a window, in frames, was cut off by it: 0.5 s.
const EDGE: usize = 50;

/// Cuts the tokens between two times in a row. Also says how many frames of the window are dealt
/// with, so that the next one begins neither inside a sentence nor behind words not yet read.
pub(super) fn cut<'a>(tokens: &'a [u32], vocabulary: &Tokens, extent: Extent) -> (Vec<Cut<'a>>, usize) {
    let is_time = |at: usize| tokens.get(at).is_some_and(|token| vocabulary.is_timestamp(*token));
    let mut ends: Vec<usize> = (1..tokens.len()).filter(|at| is_time(at - 1) && is_time(*at)).collect();
    let last = tokens.len().wrapping_sub(1);
    let closed = is_time(last) && !is_time(last.wrapping_sub(1));
    if closed || ends.is_empty() {
        ends.push(tokens.len());
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let mut cuts: Vec<Cut<'a>> =
        starts.zip(&ends).map(|(start, end)| between(tokens, start..*end, vocabulary, extent)).collect();
    let whole = cuts.len() == 1 && ends[0] == tokens.len();
    let done = match closed || whole {
        true => after_last(&mut cuts, vocabulary, extent),
        // Text without an end follows the last pair: the beginning of a sentence.
        false => {
            let end = cuts.last().map_or(extent.frames, |cut| frames(cut.end));
            back_to_sentence(&mut cuts, vocabulary, extent).unwrap_or(end)
        }
    };
    (cuts, done.min(extent.frames))
}

/// Where to go on after a last segment: behind it if the recording goes on, or at the start of
/// its sentence if the end of the window cut it off. (`openai/whisper` goes on behind the window,
/// and loses the words between.)
fn after_last(cuts: &mut Vec<Cut<'_>>, vocabulary: &Tokens, extent: Extent) -> usize {
    let Some((start, end)) = cuts.last().map(|cut| (frames(cut.start), frames(cut.end))) else { return extent.frames };
    if !extent.goes_on {
        return extent.frames;
    }
    if end + EDGE < extent.frames {
        return end;
    }
    if start < extent.frames / 2 {
        return extent.frames;
    }
    cuts.pop();
    back_to_sentence(cuts, vocabulary, extent).unwrap_or(start)
}

/// Gives up segments that do not end a sentence, for a window that begins inside one is read
/// badly. Returns the new end, and stays in the second half of the window, so that work advances.
fn back_to_sentence(cuts: &mut Vec<Cut<'_>>, vocabulary: &Tokens, extent: Extent) -> Option<usize> {
    let mut end = None;
    while let Some(last) = cuts.last() {
        let start = frames(last.start);
        let text = vocabulary.decode(last.tokens).unwrap_or_default();
        if start < extent.frames / 2 || text.trim_end().ends_with(SENTENCE_ENDS) {
            break;
        }
        end = Some(start);
        cuts.pop();
    }
    end
}

const SENTENCE_ENDS: [char; 9] = ['.', '?', '!', '"', '…', '。', '？', '！', '」'];

fn frames(seconds: f64) -> usize {
    (seconds * FRAMES_PER_SECOND).round() as usize
}

/// A segment lasts from its first token, if that is a time, to its last; else as long as the
/// window.
fn between<'a>(tokens: &'a [u32], cut: Range<usize>, vocabulary: &Tokens, extent: Extent) -> Cut<'a> {
    let (first, tokens) = (cut.start, &tokens[cut]);
    let time = |token: Option<&u32>| {
        token.filter(|token| vocabulary.is_timestamp(**token)).map(|token| vocabulary.seconds(*token))
    };
    let start = time(tokens.first()).unwrap_or(0.0);
    let whole = extent.frames as f64 / FRAMES_PER_SECOND;
    Cut { start, end: time(tokens.last()).filter(|end| *end > start).unwrap_or(whole), tokens, first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whisper::tests::load;

    const FIRST: u32 = 20;

    fn times(tokens: &[u32], frames: usize, goes_on: bool) -> (Vec<(f64, f64)>, usize) {
        let whisper = load();
        let (cuts, done) = cut(tokens, whisper.tokens(), Extent { frames, goes_on });
        (cuts.iter().map(|cut| (cut.start, cut.end)).collect(), done)
    }

    const TWO: [u32; 6] = [FIRST, 1, FIRST + 10, FIRST + 10, 2, FIRST + 20];

    #[test]
    fn text_after_the_last_pair_is_left_for_the_next_window() {
        assert_eq!(times(&TWO[..5], 40, true), (vec![(0.0, 0.2)], 20));
        assert_eq!(times(&TWO[..5], 40, false), (vec![(0.0, 0.2)], 20));
    }

    #[test]
    fn a_single_time_at_the_end_closes_the_last_window() {
        assert_eq!(times(&TWO, 300, false), (vec![(0.0, 0.2), (0.2, 0.4)], 300));
        assert_eq!(times(&TWO[..3], 300, false), (vec![(0.0, 0.2)], 300));
    }

    #[test]
    fn where_the_recording_goes_on_so_does_the_next_window_behind_the_last_words() {
        assert_eq!(times(&TWO, 300, true), (vec![(0.0, 0.2), (0.2, 0.4)], 40));
        assert_eq!(times(&TWO[..3], 300, true), (vec![(0.0, 0.2)], 20));
    }

    #[test]
    fn a_segment_that_the_window_cuts_off_is_read_again_from_its_start() {
        assert_eq!(times(&TWO, 40, true), (vec![(0.0, 0.2)], 20));
        assert_eq!(times(&TWO[..3], 40, true), (vec![(0.0, 0.2)], 40));
    }

    #[test]
    fn a_window_goes_back_to_where_the_cut_off_sentence_began() {
        let starts = [0, 11, 13, 17];
        let tokens: Vec<u32> = starts.windows(2).flat_map(|pair| [FIRST + pair[0], 1, FIRST + pair[1]]).collect();
        let tokens = [&tokens[..], &[FIRST + 17, 2, FIRST + 20]].concat();
        assert_eq!(times(&tokens, 40, true), (vec![(0.0, 0.22)], 22));
    }

    #[test]
    fn text_without_times_lasts_as_long_as_the_window() {
        assert_eq!(times(&[1, 2, 3], 150, true), (vec![(0.0, 1.5)], 150));
        assert_eq!(times(&[], 150, false), (vec![(0.0, 1.5)], 150));
    }
}
