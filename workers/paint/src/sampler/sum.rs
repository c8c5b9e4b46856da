//! Weighted sums of what a step reads.

/// Values kept of earlier steps: methods of fourth order need three beside the newest.
pub(super) const PAST: usize = 3;

/// The weights of what is [`Known`](super::known::Known) at a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    /// The latents.
    pub(super) sample: f64,
    /// The model's answer.
    pub(super) output: f64,
    /// The clean sample, as predicted by the answer.
    pub(super) clean: f64,
    /// What an earlier step put aside.
    pub(super) base: f64,
    /// What the steps before kept, newest first.
    pub(super) past: [f64; PAST],
    /// Fresh noise.
    pub(super) noise: f64,
}

impl Sum {
    pub(super) const SAMPLE: Self = Self { sample: 1.0, ..Self::NOTHING };
    pub(super) const OUTPUT: Self = Self { output: 1.0, ..Self::NOTHING };
    pub(super) const CLEAN: Self = Self { clean: 1.0, ..Self::NOTHING };
    pub(super) const BASE: Self = Self { base: 1.0, ..Self::NOTHING };
    pub(super) const NOISE: Self = Self { noise: 1.0, ..Self::NOTHING };
    const NOTHING: Self = Self { sample: 0.0, output: 0.0, clean: 0.0, base: 0.0, past: [0.0; PAST], noise: 0.0 };

    /// The value kept `back` steps ago, from 0 for the newest.
    pub(super) fn past(back: usize) -> Self {
        let mut sum = Self::NOTHING;
        sum.past[back] = 1.0;
        sum
    }

    /// `self + factor * other`.
    pub(super) fn plus(self, factor: f64, other: Self) -> Self {
        let add = |a: f64, b: f64| a + factor * b;
        Self {
            sample: add(self.sample, other.sample),
            output: add(self.output, other.output),
            clean: add(self.clean, other.clean),
            base: add(self.base, other.base),
            past: std::array::from_fn(|back| add(self.past[back], other.past[back])),
            noise: add(self.noise, other.noise),
        }
    }

    /// `factor * self`.
    pub(super) fn times(self, factor: f64) -> Self {
        Self::NOTHING.plus(factor, self)
    }
}
