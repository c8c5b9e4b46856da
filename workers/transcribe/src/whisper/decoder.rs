//! Features and tokens to the next token: the decoder of Whisper with its two caches.

use candle_core::{Device, Result, Tensor};

use super::{
    dims::{Dims, Tower},
    kernels,
    layers::{FeedForward, LayerNorm, Linear, Loader},
    products,
};

/// The decoder of Whisper (section 2.2 of the paper); the output layer is the token embedding.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// (vocabulary, width)
    tokens: Tensor,
    /// (context, width)
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
    dims: Dims,
    /// Layers and heads of attention to the sound that follow it from word to word.
    alignment_heads: Vec<[usize; 2]>,
}

/// Keys and values of one window's features for every layer, (heads, positions, head width).
#[derive(Debug)]
pub(crate) struct Heard {
    layers: Vec<(Tensor, Tensor)>,
}

/// What one or more hypotheses about a window have seen so far: keys and values of their tokens
/// for every layer, (hypotheses · heads, context, head width).
#[derive(Debug)]
pub(crate) struct Written {
    layers: Vec<(Tensor, Tensor)>,
    rows: usize,
    length: usize,
    /// To what the token that was fed last has listened, a tensor (positions) for each alignment head.
    listened: Vec<Tensor>,
}

impl Written {
    /// To what the token that was fed last has listened, (positions) for each alignment head.
    pub(crate) fn listened(&self) -> &[Tensor] {
        &self.listened
    }

    /// Tokens that each hypothesis has seen.
    pub(crate) fn length(&self) -> usize {
        self.length
    }
}

impl Decoder {
    pub(super) fn load(loader: Loader<'_>, alignment_heads: &[[usize; 2]]) -> anyhow::Result<Self> {
        let dims = *loader.dims;
        let Dims { vocabulary, width, text_context, decoder: tower, .. } = dims;
        let layers = (0..tower.layers).map(|layer| Layer::load(loader, &format!("decoder.layers.{layer}"), tower));
        Ok(Self {
            tokens: loader.tensor("decoder.embed_tokens.weight", &[vocabulary, width])?,
            positions: loader.tensor("decoder.embed_positions.weight", &[text_context, width])?,
            layers: layers.collect::<anyhow::Result<_>>()?,
            norm: loader.norm("decoder.layer_norm")?,
            dims,
            alignment_heads: alignment_heads.to_vec(),
        })
    }

    /// Prepares the features (positions, width) of a window for all steps.
    pub(super) fn hear(&self, features: &Tensor) -> Result<Heard> {
        let layers = self.layers.iter().map(|layer| layer.heard.keys_and_values(features));
        Ok(Heard { layers: layers.collect::<Result<_>>()? })
    }

    /// An empty cache for as many hypotheses.
    pub(crate) fn start(&self, rows: usize) -> Result<Written> {
        let Dims { width, text_context, decoder: Tower { heads, .. }, .. } = self.dims;
        let shape = (rows * heads, text_context, width / heads);
        let empty = || Tensor::zeros(shape, self.tokens.dtype(), self.tokens.device());
        let layers = self.layers.iter().map(|_| Ok((empty()?, empty()?)));
        Ok(Written { layers: layers.collect::<Result<_>>()?, rows, length: 0, listened: Vec::new() })
    }

    /// Feeds the next tokens, as many for each hypothesis, one hypothesis after the other.
    /// Returns their states, (hypotheses · tokens, width).
    pub(crate) fn forward(&self, tokens: &[u32], heard: &Heard, written: &mut Written) -> Result<Tensor> {
        let steps = tokens.len() / written.rows;
        let ids = Tensor::new(tokens, self.tokens.device())?;
        let positions = self.positions.narrow(0, written.length, steps)?.repeat((written.rows, 1))?;
        let mut x = (self.tokens.index_select(&ids, 0)? + positions)?;
        let mask = match steps {
            1 => None,
            _ => Some(causal_mask(steps, written.length, self.tokens.device())?),
        };
        let step = Step { rows: written.rows, start: written.length, steps, mask };
        written.listened.clear();
        for (at, ((layer, heard), seen)) in self.layers.iter().zip(&heard.layers).zip(&written.layers).enumerate() {
            let weights;
            (x, weights) = layer.forward(&x, &step, heard, seen)?;
            for [_, head] in self.alignment_heads.iter().filter(|[layer, _]| *layer == at) {
                written.listened.push(weights.get(*head)?.get(tokens.len() - 1)?);
            }
        }
        written.length += steps;
        self.norm.forward(&x)
    }

    /// Scores of every token, (rows, vocabulary), after states (rows, width).
    pub(crate) fn logits(&self, states: &Tensor) -> Result<Tensor> {
        products::rows_times_transposed(states, &self.tokens)
    }
}

/// Where a call of the decoder stands.
struct Step {
    rows: usize,
    start: usize,
    steps: usize,
    mask: Option<Tensor>,
}

#[derive(Debug)]
struct Layer {
    own: OwnAttention,
    heard: HeardAttention,
    feed_forward: FeedForward,
}

impl Layer {
    fn load(loader: Loader<'_>, name: &str, tower: Tower) -> anyhow::Result<Self> {
        Ok(Self {
            own: OwnAttention::load(loader, name, tower)?,
            heard: HeardAttention::load(loader, name, tower)?,
            feed_forward: loader.feed_forward(name)?,
        })
    }

    /// The new states, and the weights of attention to the sound.
    fn forward(
        &self,
        x: &Tensor,
        step: &Step,
        heard: &(Tensor, Tensor),
        written: &(Tensor, Tensor),
    ) -> Result<(Tensor, Tensor)> {
        let x = (x + self.own.forward(x, step, written)?)?;
        let (mixed, weights) = self.heard.forward(&x, heard)?;
        Ok((self.feed_forward.add_to(&(&x + mixed)?)?, weights))
    }
}

/// Attention to the tokens written so far.
#[derive(Debug)]
struct OwnAttention {
    norm: LayerNorm,
    qkv: Linear,
    out: Linear,
    heads: usize,
}

impl OwnAttention {
    fn load(loader: Loader<'_>, layer: &str, tower: Tower) -> anyhow::Result<Self> {
        let width = loader.dims.width;
        Ok(Self {
            norm: loader.norm(&format!("{layer}.self_attn_layer_norm"))?,
            qkv: loader.projections(&format!("{layer}.self_attn"), &["q_proj", "k_proj", "v_proj"], tower)?,
            out: loader.linear(&format!("{layer}.self_attn.out_proj"), width, width)?,
            heads: tower.heads,
        })
    }

    fn forward(&self, x: &Tensor, step: &Step, (keys, values): &(Tensor, Tensor)) -> Result<Tensor> {
        let &Step { rows, start, steps, .. } = step;
        let width = x.dim(1)?;
        let (heads, head_width) = (self.heads, width / self.heads);
        let qkv = self.qkv.forward(&self.norm.forward(x)?)?;
        // (rows, steps, 3, heads, head width) to three of (rows · heads, steps, head width)
        let qkv = qkv.reshape((rows, steps, 3, heads, head_width))?.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let qkv = qkv.reshape((3, rows * heads, steps, head_width))?;
        keys.slice_set(&qkv.get(1)?, 1, start)?;
        values.slice_set(&qkv.get(2)?, 1, start)?;
        let seen = start + steps;
        let scores = qkv.get(0)?.matmul(&keys.narrow(1, 0, seen)?.transpose(1, 2)?)?;
        let scores = match &step.mask {
            Some(mask) => scores.broadcast_add(mask)?,
            None => scores,
        };
        let result = kernels::softmax(scores)?.matmul(&values.narrow(1, 0, seen)?)?;
        let result = result.reshape((rows, heads, steps, head_width))?.transpose(1, 2)?;
        self.out.forward(&result.contiguous()?.reshape((rows * steps, width))?)
    }
}

/// Attention to the features of the sound. All hypotheses hear the same window, so their tokens
/// are simply more queries.
#[derive(Debug)]
struct HeardAttention {
    norm: LayerNorm,
    query: Linear,
    kv: Linear,
    out: Linear,
    heads: usize,
}

impl HeardAttention {
    fn load(loader: Loader<'_>, layer: &str, tower: Tower) -> anyhow::Result<Self> {
        let width = loader.dims.width;
        let block = format!("{layer}.encoder_attn");
        Ok(Self {
            norm: loader.norm(&format!("{layer}.encoder_attn_layer_norm"))?,
            query: loader.projections(&block, &["q_proj"], tower)?,
            kv: loader.projections(&block, &["k_proj", "v_proj"], tower)?,
            out: loader.linear(&format!("{block}.out_proj"), width, width)?,
            heads: tower.heads,
        })
    }

    fn keys_and_values(&self, features: &Tensor) -> Result<(Tensor, Tensor)> {
        let (positions, width) = features.dims2()?;
        let kv = self.kv.forward(features)?.reshape((positions, 2 * self.heads, width / self.heads))?;
        let kv = kv.transpose(0, 1)?.contiguous()?;
        Ok((kv.narrow(0, 0, self.heads)?, kv.narrow(0, self.heads, self.heads)?))
    }

    /// The result (rows, width), and the weights of the positions (heads, rows, positions).
    fn forward(&self, x: &Tensor, (keys, values): &(Tensor, Tensor)) -> Result<(Tensor, Tensor)> {
        let (rows, width) = x.dims2()?;
        let query = self.query.forward(&self.norm.forward(x)?)?;
        let query = query.reshape((rows, self.heads, width / self.heads))?.transpose(0, 1)?.contiguous()?;
        let weights = kernels::softmax(query.matmul(&keys.transpose(1, 2)?)?)?;
        let result = weights.matmul(values)?.transpose(0, 1)?.contiguous()?.reshape((rows, width))?;
        Ok((self.out.forward(&result)?, weights))
    }
}

/// (steps, start + steps): a token sees itself and what came before it.
fn causal_mask(steps: usize, start: usize, device: &Device) -> Result<Tensor> {
    let seen = start + steps;
    let mask =
        (0..steps).flat_map(|step| (0..seen).map(move |at| if at > start + step { f32::NEG_INFINITY } else { 0.0 }));
    Tensor::from_vec(mask.collect(), (steps, seen), device)
}
