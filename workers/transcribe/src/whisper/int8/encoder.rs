//! Sound to features in int8.

use rayon::prelude::*;
use shanshui_kernels::{Kernels, KeysValues, Norm, Packed, Quantised, Rows, Scratch, Then};

use super::load::{BLOCK, FeedForward, Grain, Loader, by_blocks};
use crate::whisper::dims::Dims;

/// The encoder of Whisper (section 2.2 of the paper).
#[derive(Debug)]
pub(super) struct Encoder {
    kernels: Kernels,
    dims: Dims,
    conv1: Packed,
    conv2: Packed,
    /// (positions, width)
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
}

#[derive(Debug)]
struct Layer {
    norm: Norm,
    /// Queries, keys and values in one product.
    qkv: Packed,
    out: Packed,
    feed_forward: FeedForward,
}

/// Memory that is kept from window to window: fresh pages would take as long as a tenth of the products.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// What is large and soon used up: queries, keys and values, or what the first convolution hears.
    pub(super) large: Vec<f32>,
    /// What the heads make of it, (heads, positions, head width).
    mixed: Vec<f32>,
    heads: Vec<KeysValues>,
}

/// Queries that a thread takes at once.
const QUERIES: usize = 240;

impl Encoder {
    pub(super) fn load(loader: Loader<'_>) -> anyhow::Result<Self> {
        let dims = *loader.dims;
        let Dims { mels, width, audio_context, encoder: tower, .. } = dims;
        let layer = |layer: usize| {
            let name = format!("encoder.layers.{layer}");
            anyhow::Ok(Layer {
                norm: loader.norm(&format!("{name}.self_attn_layer_norm"))?,
                qkv: loader.projections(&format!("{name}.self_attn"), &["q_proj", "k_proj", "v_proj"], tower)?,
                out: loader.linear(&format!("{name}.self_attn.out_proj"), width, width)?,
                feed_forward: loader.feed_forward(&name)?,
            })
        };
        Ok(Self {
            kernels: loader.kernels,
            dims,
            conv1: loader.convolution("encoder.conv1", mels)?,
            conv2: loader.convolution("encoder.conv2", width)?,
            positions: loader.table("encoder.embed_positions.weight", audio_context)?,
            layers: (0..tower.layers).map(layer).collect::<anyhow::Result<_>>()?,
            norm: loader.norm("encoder.layer_norm")?,
        })
    }

    /// Log-mel frames, one after the other, to features (frames / 2, width): bytes, in blocks of rows.
    /// Positions count from the start.
    pub(super) fn forward(&self, frames: &[f32], room: &mut Room) -> Vec<Quantised> {
        let width = self.dims.width;
        let mut x = self.listen(frames, &mut room.large);
        room.large.resize(3 * x.len(), 0.0);
        room.mixed.resize(x.len(), 0.0);
        room.heads.resize_with(self.dims.encoder.heads, KeysValues::default);
        for layer in &self.layers {
            self.project(layer, &x, &mut room.large);
            self.attend(room);
            by_blocks(&mut x, width, |first, x| self.finish(layer, &room.mixed, first, x));
        }
        let features = x.par_chunks(BLOCK * width).map(|x| {
            let mut bytes = Quantised::new(width);
            self.kernels.norm_quantise(Rows::of(x, width), x.len() / width, &self.norm, &mut bytes);
            bytes
        });
        features.collect()
    }

    /// The two convolutions, which hear three frames at a time, the second at every other. Silence is zero, and what
    /// follows the sound is the same at every place: it is computed once.
    fn listen(&self, frames: &[f32], first: &mut Vec<f32>) -> Vec<f32> {
        let Dims { mels, width, .. } = self.dims;
        let count = frames.len() / mels;
        let sound = frames.iter().rposition(|value| *value != 0.0).map_or(0, |last| last / mels + 1);
        let mut padded = vec![0.0; (count + 2) * mels];
        padded[mels..][..frames.len()].copy_from_slice(frames);
        first.resize((count + 2) * width, 0.0);
        first[..width].fill(0.0);
        first[(count + 1) * width..].fill(0.0);
        let windows = Rows { values: &padded, first: 0, stride: mels, width: 3 * mels };
        // The first row that hears silence alone is the last of these.
        let (heard, silent) = first[width..(count + 1) * width].split_at_mut((sound + 2).min(count) * width);
        self.convolve(&self.conv1, windows, Then::Gelu, heard);
        silent.chunks_mut(width).for_each(|row| row.copy_from_slice(&heard[heard.len() - width..]));
        let mut x = self.positions[..count / 2 * width].to_vec();
        let windows = Rows { values: first, first: 0, stride: 2 * width, width: 3 * width };
        let (heard, silent) = x.split_at_mut((sound + 2).div_ceil(2).min(count / 2) * width);
        self.convolve(&self.conv2, windows, Then::GeluAdd, heard);
        if !silent.is_empty() {
            let mut silence = vec![0.0; width];
            let windows = Rows { values: &first[2 * heard.len()..], ..windows };
            self.convolve(&self.conv2, windows, Then::Gelu, &mut silence);
            silent.chunks_mut(width).for_each(|row| row.iter_mut().zip(&silence).for_each(|(x, value)| *x += value));
        }
        x
    }

    fn convolve(&self, weights: &Packed, windows: Rows<'_>, then: Then, out: &mut [f32]) {
        let outputs = weights.outputs();
        by_blocks(out, outputs, |first, out| {
            let mut bytes = Quantised::new(windows.width);
            let windows = Rows { first: first * windows.stride, ..windows };
            self.kernels.quantise(windows, out.len() / outputs, &mut bytes);
            self.kernels.linear(&bytes, weights, then, out);
        });
    }

    fn project(&self, layer: &Layer, x: &[f32], qkv: &mut [f32]) {
        let width = self.dims.width;
        by_blocks(qkv, 3 * width, |first, qkv| {
            let mut bytes = Quantised::new(width);
            let rows = Rows::of(&x[first * width..], width);
            self.kernels.norm_quantise(rows, qkv.len() / (3 * width), &layer.norm, &mut bytes);
            self.kernels.linear(&bytes, &layer.qkv, Then::Keep, qkv);
        });
    }

    /// Every position attends to every one.
    fn attend(&self, room: &mut Room) {
        let (width, count) = (self.dims.width, self.dims.encoder.heads);
        let head_width = width / count;
        let Room { large: qkv, mixed, heads } = room;
        let qkv: &[f32] = qkv;
        let rows = mixed.len() / width;
        let part = |part: usize, head: usize, first: usize| Rows {
            values: qkv,
            first: first * 3 * width + part * width + head * head_width,
            stride: 3 * width,
            width: head_width,
        };
        heads.par_iter_mut().enumerate().for_each(|(head, packed)| {
            self.kernels.pack_head(part(1, head, 0), part(2, head, 0), rows, packed);
        });
        mixed.par_chunks_mut(rows * head_width).zip(heads.par_iter()).enumerate().for_each(|(head, (out, packed))| {
            let blocks = out.par_chunks_mut(QUERIES * head_width).enumerate();
            blocks.for_each_init(Scratch::default, |scratch, (block, out)| {
                self.kernels.attend(part(0, head, block * QUERIES), packed, scratch, out);
            });
        });
    }

    /// What follows attention, for a block of rows of `x`.
    fn finish(&self, layer: &Layer, mixed: &[f32], first: usize, x: &mut [f32]) {
        let width = self.dims.width;
        let (head_width, rows) = (width / self.dims.encoder.heads, x.len() / width);
        let mut gathered = vec![0.0; x.len()];
        for (head, of_head) in mixed.chunks(mixed.len() / self.dims.encoder.heads).enumerate() {
            let of_rows = of_head[first * head_width..].chunks(head_width);
            for (row, values) in gathered.chunks_mut(width).zip(of_rows) {
                row[head * head_width..(head + 1) * head_width].copy_from_slice(values);
            }
        }
        let mut bytes = Quantised::new(width);
        self.kernels.quantise(Rows::of(&gathered, width), rows, &mut bytes);
        self.kernels.linear(&bytes, &layer.out, Then::Add, x);
        layer.feed_forward.add_to(x, Grain::Byte);
    }
}
