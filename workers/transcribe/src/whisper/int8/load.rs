//! Packed layers out of the tensors of a checkpoint.

use std::cell::RefCell;

use rayon::prelude::*;
use shanshui_kernels::{Kernels, Norm, Packed, Packing, Quantised, Rows, Then};

use super::super::{
    dims::{Dims, Tower},
    weights::{Weights, WeightsError},
};

/// Packs tensors of a checkpoint.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) weights: &'a Weights,
    pub(super) dims: &'a Dims,
    pub(super) kernels: Kernels,
}

impl Loader<'_> {
    /// A table that is read as it is.
    pub(super) fn table(&self, name: &str, rows: usize) -> anyhow::Result<Vec<f32>> {
        let mut values = Vec::new();
        self.weights.append(name, &[rows, self.dims.width], &mut values)?;
        Ok(values)
    }

    pub(super) fn norm(&self, name: &str) -> anyhow::Result<Norm> {
        let (weight, bias) = (self.vector(&format!("{name}.weight"))?, self.vector(&format!("{name}.bias"))?);
        Ok(Norm { weight, bias, epsilon: 1e-5 })
    }

    fn vector(&self, name: &str) -> anyhow::Result<Vec<f32>> {
        let mut values = Vec::new();
        self.weights.append(name, &[self.dims.width], &mut values)?;
        Ok(values)
    }

    /// A matrix without a bias.
    pub(super) fn matrix(&self, name: &str, outputs: usize, inputs: usize) -> anyhow::Result<Packed> {
        let mut packing = Packing::new(outputs, inputs);
        self.weights.rows(name, &[outputs, inputs], |row| packing.push(row))?;
        Ok(packing.finish(&[]))
    }

    pub(super) fn linear(&self, name: &str, inputs: usize, outputs: usize) -> anyhow::Result<Packed> {
        let (mut packing, mut bias) = (Packing::new(outputs, inputs), Vec::new());
        self.weights.rows(&format!("{name}.weight"), &[outputs, inputs], |row| packing.push(row))?;
        self.weights.append(&format!("{name}.bias"), &[outputs], &mut bias)?;
        Ok(packing.finish(&bias))
    }

    /// Several projections of an attention block as one: their rows stacked. The queries carry the
    /// scale of the scores, 1/sqrt(head width); keys have no bias in Whisper.
    pub(super) fn projections(&self, block: &str, names: &[&str], tower: Tower) -> anyhow::Result<Packed> {
        let width = self.dims.width;
        let (mut packing, mut biases) = (Packing::new(names.len() * width, width), Vec::new());
        for name in names {
            let scale = if *name == "q_proj" { ((width / tower.heads) as f32).sqrt().recip() } else { 1.0 };
            let mut scaled = Vec::with_capacity(width);
            self.weights.rows(&format!("{block}.{name}.weight"), &[width, width], |row| {
                scaled.clear();
                scaled.extend(row.iter().map(|weight| weight * scale));
                packing.push(&scaled);
            })?;
            let start = biases.len();
            match self.weights.append(&format!("{block}.{name}.bias"), &[width], &mut biases) {
                Err(WeightsError::Missing(_)) if *name == "k_proj" => biases.resize(start + width, 0.0),
                result => result?,
            }
            biases[start..].iter_mut().for_each(|bias| *bias *= scale);
        }
        Ok(packing.finish(&biases))
    }

    /// A convolution over three frames as a linear layer: the weights of the first frame for all
    /// channels, then those of the second and the third.
    pub(super) fn convolution(&self, name: &str, channels: usize) -> anyhow::Result<Packed> {
        let width = self.dims.width;
        let (mut packing, mut bias) = (Packing::new(width, 3 * channels), Vec::new());
        let mut turned = vec![0.0; 3 * channels];
        self.weights.rows(&format!("{name}.weight"), &[width, channels, 3], |row| {
            for (channel, taps) in row.as_chunks::<3>().0.iter().enumerate() {
                for (tap, weight) in taps.iter().enumerate() {
                    turned[tap * channels + channel] = *weight;
                }
            }
            packing.push(&turned);
        })?;
        self.weights.append(&format!("{name}.bias"), &[width], &mut bias)?;
        Ok(packing.finish(&bias))
    }

    pub(super) fn feed_forward(&self, layer: &str) -> anyhow::Result<FeedForward> {
        let Dims { width, hidden, .. } = *self.dims;
        Ok(FeedForward {
            norm: self.norm(&format!("{layer}.final_layer_norm"))?,
            up: self.linear(&format!("{layer}.fc1"), width, hidden)?,
            down: self.linear(&format!("{layer}.fc2"), hidden, width)?,
            kernels: self.kernels,
        })
    }
}

/// How finely activations are rounded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Grain {
    /// What an encoder needs to hear as well as in f32: the hundred sentences of `tests/bench/words.py` come out
    /// alike to the word.
    Byte,
    TwoBytes,
}

impl Grain {
    /// Room for rows of so many values.
    pub(super) fn rows(self, width: usize) -> Quantised {
        match self {
            Self::Byte => Quantised::new(width),
            Self::TwoBytes => Quantised::fine(width),
        }
    }
}

thread_local! {
    /// What is between the two layers of a [`FeedForward`], for a block of rows: to fill it with zeros each time
    /// would take as long as a tenth of the second product.
    static HIDDEN: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The two layers between attention blocks.
#[derive(Debug)]
pub(super) struct FeedForward {
    norm: Norm,
    up: Packed,
    down: Packed,
    kernels: Kernels,
}

impl FeedForward {
    /// Adds its result to `x`, (rows, width).
    pub(super) fn add_to(&self, x: &mut [f32], grain: Grain) {
        HIDDEN.with_borrow_mut(|hidden| self.add_by(x, grain, hidden));
    }

    fn add_by(&self, x: &mut [f32], grain: Grain, hidden: &mut Vec<f32>) {
        let (width, inner) = (self.up.inputs(), self.up.outputs());
        let rows = x.len() / width;
        if hidden.len() < rows * inner {
            hidden.resize(rows * inner, 0.0);
        }
        let hidden = &mut hidden[..rows * inner];
        let mut bytes = grain.rows(width);
        self.kernels.norm_quantise(Rows::of(x, width), rows, &self.norm, &mut bytes);
        self.kernels.linear(&bytes, &self.up, Then::Gelu, hidden);
        let mut bytes = grain.rows(inner);
        self.kernels.quantise(Rows::of(hidden, inner), rows, &mut bytes);
        self.kernels.linear(&bytes, &self.down, Then::Add, x);
    }
}

/// Rows that a thread takes at once: their activations and some of the weights share its cache.
pub(super) const BLOCK: usize = 48;

/// Works on blocks of rows of `out`, `width` values each, with all threads; the work is told the
/// first row of its block.
pub(super) fn by_blocks(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    out.par_chunks_mut(BLOCK * width).enumerate().for_each(|(block, out)| work(block * BLOCK, out));
}
