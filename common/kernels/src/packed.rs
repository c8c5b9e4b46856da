//! Weights as the products read them.

use std::ops::Range;

use crate::{isa::COLUMNS, memory::Groups};

/// Four weights of each of 64 outputs: what one step of a product reads. Weight k of output c is
/// number 4 c + k, so that four bytes of a row meet four bytes of each output.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Group(pub(crate) [i8; 4 * COLUMNS]);

impl Group {
    pub(crate) const ZERO: Self = Self([0; 4 * COLUMNS]);
}

/// The largest quantised weight. There is no -128, so that all have the same range.
pub(crate) const LARGEST: f32 = 127.0;

/// A matrix (outputs × inputs) of signed bytes with a scale for each output, and a bias.
#[derive(Debug)]
pub struct Packed {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Panels of 64 outputs one after the other, each of a group for four inputs.
    groups: Groups,
    /// These three are filled up with zeros to whole panels.
    pub(crate) scales: Vec<f32>,
    /// Sums of the quantised weights, by which the zero point of a row is taken off.
    pub(crate) sums: Vec<i32>,
    pub(crate) bias: Vec<f32>,
}

impl Packed {
    /// Values of a row that it is multiplied with.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values that come of a row.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The outputs of a part, and those beside them that are computed with them.
    #[must_use]
    pub fn around(&self, part: Range<usize>) -> Range<usize> {
        let end = part.end.next_multiple_of(COLUMNS).min(self.outputs);
        (part.start / COLUMNS * COLUMNS).min(end)..end
    }

    pub(crate) fn panels(&self) -> usize {
        self.scales.len() / COLUMNS
    }

    pub(crate) fn panel(&self, panel: usize) -> &[Group] {
        let groups = groups_for(self.inputs);
        &self.groups[panel * groups..(panel + 1) * groups]
    }

    /// The weights of one output as they come out of the bytes: a table of embeddings needs no second
    /// copy beside its product.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn row(&self, output: usize) -> impl Iterator<Item = f32> {
        assert!(output < self.outputs, "output {output} of {}", self.outputs);
        let (scale, column) = (self.scales[output], output % COLUMNS);
        let groups = self.panel(output / COLUMNS).iter();
        groups.flat_map(move |group| group.0.as_chunks::<4>().0[column].map(|w| f32::from(w) * scale)).take(self.inputs)
    }
}

/// Groups that hold so many inputs.
pub(crate) fn groups_for(inputs: usize) -> usize {
    inputs.div_ceil(4)
}

/// A matrix that is being packed, output after output: the whole is never in memory as floats.
#[derive(Debug)]
pub struct Packing {
    packed: Packed,
    next: usize,
}

impl Packing {
    /// Room for a matrix of zeros.
    #[must_use]
    pub fn new(outputs: usize, inputs: usize) -> Self {
        let panels = outputs.div_ceil(COLUMNS);
        let packed = Packed {
            inputs,
            outputs,
            groups: Groups::zeros(panels * groups_for(inputs)),
            scales: vec![0.0; panels * COLUMNS],
            sums: vec![0; panels * COLUMNS],
            bias: vec![0.0; panels * COLUMNS],
        };
        Self { packed, next: 0 }
    }

    /// Adds the weights of the next output.
    ///
    /// # Panics
    /// If there are more or fewer weights than inputs, or all outputs have theirs.
    pub fn push(&mut self, weights: &[f32]) {
        let Packed { inputs, outputs, .. } = self.packed;
        assert!(weights.len() == inputs && self.next < outputs, "{} weights for {inputs} inputs", weights.len());
        let largest = weights.iter().fold(0f32, |largest, weight| largest.max(weight.abs()));
        let scale = largest / LARGEST;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        let (panel, column) = (self.next / COLUMNS, self.next % COLUMNS);
        let first = panel * groups_for(inputs);
        let mut sum = 0;
        for (group, weights) in self.packed.groups[first..].iter_mut().zip(weights.chunks(4)) {
            for (place, weight) in group.0[4 * column..].iter_mut().zip(weights) {
                *place = (weight * inverse).round() as i8;
                sum += i32::from(*place);
            }
        }
        self.packed.scales[self.next] = scale;
        self.packed.sums[self.next] = sum;
        self.next += 1;
    }

    /// The packed matrix. An output without a bias has none.
    #[must_use]
    pub fn finish(mut self, bias: &[f32]) -> Packed {
        for (place, bias) in self.packed.bias.iter_mut().zip(bias) {
            *place = *bias;
        }
        self.packed
    }
}
