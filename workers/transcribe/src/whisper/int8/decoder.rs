//! Features and tokens to the next token, in int8.
//!
//! A step reads all weights for a row or a few, and waits for them: two bytes a value cost it little.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rayon::prelude::*;
use shanshui_kernels::{Kernels, KeysValues, Norm, Packed, Quantised, Rows, Scratch, Then};

use super::load::{BLOCK, FeedForward, Grain, Loader, by_blocks};
use crate::whisper::dims::Dims;

/// The decoder of Whisper (section 2.2 of the paper); the output layer is the token embedding.
#[derive(Debug)]
pub(super) struct Decoder {
    kernels: Kernels,
    dims: Dims,
    tokens: Packed,
    /// (context, width)
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
}

#[derive(Debug)]
struct Layer {
    own_norm: Norm,
    /// Queries, keys and values of attention to the tokens written so far.
    own: Packed,
    own_out: Packed,
    heard_norm: Norm,
    /// Queries of attention to the sound.
    query: Packed,
    /// Keys and values of it.
    heard: Packed,
    heard_out: Packed,
    feed_forward: FeedForward,
    /// Heads of attention to the sound that follow it from word to word.
    alignment_heads: Vec<usize>,
}

/// Keys and values of one window's features: layer after layer, head after head.
#[derive(Debug, Default)]
pub(super) struct Heard {
    layers: Vec<Vec<KeysValues>>,
}

/// A text about a window.
#[derive(Debug, Default)]
pub(super) struct Text {
    heard: Arc<Heard>,
    /// Keys and values of the tokens that it has seen so far for every layer, (tokens, width).
    layers: Vec<(Vec<f32>, Vec<f32>)>,
    pub(super) length: usize,
    /// Tokens to feed, or those that were fed last.
    pub(super) tokens: Vec<u32>,
    /// Which tokens may follow the last of them.
    pub(super) next: Range<usize>,
    /// Their states, (tokens, width).
    states: Vec<f32>,
    /// Scores of every token after the last of them, minus infinity for those that may not follow.
    scores: Vec<f32>,
    /// To what the last of them has listened: for each alignment head, how much to each position.
    pub(super) listened: Vec<Vec<f32>>,
    /// Why they cannot be fed.
    pub(super) refused: Option<anyhow::Error>,
    scratch: Scratch,
}

impl Decoder {
    pub(super) fn load(loader: Loader<'_>, alignment_heads: &[[usize; 2]]) -> anyhow::Result<Self> {
        let dims = *loader.dims;
        let Dims { vocabulary, width, text_context, decoder: tower, .. } = dims;
        let layer = |layer: usize| {
            let name = format!("decoder.layers.{layer}");
            let (own, heard) = (format!("{name}.self_attn"), format!("{name}.encoder_attn"));
            anyhow::Ok(Layer {
                own_norm: loader.norm(&format!("{own}_layer_norm"))?,
                own: loader.projections(&own, &["q_proj", "k_proj", "v_proj"], tower)?,
                own_out: loader.linear(&format!("{own}.out_proj"), width, width)?,
                heard_norm: loader.norm(&format!("{heard}_layer_norm"))?,
                query: loader.projections(&heard, &["q_proj"], tower)?,
                heard: loader.projections(&heard, &["k_proj", "v_proj"], tower)?,
                heard_out: loader.linear(&format!("{heard}.out_proj"), width, width)?,
                feed_forward: loader.feed_forward(&name)?,
                alignment_heads: alignment_heads.iter().filter(|[at, _]| *at == layer).map(|[_, head]| *head).collect(),
            })
        };
        Ok(Self {
            kernels: loader.kernels,
            dims,
            tokens: loader.matrix("decoder.embed_tokens.weight", vocabulary, width)?,
            positions: loader.table("decoder.embed_positions.weight", text_context)?,
            layers: (0..tower.layers).map(layer).collect::<anyhow::Result<_>>()?,
            norm: loader.norm("decoder.layer_norm")?,
        })
    }

    /// Prepares the features of a window, in blocks of rows, for all steps; `kv` is memory to write over.
    pub(super) fn hear(&self, features: &[Quantised], kv: &mut Vec<f32>) -> Heard {
        let width = self.dims.width;
        let head_width = self.head_width();
        let rows: usize = features.iter().map(Quantised::rows).sum();
        kv.resize(rows * 2 * width, 0.0);
        let layer = |layer: &Layer| {
            by_blocks(kv, 2 * width, |first, kv| {
                self.kernels.linear(&features[first / BLOCK], &layer.heard, Then::Keep, kv);
            });
            let part = |first| Rows { values: kv, first, stride: 2 * width, width: head_width };
            let pack = |head: usize| {
                let mut packed = KeysValues::default();
                let keys = head * head_width;
                self.kernels.pack_head(part(keys), part(width + keys), rows, &mut packed);
                packed
            };
            (0..self.dims.decoder.heads).into_par_iter().map(pack).collect::<Vec<_>>()
        };
        Heard { layers: self.layers.iter().map(layer).collect() }
    }

    /// A text without a token.
    pub(super) fn start(&self, heard: &Arc<Heard>) -> Text {
        let layers = self.layers.iter().map(|_| (Vec::new(), Vec::new())).collect();
        Text { heard: Arc::clone(heard), layers, ..Text::default() }
    }

    /// Feeds every text its tokens. All texts pass the weights together, and none of them shows it: rows are
    /// rounded one by one, and sums of integers are exact.
    pub(super) fn forward(&self, texts: &mut [Text]) {
        let mut x = Vec::new();
        let mut fed = Vec::with_capacity(texts.len());
        for text in texts {
            text.refused = self.embed(text, &mut x).err();
            if text.refused.is_none() {
                fed.push(text);
            }
        }
        for (at, layer) in self.layers.iter().enumerate() {
            self.attend(&mut fed, &mut x, (&layer.own_norm, &layer.own, &layer.own_out), |text, qkv, out| {
                self.attend_to_text(&mut text.layers[at], text.length, qkv, out);
            });
            self.attend(&mut fed, &mut x, (&layer.heard_norm, &layer.query, &layer.heard_out), |text, queries, out| {
                let Text { heard, scratch, listened, .. } = text;
                self.attend_to_sound(&heard.layers[at], queries, out, (scratch, listened, &layer.alignment_heads));
            });
            layer.feed_forward.add_to(&mut x, Grain::TwoBytes);
        }
        let mut rest = &x[..];
        for text in &mut fed {
            let (own, after) = rest.split_at(text.tokens.len() * self.dims.width);
            (text.states, rest) = (own.to_vec(), after);
            text.length += text.tokens.len();
        }
        self.score(&mut fed);
    }

    /// The states of a text's tokens before the first layer.
    fn embed(&self, text: &mut Text, x: &mut Vec<f32>) -> anyhow::Result<()> {
        let (width, start) = (self.dims.width, x.len());
        let unknown = text.tokens.iter().find(|token| **token as usize >= self.dims.vocabulary);
        ensure!(unknown.is_none(), "token {unknown:?} is beyond the vocabulary");
        ensure!(!text.tokens.is_empty(), "no token to feed");
        let positions = self.positions.get(text.length * width..(text.length + text.tokens.len()) * width);
        x.extend(positions.context("the text is longer than the model's context")?);
        for (state, token) in x[start..].chunks_mut(width).zip(&text.tokens) {
            state.iter_mut().zip(self.tokens.row(*token as usize)).for_each(|(state, value)| *state += value);
        }
        text.listened.clear();
        Ok(())
    }

    /// One kind of attention: a product of all rows, what each text makes of its own, and another product.
    fn attend(
        &self,
        texts: &mut [&mut Text],
        x: &mut [f32],
        (norm, weights, output): (&Norm, &Packed, &Packed),
        work: impl Fn(&mut Text, &[f32], &mut [f32]) + Sync,
    ) {
        let inputs = self.after_norm(x, norm, weights);
        let mut mixed = vec![0.0; x.len()];
        let (mut input, mut rest, mut parts) = (&inputs[..], &mut mixed[..], Vec::with_capacity(texts.len()));
        for text in texts {
            let rows = text.tokens.len();
            let (own, after) = input.split_at(rows * weights.outputs());
            let (out, behind) = rest.split_at_mut(rows * self.dims.width);
            parts.push((&mut **text, own, out));
            (input, rest) = (after, behind);
        }
        if parts.len() > 1 {
            parts.into_par_iter().for_each(|(text, input, out)| work(text, input, out));
        } else {
            parts.into_iter().for_each(|(text, input, out)| work(text, input, out));
        }
        self.add(&mixed, output, x);
    }

    /// Scores after the last token of each text, of what may follow any of them.
    fn score(&self, texts: &mut [&mut Text]) {
        let (width, mut bytes) = (self.dims.width, Quantised::fine(self.dims.width));
        for text in &*texts {
            let last = &text.states[text.states.len() - width..];
            self.kernels.norm_quantise(Rows::of(last, width), 1, &self.norm, &mut bytes);
        }
        let vocabulary = self.dims.vocabulary;
        let first = texts.iter().map(|text| text.next.start).min().unwrap_or_default();
        let end = texts.iter().map(|text| text.next.end).max().unwrap_or_default().min(vocabulary);
        let which = self.tokens.around(first.min(end)..end);
        let mut scores = vec![0.0; texts.len() * which.len()];
        self.kernels.linear_wide(&bytes, &self.tokens, which.clone(), &mut scores);
        for (at, text) in texts.iter_mut().enumerate() {
            text.scores.clear();
            text.scores.resize(which.start, f32::NEG_INFINITY);
            text.scores.extend(&scores[at * which.len()..(at + 1) * which.len()]);
            text.scores.resize(vocabulary, f32::NEG_INFINITY);
            // What was only computed for another text, or beside what was asked for, may not follow here either.
            text.scores[..text.next.start.min(vocabulary)].fill(f32::NEG_INFINITY);
            text.scores[text.next.end.min(vocabulary)..].fill(f32::NEG_INFINITY);
        }
    }

    /// Scores of every token after one of those that were fed last; after the last, of those that may follow.
    pub(super) fn logits(&self, text: &Text, at: usize) -> Vec<f32> {
        let width = self.dims.width;
        if (at + 1) * width == text.states.len() {
            return text.scores.clone();
        }
        let mut bytes = Quantised::fine(width);
        self.kernels.norm_quantise(Rows::of(&text.states[at * width..], width), 1, &self.norm, &mut bytes);
        let mut scores = vec![0.0; self.dims.vocabulary];
        self.kernels.linear_wide(&bytes, &self.tokens, 0..self.dims.vocabulary, &mut scores);
        scores
    }

    fn attend_to_text(&self, seen: &mut (Vec<f32>, Vec<f32>), start: usize, qkv: &[f32], mixed: &mut [f32]) {
        let (width, head_width) = (self.dims.width, self.head_width());
        for row in qkv.chunks(3 * width) {
            seen.0.extend(&row[width..2 * width]);
            seen.1.extend(&row[2 * width..]);
        }
        for (at, (qkv, mixed)) in qkv.chunks(3 * width).zip(mixed.chunks_mut(width)).enumerate() {
            for (head, out) in mixed.chunks_mut(head_width).enumerate() {
                let first = head * head_width;
                let part = |values| Rows { values, first, stride: width, width: head_width };
                let query = &qkv[first..first + head_width];
                self.kernels.attend_floats(query, [part(&seen.0), part(&seen.1)], start + at + 1, out);
            }
        }
    }

    fn attend_to_sound(
        &self,
        heard: &[KeysValues],
        queries: &[f32],
        mixed: &mut [f32],
        (scratch, listened, alignment_heads): (&mut Scratch, &mut Vec<Vec<f32>>, &[usize]),
    ) {
        let (width, head_width) = (self.dims.width, self.head_width());
        let mut of_head = vec![0.0; queries.len() / width * head_width];
        for (head, packed) in heard.iter().enumerate() {
            let first = head * head_width;
            let queries = Rows { values: queries, first, stride: width, width: head_width };
            self.kernels.attend(queries, packed, scratch, &mut of_head);
            if alignment_heads.contains(&head) {
                listened.push(scratch.last_weights().collect());
            }
            for (mixed, of_head) in mixed.chunks_mut(width).zip(of_head.chunks(head_width)) {
                mixed[first..first + head_width].copy_from_slice(of_head);
            }
        }
    }

    fn after_norm(&self, x: &[f32], norm: &Norm, weights: &Packed) -> Vec<f32> {
        let rows = x.len() / self.dims.width;
        let mut bytes = Quantised::fine(self.dims.width);
        self.kernels.norm_quantise(Rows::of(x, self.dims.width), rows, norm, &mut bytes);
        let mut out = vec![0.0; rows * weights.outputs()];
        self.kernels.linear(&bytes, weights, Then::Keep, &mut out);
        out
    }

    fn add(&self, mixed: &[f32], weights: &Packed, x: &mut [f32]) {
        let mut bytes = Quantised::fine(self.dims.width);
        self.kernels.quantise(Rows::of(mixed, self.dims.width), x.len() / self.dims.width, &mut bytes);
        self.kernels.linear(&bytes, weights, Then::Add, x);
    }

    fn head_width(&self) -> usize {
        self.dims.width / self.dims.decoder.heads
    }
}
