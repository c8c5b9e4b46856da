//! Sound to features: two convolutions and a transformer over one window.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::{
    dims::{Dims, Tower},
    kernels,
    layers::{FeedForward, LayerNorm, Linear, Loader},
};

/// The encoder of Whisper (section 2.2 of the paper).
#[derive(Debug)]
pub(super) struct Encoder {
    conv1: Linear,
    conv2: Linear,
    /// (positions, width)
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

#[derive(Debug)]
struct Layer {
    norm: LayerNorm,
    /// Queries, keys and values in one product.
    qkv: Linear,
    out: Linear,
    feed_forward: FeedForward,
    tower: Tower,
}

impl Encoder {
    pub(super) fn load(loader: Loader<'_>) -> anyhow::Result<Self> {
        let Dims { mels, width, audio_context, encoder: tower, .. } = *loader.dims;
        let layers = (0..tower.layers).map(|layer| Layer::load(loader, &format!("encoder.layers.{layer}"), tower));
        Ok(Self {
            conv1: loader.convolution("encoder.conv1", mels)?,
            conv2: loader.convolution("encoder.conv2", width)?,
            positions: loader.tensor("encoder.embed_positions.weight", &[audio_context, width])?,
            layers: layers.collect::<anyhow::Result<_>>()?,
            norm: loader.norm("encoder.layer_norm")?,
        })
    }

    /// Log-mel frames (frames, mels) to features (frames / 2, width). Fewer frames than a full
    /// window are allowed, if even: positions count from the start.
    pub(super) fn forward(&self, mel: &Tensor) -> Result<Tensor> {
        let x = self.conv1.forward_gelu(&neighbours(mel)?)?;
        let x = self.conv2.forward_gelu(&every_second_neighbours(&x)?)?;
        let mut x = (&x + self.positions.narrow(0, 0, x.dim(0)?)?)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        self.norm.forward(&x)
    }
}

impl Layer {
    fn load(loader: Loader<'_>, name: &str, tower: Tower) -> anyhow::Result<Self> {
        let width = loader.dims.width;
        Ok(Self {
            norm: loader.norm(&format!("{name}.self_attn_layer_norm"))?,
            qkv: loader.projections(&format!("{name}.self_attn"), &["q_proj", "k_proj", "v_proj"], tower)?,
            out: loader.linear(&format!("{name}.self_attn.out_proj"), width, width)?,
            feed_forward: loader.feed_forward(name)?,
            tower,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm.forward(x)?)?;
        let x = (x + self.out.forward(&attention(&qkv, self.tower.heads)?)?)?;
        self.feed_forward.add_to(&x)
    }
}

/// Frame t of the result holds the frames t-1, t and t+1 side by side; silence is zero.
fn neighbours(x: &Tensor) -> Result<Tensor> {
    let frames = x.dim(0)?;
    let padded = x.pad_with_zeros(0, 1, 1)?;
    let taps = [0, 1, 2].map(|tap| padded.narrow(0, tap, frames));
    let [first, second, third] = taps;
    Tensor::cat(&[first?, second?, third?], 1)
}

/// The same for every second frame, as a convolution of stride two sees them.
fn every_second_neighbours(x: &Tensor) -> Result<Tensor> {
    let (frames, channels) = x.dims2()?;
    let padded = x.pad_with_zeros(0, 1, 1)?;
    // Two frames in a row of memory are one row of twice the width.
    let first_two = padded.narrow(0, 0, frames)?.reshape((frames / 2, 2 * channels))?;
    let third = padded.narrow(0, 2, frames)?.reshape((frames / 2, 2 * channels))?.narrow(1, 0, channels)?;
    Tensor::cat(&[first_two, third], 1)
}

/// Queries that are looked at together. A block's scores, (queries, positions) of one head, stay
/// in the cache between product, softmax and product; all of them would be 72 MB in base.
const QUERIES: usize = 128;

/// (positions, 3 · width) to (positions, width): every position attends to every one.
///
/// On a CPU each thread takes a head of its own: threads that share every small product wait for
/// each other thousands of times, which costs most when the machine has other work too.
fn attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let (positions, triple) = qkv.dims2()?;
    let (width, head_width) = (triple / 3, triple / 3 / heads);
    let split = qkv.reshape((positions, 3 * heads, head_width))?.transpose(0, 1)?.contiguous()?;
    if !qkv.device().is_cpu() {
        return all_heads(&split)?.transpose(0, 1)?.reshape((positions, width));
    }
    let one = |head| one_head(&split.get(head)?, &split.get(heads + head)?, &split.get(2 * heads + head)?);
    let results: Vec<Tensor> = (0..heads).into_par_iter().map(one).collect::<Result<_>>()?;
    Tensor::cat(&results, 1)?.reshape((positions, width))
}

/// Queries, keys and values of all heads, (3 · heads, positions, head width), to (heads, …): a GPU has no cache to
/// stay in, and its time goes with the number of products.
fn all_heads(split: &Tensor) -> Result<Tensor> {
    let heads = split.dim(0)? / 3;
    let part = |number: usize| split.narrow(0, number * heads, heads);
    kernels::softmax(part(0)?.matmul(&part(1)?.t()?)?)?.matmul(&part(2)?)
}

fn one_head(query: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
    let (positions, keys) = (query.dim(0)?, keys.t()?);
    let mut blocks = Vec::with_capacity(positions.div_ceil(QUERIES));
    for start in (0..positions).step_by(QUERIES) {
        let block = query.narrow(0, start, QUERIES.min(positions - start))?;
        blocks.push(kernels::softmax(block.matmul(&keys)?)?.matmul(values)?);
    }
    Tensor::cat(&blocks, 0)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn all_heads_together_are_each_alone() {
        let (positions, heads, width) = (200, 3, 24);
        let value = |at: usize| (at * 7919 % 2003) as f32 / 500.0 - 2.0;
        let values: Vec<f32> = (0..positions * 3 * width).map(value).collect();
        let qkv = Tensor::from_vec(values, (positions, 3 * width), &Device::Cpu).unwrap();
        let split = qkv.reshape((positions, 3 * heads, width / heads)).unwrap().transpose(0, 1).unwrap();
        let together = all_heads(&split.contiguous().unwrap()).unwrap().transpose(0, 1).unwrap();
        let alone = attention(&qkv, heads).unwrap();
        let difference = (together.reshape((positions, width)).unwrap() - alone).unwrap();
        let largest = difference.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(largest < 1e-5, "{largest}");
    }
}
