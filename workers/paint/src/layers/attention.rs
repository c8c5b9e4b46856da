//! Multi-head attention.

use std::sync::Arc;

use anyhow::Result;
use candle_core::{D, DType, Device, Tensor};
use shanshui_kernels::{
    Kernels,
    floats::{Heads, Operand, Precision},
};

use super::{
    activation::softmax,
    linear::Linear,
    map::{Plain, with_floats},
};
use crate::diffusers::weights::Weights;

/// Scores are made for at most this many pairs at once: 64 MB in f32 on a CPU, where they are to stay near; on a
/// GPU half a gigabyte in bf16, and within the 31 bits that the softmax counts in.
fn max_scores(device: &Device) -> usize {
    if device.is_cpu() { 1 << 24 } else { 1 << 28 }
}

/// Keys and values, ready to be multiplied.
#[derive(Clone)]
pub enum KeysValues {
    /// On a CPU, without a mask.
    Packed(Arc<Heads>),
    /// Keys (batch, heads, width, tokens) and values (batch, heads, tokens, width).
    Tensors([Tensor; 2]),
}

impl KeysValues {
    /// Those of one batch after the other; all have as many tokens.
    ///
    /// # Errors
    /// When they do not fit, or the device fails.
    pub(crate) fn join(parts: &[&Self]) -> candle_core::Result<Self> {
        let packed: Vec<&Heads> = parts.iter().filter_map(|part| part.packed()).collect();
        if packed.len() == parts.len() && !parts.is_empty() {
            return Ok(Self::Packed(Heads::join(&packed).into()));
        }
        let tensors: Vec<&[Tensor; 2]> = parts.iter().filter_map(|part| part.tensors()).collect();
        let join = |at: usize| Tensor::cat(&tensors.iter().map(|pair| &pair[at]).collect::<Vec<_>>(), 0);
        Ok(Self::Tensors([join(0)?, join(1)?]))
    }

    fn packed(&self) -> Option<&Heads> {
        if let Self::Packed(heads) = self { Some(heads) } else { None }
    }

    fn tensors(&self) -> Option<&[Tensor; 2]> {
        if let Self::Tensors(tensors) = self { Some(tensors) } else { None }
    }
}

/// Query, key, value and output projections around scaled dot-product attention (arXiv:1706.03762).
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
    upcast: bool,
    kernels: Option<(Kernels, Precision)>,
}

/// Shape and names of an [`Attention`].
#[derive(Clone, Copy)]
pub struct AttentionConfig {
    /// Width of the queries' and of the output states.
    pub width: usize,
    /// Width of the states that keys and values are made of.
    pub context: usize,
    /// Must divide `width`.
    pub heads: usize,
    /// Whether query, key and value have a bias.
    pub bias: bool,
    /// Whether scores are computed in f32 whatever the dtype.
    pub upcast: bool,
    /// Whether scores will be masked: then candle computes them.
    pub masked: bool,
    /// Names of the four projections: query, key, value, output.
    pub names: [&'static str; 4],
}

/// The names that diffusers has used for its projections since 0.12.
pub const NAMES: [&str; 4] = ["to_q", "to_k", "to_v", "to_out.0"];

impl Attention {
    /// Loads the four projections.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, config: AttentionConfig) -> Result<Self> {
        let AttentionConfig { width, context, heads, bias, upcast, masked, names } = config;
        let weights = if upcast { &weights.exact() } else { weights };
        let load = if bias { Linear::load } else { Linear::load_without_bias };
        // The scores' scale, folded into the queries once.
        let scale = ((width / heads) as f64).powf(-0.5);
        Ok(Self {
            query: Linear::load_scaled(&weights.at(names[0]), width, width, bias, scale)?,
            key: load(&weights.at(names[1]), context, width)?,
            value: load(&weights.at(names[2]), context, width)?,
            output: Linear::load(&weights.at(names[3]), width, width)?,
            heads,
            upcast,
            kernels: weights.kernels().filter(|_| !masked),
        })
    }

    /// What queries will look at, from (batch, tokens, context).
    ///
    /// # Errors
    /// When the device fails.
    pub fn prepare(&self, context: &Tensor) -> candle_core::Result<KeysValues> {
        let (keys, values) = (self.key.forward(context)?, self.value.forward(context)?);
        if let Some((kernels, precision)) = self.kernels {
            let (batch, tokens, width) = keys.dims3()?;
            let sizes = [batch, tokens, self.heads, width / self.heads];
            let pack = |keys: &[f32]| with_floats(&values, |values| kernels.heads(precision, [keys, values], sizes));
            return Ok(KeysValues::Packed(with_floats(&keys, pack)??.into()));
        }
        let keys = self.split(&keys)?.transpose(2, 3)?.contiguous()?;
        Ok(KeysValues::Tensors([keys, self.split(&values)?.contiguous()?]))
    }

    /// What queries will look at, from a map that is prepared for it.
    ///
    /// # Errors
    /// When the weights are not packed.
    pub(crate) fn prepare_plain(&self, context: &Operand) -> candle_core::Result<KeysValues> {
        let Some((kernels, precision)) = self.kernels else { candle_core::bail!("the attention computes in tensors") };
        let (keys, values) = (self.key.product(context, None)?, self.value.product(context, None)?);
        let grid = keys.grid;
        let sizes = [grid.batch, grid.height * grid.width, self.heads, grid.channels / self.heads];
        Ok(KeysValues::Packed(kernels.heads(precision, [&keys.values, &values.values], sizes).into()))
    }

    /// A map attends to `context`; `add` is added to the result.
    ///
    /// # Errors
    /// When the weights are not packed, or the batches differ.
    pub(crate) fn forward_plain(&self, x: &Operand, context: &KeysValues, add: &Plain) -> candle_core::Result<Plain> {
        let (Some((kernels, _)), KeysValues::Packed(heads)) = (self.kernels, context) else {
            candle_core::bail!("the attention computes in tensors")
        };
        let queries = self.query.product(x, None)?;
        if heads.batch() != queries.grid.batch {
            candle_core::bail!("{} pictures for the texts of {}", queries.grid.batch, heads.batch());
        }
        let states = kernels.attend_heads(queries.parts(), heads);
        drop(queries);
        self.output.product(&states, Some(add))
    }

    /// How queries are to be prepared.
    pub(crate) fn query(&self) -> &Linear {
        &self.query
    }

    /// (batch, tokens, width) attends to `context`; `mask` is added to the scores.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forward(&self, x: &Tensor, context: &KeysValues, mask: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        let KeysValues::Tensors(context) = context else { candle_core::bail!("the attention computes in the kernels") };
        let queries = self.split(&self.query.forward(x)?)?.contiguous()?;
        let seen = context[0].dim(3)?;
        let step = (max_scores(x.device()) / (batch * self.heads * seen)).max(1);
        let states = if step >= tokens {
            self.attend(&queries, context, mask)?
        } else {
            let part =
                |first| self.attend(&queries.narrow(2, first, step.min(tokens - first))?.contiguous()?, context, mask);
            let parts = (0..tokens).step_by(step).map(part).collect::<candle_core::Result<Vec<_>>>()?;
            Tensor::cat(&parts, 2)?
        };
        self.output.forward(&states.transpose(1, 2)?.reshape((batch, tokens, width))?)
    }

    fn attend(
        &self,
        queries: &Tensor,
        [keys, values]: &[Tensor; 2],
        mask: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        let dtype = queries.dtype();
        let scores = if self.upcast {
            queries.to_dtype(DType::F32)?.matmul(&keys.to_dtype(DType::F32)?)?
        } else {
            queries.matmul(keys)?
        };
        let scores = match mask {
            Some(mask) => scores.broadcast_add(mask)?,
            None => scores,
        };
        softmax(scores)?.to_dtype(dtype)?.matmul(values)
    }

    /// (batch, tokens, width) to (batch, heads, tokens, width of a head).
    fn split(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        x.reshape((batch, tokens, self.heads, width / self.heads))?.transpose(1, 2)
    }
}

/// The feature map (batch, channels, height, width) as tokens (batch, height · width, channels).
///
/// # Errors
/// When the device fails.
pub fn to_tokens(x: &Tensor) -> candle_core::Result<Tensor> {
    x.flatten_from(2)?.transpose(1, 2)?.contiguous()
}

/// The inverse of [`to_tokens`].
///
/// # Errors
/// When `tokens` is not height · width tokens.
pub fn to_map(tokens: &Tensor, height: usize, width: usize) -> candle_core::Result<Tensor> {
    let (batch, _, channels) = tokens.dims3()?;
    tokens.transpose(1, D::Minus1)?.contiguous()?.reshape((batch, channels, height, width))
}
