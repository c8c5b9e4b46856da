//! Texts that run in circles.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

/// Tokens of a loop, and how often they must come, before it counts as one: words said four times
/// in a row are speech, and so is a short laughter.
const LOOP_TOKENS: usize = 24;
const LOOP_TIMES: usize = 4;
const LONGEST_UNIT: usize = 40;

/// If the tokens end in the same group over and over, how many there are up to the end of the
/// first group.
pub(super) fn end_of_first_in_loop(tokens: &[u32]) -> Option<usize> {
    (1..=LONGEST_UNIT.min(tokens.len() / LOOP_TIMES)).find_map(|unit| {
        let times = LOOP_TIMES.max(LOOP_TOKENS.div_ceil(unit));
        let start = tokens.len().checked_sub(unit * times)?;
        let tail = &tokens[start..];
        (tail[unit..] == tail[..tail.len() - unit]).then_some(start + unit)
    })
}

/// Bytes of the text over bytes of its zlib stream: above 2.4 it repeats itself.
pub(super) fn compression_ratio(text: &str) -> std::io::Result<f32> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    Ok(text.len() as f32 / encoder.finish()?.len() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_found_and_cut_after_its_first_round() {
        let unit = [5, 6, 7, 8, 9, 10, 11];
        let tokens: Vec<u32> = [1, 2, 3].into_iter().chain(unit.into_iter().cycle().take(28)).collect();
        assert_eq!(end_of_first_in_loop(&tokens), Some(10));
        assert_eq!(end_of_first_in_loop(&tokens[..tokens.len() - 1]), None);
    }

    #[test]
    fn a_refrain_and_a_laughter_are_no_loops() {
        assert_eq!(end_of_first_in_loop(&[7; 12]), None);
        let refrain: Vec<u32> = (0..30).chain(0..30).chain(0..30).collect();
        assert_eq!(end_of_first_in_loop(&refrain), None);
    }

    #[test]
    fn repetition_compresses_beyond_the_threshold_and_speech_does_not() {
        let speech = "And so, my fellow Americans, ask not what your country can do for you.";
        assert!(compression_ratio(speech).unwrap() < 2.4);
        assert!(compression_ratio(&"Thank you. ".repeat(20)).unwrap() > 2.4);
    }
}
