//! What a step reads, on the device.

use std::collections::VecDeque;

use candle_core::{Result, Tensor};

use super::exact::{double, single, times};
use super::sum::Sum;

/// What is known of all elements at one step: numbers of single precision, held in double.
pub(super) struct Known<'a> {
    pub(super) sample: Tensor,
    pub(super) output: Tensor,
    /// Once it is predicted.
    pub(super) clean: Option<Tensor>,
    /// Once a step has put something aside.
    pub(super) base: Option<&'a Tensor>,
    pub(super) past: &'a VecDeque<Tensor>,
    pub(super) noise: Option<Tensor>,
}

impl Known<'_> {
    /// Their sum by weights, rounded to single precision. What has no weight, or is not there, adds nothing.
    pub(super) fn sum(&self, weights: &Sum) -> Result<Tensor> {
        let now = [
            (weights.sample, Some(&self.sample)),
            (weights.output, Some(&self.output)),
            (weights.clean, self.clean.as_ref()),
            (weights.base, self.base),
        ];
        // The order of the additions is part of what a seed means.
        let past = weights.past.into_iter().zip(self.past.iter().map(Some));
        let sum = plus(weighed(now)?, weighed(past)?)?;
        match plus(sum, weighed([(weights.noise, self.noise.as_ref())])?)? {
            Some(sum) => single(&sum),
            None => single(&self.sample.zeros_like()?),
        }
    }

    /// The same for later steps to read.
    pub(super) fn kept(&self, weights: &Sum) -> Result<Tensor> {
        double(&self.sum(weights)?)
    }
}

fn weighed<'a>(terms: impl IntoIterator<Item = (f64, Option<&'a Tensor>)>) -> Result<Option<Tensor>> {
    let present = terms.into_iter().filter_map(|(weight, values)| values.filter(|_| weight != 0.0).zip(Some(weight)));
    present.into_iter().try_fold(None, |sum, (values, weight)| plus(sum, Some(times(values, weight)?)))
}

fn plus(a: Option<Tensor>, b: Option<Tensor>) -> Result<Option<Tensor>> {
    match (a, b) {
        (Some(a), Some(b)) => Ok(Some((a + b)?)),
        (a, b) => Ok(a.or(b)),
    }
}
