//! Whisper in int8 on a CPU: every product of weights, and attention, by `shanshui-kernels`.
//!
//! Weights are packed at load, row by row out of the mapped file, so that they are in memory once.

mod decoder;
mod encoder;
mod load;

use shanshui_kernels::{Kernels, KeysValues};

use super::{
    dims::Dims,
    towers::{Listening, Towers, Writing},
    weights::Weights,
};
use decoder::{Decoder, Heard, Written};
use encoder::Encoder;
use load::Loader;

/// Both towers.
#[derive(Debug)]
pub(super) struct Int8 {
    encoder: Encoder,
    decoder: Decoder,
}

impl Int8 {
    /// The widest head that the kernels take.
    pub(super) const MAX_HEAD_WIDTH: usize = KeysValues::MAX_WIDTH;

    pub(super) fn load(
        weights: &Weights,
        dims: &Dims,
        alignment_heads: &[[usize; 2]],
        kernels: Kernels,
    ) -> anyhow::Result<Self> {
        let loader = Loader { weights, dims, kernels };
        Ok(Self { encoder: Encoder::load(loader)?, decoder: Decoder::load(loader, alignment_heads)? })
    }
}

impl Towers for Int8 {
    fn hear(&self, frames: &[f32]) -> anyhow::Result<Box<dyn Listening + '_>> {
        let heard = self.decoder.hear(&self.encoder.forward(frames));
        Ok(Box::new(Int8Heard { decoder: &self.decoder, heard }))
    }
}

struct Int8Heard<'a> {
    decoder: &'a Decoder,
    heard: Heard,
}

impl Listening for Int8Heard<'_> {
    fn start(&self) -> anyhow::Result<Box<dyn Writing + '_>> {
        Ok(Box::new(Int8Written { decoder: self.decoder, heard: &self.heard, written: self.decoder.start() }))
    }
}

struct Int8Written<'a> {
    decoder: &'a Decoder,
    heard: &'a Heard,
    written: Written,
}

impl Writing for Int8Written<'_> {
    fn feed(&mut self, tokens: &[u32]) -> anyhow::Result<()> {
        self.decoder.forward(tokens, self.heard, &mut self.written)
    }

    fn logits(&self, at: usize) -> anyhow::Result<Vec<f32>> {
        Ok(self.decoder.logits(&self.written, at))
    }

    fn listened(&self) -> anyhow::Result<Vec<Vec<f32>>> {
        Ok(self.written.listened.clone())
    }

    fn length(&self) -> usize {
        self.written.length
    }
}
