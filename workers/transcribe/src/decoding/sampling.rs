//! Which token comes next, and how likely it was.

use crate::whisper::kernels::{largest, sum_of_powers};

/// Repeatable draws: the same seed, window, attempt and step give the same number on every
/// machine, so that a job that is delivered twice gives one text.
///
/// SplitMix64 over a counter (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
#[derive(Debug, Clone, Copy)]
pub(super) struct Draws {
    key: u64,
}

impl Draws {
    /// Draws for one attempt at the window that begins at a frame.
    pub(super) fn new(seed: u64, frame: usize, attempt: usize) -> Self {
        Self { key: mix(mix(mix(seed) ^ frame as u64) ^ attempt as u64) }
    }

    /// A number in [0, 1) for a step.
    fn draw(self, step: usize) -> f64 {
        let bits = mix(self.key.wrapping_add((step as u64 + 1).wrapping_mul(GOLDEN)));
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(GOLDEN);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The next token by its scores, and its log-probability at temperature one.
pub(super) fn pick(logits: &[f32], temperature: f32, draws: Draws, step: usize) -> (u32, f32) {
    let largest = largest(logits);
    let token = if temperature > 0.0 {
        let scale = f64::from(temperature).recip();
        sample(logits, |logit| (f64::from(logit - largest) * scale).exp(), draws.draw(step))
    } else {
        logits.iter().position(|logit| *logit == largest).unwrap_or(0)
    };
    (token as u32, logits[token] - log_sum_below(logits, largest))
}

/// The first token at which the running sum passes the drawn share of the whole.
fn sample(logits: &[f32], weight: impl Fn(f32) -> f64, share: f64) -> usize {
    let total: f64 = logits.iter().map(|logit| weight(*logit)).sum();
    let mut left = share * total;
    let mut last = 0;
    for (token, logit) in logits.iter().enumerate().filter(|(_, logit)| **logit > f32::NEG_INFINITY) {
        left -= weight(*logit);
        last = token;
        if left < 0.0 {
            break;
        }
    }
    last
}

/// The probability of one token among all.
pub(super) fn probability(logits: &[f32], token: u32) -> f32 {
    (logits[token as usize] - log_sum_exp(logits)).exp()
}

/// `ln Σ e^x`; minus infinity for none, or if all are.
pub(super) fn log_sum_exp(logits: &[f32]) -> f32 {
    log_sum_below(logits, largest(logits))
}

/// The same where the largest is known.
fn log_sum_below(logits: &[f32], largest: f32) -> f32 {
    if largest == f32::NEG_INFINITY {
        return largest;
    }
    largest + sum_of_powers(logits, largest).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_for_the_same_place_and_differ_elsewhere() {
        let draws = Draws::new(42, 3000, 1);
        assert_eq!(draws.draw(5), Draws::new(42, 3000, 1).draw(5));
        for other in [Draws::new(43, 3000, 1), Draws::new(42, 0, 1), Draws::new(42, 3000, 2)] {
            assert_ne!(draws.draw(5), other.draw(5));
        }
        assert_ne!(draws.draw(5), draws.draw(6));
    }

    #[test]
    fn sampling_follows_the_softmax_and_never_takes_what_is_forbidden() {
        let logits = [0.0, 1.0, f32::NEG_INFINITY, 2.0];
        let mut counts = [0usize; 4];
        for step in 0..20_000 {
            counts[pick(&logits, 1.0, Draws::new(7, 0, 1), step).0 as usize] += 1;
        }
        for (token, count) in counts.into_iter().enumerate() {
            let expected = probability(&logits, token as u32);
            assert!((count as f32 / 20_000.0 - expected).abs() < 0.01, "token {token}: {count}");
        }
        assert_eq!(counts[2], 0);
    }

    #[test]
    fn temperature_zero_takes_the_likeliest_with_its_log_probability() {
        let (token, logprob) = pick(&[0.0, 3.0, 1.0], 0.0, Draws::new(0, 0, 0), 0);
        assert_eq!(token, 1);
        assert!((logprob - (3f32 - (1f32 + 3f32.exp() + 1f32.exp()).ln())).abs() < 1e-6);
    }
}
