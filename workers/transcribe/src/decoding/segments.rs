//! The tokens of a window, cut at their times.

use crate::whisper::tokens::Tokens;

/// Frames of a second, and of a step between two timestamp tokens.
pub(super) const FRAMES_PER_SECOND: f64 = 100.0;
const FRAMES_PER_TIMESTAMP: usize = 2;

/// A part of a window's tokens with its times in seconds from the start of the window.
#[derive(Debug, PartialEq)]
pub(super) struct Cut<'a> {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) tokens: &'a [u32],
}

/// Cuts the tokens between two times in a row. Also says how many frames, of those that the
/// window holds, are dealt with: up to the last pair if text follows it, as that may be the
/// beginning of a sentence; else all.
pub(super) fn cut<'a>(tokens: &'a [u32], vocabulary: &Tokens, frames: usize) -> (Vec<Cut<'a>>, usize) {
    let is_time = |at: usize| tokens.get(at).is_some_and(|token| vocabulary.is_timestamp(*token));
    let mut ends: Vec<usize> = (1..tokens.len()).filter(|at| is_time(at - 1) && is_time(*at)).collect();
    let last = tokens.len().wrapping_sub(1);
    let ends_with_one_time = is_time(last) && !is_time(last.wrapping_sub(1));
    if ends.is_empty() {
        return (vec![one(tokens, vocabulary, frames)], frames);
    }
    let mut done = frames;
    if ends_with_one_time {
        ends.push(tokens.len());
    } else {
        let last_time = tokens[ends[ends.len() - 1] - 1] - vocabulary.first_timestamp;
        done = (last_time as usize * FRAMES_PER_TIMESTAMP).min(frames);
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let cuts = starts.zip(&ends).map(|(start, end)| between(&tokens[start..*end], vocabulary));
    (cuts.collect(), done)
}

/// All tokens as one segment, to the last time in it or to the end of the window.
fn one<'a>(tokens: &'a [u32], vocabulary: &Tokens, frames: usize) -> Cut<'a> {
    let last = tokens.iter().rev().find(|token| vocabulary.is_timestamp(**token));
    let end = last.map(|token| vocabulary.seconds(*token)).filter(|end| *end > 0.0);
    Cut { start: 0.0, end: end.unwrap_or(frames as f64 / FRAMES_PER_SECOND), tokens }
}

fn between<'a>(tokens: &'a [u32], vocabulary: &Tokens) -> Cut<'a> {
    let seconds = |token: Option<&u32>| token.map_or(0.0, |token| vocabulary.seconds(*token));
    Cut { start: seconds(tokens.first()), end: seconds(tokens.last()), tokens }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whisper::tests::load;

    const FIRST: u32 = 20;

    fn times(tokens: &[u32], frames: usize) -> (Vec<(f64, f64)>, usize) {
        let whisper = load();
        let (cuts, done) = cut(tokens, whisper.tokens(), frames);
        (cuts.iter().map(|cut| (cut.start, cut.end)).collect(), done)
    }

    #[test]
    fn text_after_the_last_pair_is_left_for_the_next_window() {
        let tokens = [FIRST, 1, FIRST + 10, FIRST + 10, 2, FIRST + 20, FIRST + 20, 3];
        assert_eq!(times(&tokens, 40), (vec![(0.0, 0.2), (0.2, 0.4)], 40));
        assert_eq!(times(&tokens[..5], 40), (vec![(0.0, 0.2)], 20));
    }

    #[test]
    fn a_single_time_at_the_end_closes_the_window() {
        let tokens = [FIRST, 1, FIRST + 10, FIRST + 10, 2, FIRST + 20];
        assert_eq!(times(&tokens, 300), (vec![(0.0, 0.2), (0.2, 0.4)], 300));
        assert_eq!(times(&tokens[..3], 300), (vec![(0.0, 0.2)], 300));
    }

    #[test]
    fn text_without_times_lasts_as_long_as_the_window() {
        assert_eq!(times(&[1, 2, 3], 150), (vec![(0.0, 1.5)], 150));
        assert_eq!(times(&[], 150), (vec![(0.0, 1.5)], 150));
    }
}
