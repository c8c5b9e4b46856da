//! Which tokens may come next.

use std::ops::Range;

use super::sampling::log_sum_exp;
use crate::whisper::{kernels::largest, tokens::Tokens};

/// The filters that `openai/whisper` puts over the scores before it picks a token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) tokens: &'a Tokens,
    pub(super) timestamps: bool,
    /// How many timestamp tokens after `<|0.00|>` the first one may be.
    pub(super) max_first_timestamp: usize,
}

impl Rules<'_> {
    /// Of so many tokens those outside of which none may follow the tokens written so far. A window begins with a
    /// time, and soon. Times come in pairs, the end of a segment and the start of the next, except before the end of
    /// the text.
    pub(super) fn reach(&self, written: &[u32], vocabulary: usize) -> Range<usize> {
        let first = self.first();
        if !self.timestamps {
            return 0..vocabulary;
        }
        match written {
            [] => first..vocabulary.min(first + self.max_first_timestamp + 1),
            [.., last] if !self.tokens.is_timestamp(*last) => 0..vocabulary,
            [.., before, _] if !self.tokens.is_timestamp(*before) => self.tokens.end as usize..vocabulary,
            _ => 0..first,
        }
    }

    /// Forbids, by minus infinity, what may not follow the tokens written so far.
    pub(super) fn apply(&self, logits: &mut [f32], written: &[u32]) {
        if written.is_empty() {
            forbid(logits, &self.tokens.suppressed_at_begin);
        }
        forbid(logits, &self.tokens.suppressed);
        if self.timestamps {
            forbid(logits, &[self.tokens.no_timestamps]);
            let reach = self.reach(written, logits.len());
            logits[..reach.start].fill(f32::NEG_INFINITY);
            logits[reach.end..].fill(f32::NEG_INFINITY);
            self.keep_order(logits, written);
            self.prefer_timestamp(logits);
        }
    }

    /// Time does not run backwards, and a segment is not empty.
    fn keep_order(&self, logits: &mut [f32], written: &[u32]) {
        let Some(last) = written.iter().rev().find(|token| self.tokens.is_timestamp(**token)) else {
            return;
        };
        let second_of_pair = written.len() > 1 && !self.tokens.is_timestamp(written[written.len() - 2]);
        let may_repeat = self.after_timestamp(written) && second_of_pair;
        let earliest = *last as usize + usize::from(!may_repeat);
        let end = earliest.min(logits.len());
        logits[self.first()..end].fill(f32::NEG_INFINITY);
    }

    /// If a time, whichever, is likelier than the likeliest text, it is a time.
    fn prefer_timestamp(&self, logits: &mut [f32]) {
        let (text, times) = logits.split_at(self.first());
        if log_sum_exp(times) > largest(text) {
            logits[..self.first()].fill(f32::NEG_INFINITY);
        }
    }

    fn after_timestamp(&self, written: &[u32]) -> bool {
        written.last().is_some_and(|token| self.tokens.is_timestamp(*token))
    }

    fn first(&self) -> usize {
        self.tokens.first_timestamp as usize
    }
}

fn forbid(logits: &mut [f32], tokens: &[u32]) {
    for token in tokens {
        logits[*token as usize] = f32::NEG_INFINITY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whisper::tests::load;

    const END: u32 = 10;
    const FIRST: u32 = 20;

    /// The tokens that may follow, if all were equally likely but for those given.
    fn allowed(written: &[u32], likely: &[(u32, f32)]) -> Vec<u32> {
        let whisper = load();
        let rules = Rules { tokens: whisper.tokens(), timestamps: true, max_first_timestamp: 5 };
        let mut logits = vec![0f32; 64];
        likely.iter().for_each(|(token, logit)| logits[*token as usize] = *logit);
        let reach = rules.reach(written, logits.len());
        rules.apply(&mut logits, written);
        assert!((0..64).all(|token| reach.contains(&token) || logits[token] == f32::NEG_INFINITY), "{reach:?}");
        (0..64).filter(|token| logits[*token as usize] > f32::NEG_INFINITY).collect()
    }

    #[test]
    fn a_window_begins_with_a_time_not_later_than_allowed() {
        assert_eq!(allowed(&[], &[(3, 50.0)]), (FIRST..=FIRST + 5).collect::<Vec<_>>());
    }

    #[test]
    fn after_a_pair_of_times_comes_text_and_after_one_the_end_or_its_partner() {
        let text = |token: &u32| *token < END;
        assert!(allowed(&[FIRST], &[]).iter().filter(|token| **token < FIRST).any(text));
        assert!(allowed(&[FIRST], &[]).iter().all(|token| *token < FIRST));
        assert!(allowed(&[FIRST, 1, 30, 30], &[]).iter().all(|token| *token < FIRST));
        let after_one = allowed(&[FIRST, 1, 30], &[(END, 9.0)]);
        assert!(after_one.contains(&END) && after_one.contains(&30) && !after_one.iter().any(text));
    }

    #[test]
    fn time_does_not_run_backwards_and_a_segment_is_not_empty() {
        let after_text = allowed(&[FIRST + 4, 1, 2], &[(1, 9.0)]);
        assert!(after_text.contains(&1) && after_text.contains(&(FIRST + 5)));
        assert!(!(FIRST..=FIRST + 4).any(|token| after_text.contains(&token)));
    }

    #[test]
    fn a_time_is_taken_when_all_times_together_are_likelier_than_any_text() {
        assert!(allowed(&[FIRST, 1], &[(2, 1.0)]).iter().all(|token| *token >= FIRST));
        assert!(allowed(&[FIRST, 1], &[(2, 9.0)]).contains(&2));
    }

    #[test]
    fn steering_tokens_are_never_written() {
        let after_text = allowed(&[FIRST, 1], &[(2, 9.0)]);
        assert!([11, 14, 15, 16, 17, 18, 19].iter().all(|token| !after_text.contains(token)));
    }
}
