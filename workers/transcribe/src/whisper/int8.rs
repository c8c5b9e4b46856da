//! Whisper in int8 on a CPU: every product of weights, and attention, by `shanshui-kernels`.
//!
//! Weights are packed at load, row by row out of the mapped file, so that they are in memory once.

mod decoder;
mod encoder;
mod line;
mod load;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use shanshui_kernels::{Kernels, KeysValues};

use super::{
    dims::Dims,
    towers::{Listening, Towers, Writing},
    weights::Weights,
};
use decoder::{Decoder, Heard, Text};
use encoder::{Encoder, Room};
use line::{Line, Seat};
use load::Loader;

/// Both towers.
#[derive(Debug)]
pub(super) struct Int8 {
    encoder: Encoder,
    decoder: Decoder,
    /// One thing at a time is computed, with all threads.
    line: Line<Text>,
    room: Mutex<Room>,
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
        let (encoder, decoder) = (Encoder::load(loader)?, Decoder::load(loader, alignment_heads)?);
        Ok(Self { encoder, decoder, line: Line::default(), room: Mutex::default() })
    }
}

impl Towers for Int8 {
    fn hear(&self, frames: &[f32]) -> anyhow::Result<Box<dyn Listening + '_>> {
        let heard = self.line.alone(|| {
            let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
            let features = self.encoder.forward(frames, &mut room);
            self.decoder.hear(&features, &mut room.large)
        });
        Ok(Box::new(Int8Heard { towers: self, heard: heard.into() }))
    }

    fn shares(&self) -> bool {
        true
    }
}

struct Int8Heard<'a> {
    towers: &'a Int8,
    heard: Arc<Heard>,
}

impl Listening for Int8Heard<'_> {
    fn start(&self) -> anyhow::Result<Box<dyn Writing + '_>> {
        let Int8 { decoder, line, .. } = self.towers;
        Ok(Box::new(Int8Written { decoder, seat: line.seat(), text: Some(decoder.start(&self.heard)) }))
    }
}

struct Int8Written<'a> {
    decoder: &'a Decoder,
    seat: Seat<'a, Text>,
    /// Nothing if it was lost.
    text: Option<Text>,
}

impl Int8Written<'_> {
    fn text(&self) -> anyhow::Result<&Text> {
        self.text.as_ref().context("a step of several texts failed")
    }
}

impl Writing for Int8Written<'_> {
    fn feed(&mut self, tokens: &[u32], next: Range<usize>) -> anyhow::Result<()> {
        self.text()?;
        let mut text = self.text.take();
        text.iter_mut().for_each(|text| (text.tokens, text.next) = (tokens.to_vec(), next.clone()));
        self.text = text.and_then(|text| self.seat.join(text, |texts| self.decoder.forward(texts)));
        let refused = self.text.as_mut().and_then(|text| text.refused.take());
        refused.map_or_else(|| self.text().map(drop), Err)
    }

    fn logits(&self, at: usize) -> anyhow::Result<Vec<f32>> {
        Ok(self.decoder.logits(self.text()?, at))
    }

    fn listened(&self) -> anyhow::Result<Vec<Vec<f32>>> {
        Ok(self.text()?.listened.clone())
    }

    fn length(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.length)
    }
}
