//! Weights of convolutions and linear layers, as the tiles read them.

use rayon::prelude::*;

use super::{Bf16, Element, LINE, Line, PANEL, Precision};

/// Sizes of some weights: (outputs, inputs, kernel, kernel), one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels that come out.
    pub outputs: usize,
    /// Channels that go in.
    pub inputs: usize,
    /// Side of the window; 1 for a linear layer.
    pub kernel: usize,
}

/// Packed weights with a bias.
#[derive(Debug)]
pub struct Dense {
    pub(crate) shape: Shape,
    pub(crate) precision: Precision,
    /// Whether a line of gates follows each line of what they multiply.
    pub(crate) gated: bool,
    /// Panels of 32 outputs, the last of 16 if that is enough; a line of each for every word.
    lines: Vec<Line>,
    /// In the order of the columns, filled up with zeros to whole panels.
    pub(crate) bias: Vec<f32>,
}

impl Shape {
    /// Words that a row of activations has for each panel.
    pub(crate) fn words(self, precision: Precision) -> usize {
        self.kernel * self.kernel * width(self.inputs, precision) / per_word(precision)
    }
}

/// Values of a pixel: its channels, filled up to a whole word.
pub(crate) fn width(channels: usize, precision: Precision) -> usize {
    channels.next_multiple_of(per_word(precision))
}

pub(crate) fn per_word(precision: Precision) -> usize {
    match precision {
        Precision::F32 => f32::VALUES,
        Precision::Bf16 => Bf16::VALUES,
    }
}

impl Dense {
    /// Packs weights. No bias is one of zeros.
    ///
    /// # Panics
    /// If the sizes do not fit.
    #[must_use]
    pub fn pack(precision: Precision, shape: Shape, weights: &[f32], bias: &[f32]) -> Self {
        Self::pack_columns(precision, shape, (weights, bias), false)
    }

    /// Packs a layer of which the second half of the outputs gates the first, as
    /// [`Kernels::gated_product`](crate::Kernels::gated_product) takes it.
    ///
    /// # Panics
    /// If the sizes do not fit, or the outputs are odd.
    #[must_use]
    pub fn pack_gated(precision: Precision, shape: Shape, weights: &[f32], bias: &[f32]) -> Self {
        assert!(shape.outputs.is_multiple_of(2), "{} outputs of a gated layer", shape.outputs);
        Self::pack_columns(precision, shape, (weights, bias), true)
    }

    fn pack_columns(precision: Precision, shape: Shape, (weights, bias): (&[f32], &[f32]), gated: bool) -> Self {
        let Shape { outputs, inputs, kernel } = shape;
        assert_eq!(weights.len(), outputs * inputs * kernel * kernel, "weights of {shape:?}");
        assert!(bias.is_empty() || bias.len() == outputs, "{} values of a bias for {outputs} outputs", bias.len());
        let mut packed = Self { shape, precision, gated, lines: Vec::new(), bias: Vec::new() };
        let lines = if gated { 2 * packed.panels() } else { outputs.div_ceil(LINE) };
        packed.lines = vec![Line::default(); lines * shape.words(precision)];
        packed.bias = vec![0.0; packed.panels() * PANEL];
        for (column, place) in packed.bias.iter_mut().enumerate() {
            *place = packed_output(column, outputs, gated).and_then(|output| bias.get(output)).copied().unwrap_or(0.0);
        }
        match precision {
            Precision::F32 => packed.fill::<f32>(weights),
            Precision::Bf16 => packed.fill::<Bf16>(weights),
        }
        packed
    }

    fn fill<E: Element>(&mut self, weights: &[f32]) {
        let Shape { outputs, inputs, kernel } = self.shape;
        let (taps, words, gated) = (kernel * kernel, self.shape.words(self.precision), self.gated);
        let per_tap = words / taps;
        self.lines.par_chunks_mut(2 * words).enumerate().for_each(|(panel, lines)| {
            let parts = lines.len() / words;
            for column in 0..parts * LINE {
                let Some(output) = packed_output(panel * PANEL + column, outputs, gated) else { continue };
                let weights = &weights[output * inputs * taps..][..inputs * taps];
                for (input, weights) in weights.chunks_exact(taps).enumerate() {
                    for (tap, weight) in weights.iter().enumerate() {
                        let word = tap * per_tap + input / E::VALUES;
                        let line = &mut lines[word * parts + column / LINE];
                        E::put(&mut line.0[column % LINE], input % E::VALUES, *weight);
                    }
                }
            }
        });
    }

    /// Its sizes.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What it was rounded to.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    pub(crate) fn panels(&self) -> usize {
        if self.gated { (self.shape.outputs / 2).div_ceil(LINE) } else { self.shape.outputs.div_ceil(PANEL) }
    }

    /// The lines of a panel: as many as it has words, or twice as many.
    pub(crate) fn panel(&self, panel: usize) -> &[Line] {
        let words = self.shape.words(self.precision);
        let lines = &self.lines[panel * 2 * words..];
        &lines[..lines.len().min(2 * words)]
    }
}

/// Which output a column holds.
fn packed_output(column: usize, outputs: usize, gated: bool) -> Option<usize> {
    if !gated {
        return (column < outputs).then_some(column);
    }
    let (within, half) = (column / PANEL * LINE + column % LINE, outputs / 2);
    let first = if column % PANEL < LINE { 0 } else { half };
    (within < half).then_some(first + within)
}
