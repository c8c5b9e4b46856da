//! CLIP's text transformer (arXiv:2103.00020): token ids to the states that the UNet attends to.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use crate::{
    diffusers::{
        text_config::{TextActivation, TextConfig},
        weights::Weights,
    },
    layers::{
        activation::Activation,
        attention::{Attention, AttentionConfig},
        linear::Linear,
        norm::LayerNorm,
    },
};

/// The text model of a Stable Diffusion folder.
pub struct TextEncoder {
    tokens: Tensor,
    positions: Tensor,
    layers: Vec<Layer>,
    last_norm: LayerNorm,
    /// Minus infinity where a token would look ahead.
    mask: Tensor,
}

struct Layer {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    inner: Linear,
    activation: Activation,
    outer: Linear,
}

impl TextEncoder {
    /// Loads the model; tensors may be named with or without `text_model.` in front.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, config: &TextConfig) -> Result<Self> {
        let prefixed = weights.has("text_model.final_layer_norm.weight");
        let root = if prefixed { weights.at("text_model") } else { weights.clone() };
        let (width, length) = (config.hidden_size, config.max_position_embeddings);
        let layer = |index| Layer::load(&root.at(format!("encoder.layers.{index}")), config);
        let tokens = root.tensor("embeddings.token_embedding.weight", &[config.vocab_size, width])?;
        Ok(Self {
            positions: root.tensor("embeddings.position_embedding.weight", &[length, width])?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
            last_norm: LayerNorm::load(&root.at("final_layer_norm"), width, config.layer_norm_eps)?,
            mask: causal_mask(length, tokens.dtype(), tokens.device())?,
            tokens,
        })
    }

    /// Chunks of ids, each as long as the model has positions, to states (chunks, positions, width).
    ///
    /// # Errors
    /// When an id is not in the vocabulary or the device fails.
    pub fn forward(&self, chunks: &[Vec<u32>]) -> candle_core::Result<Tensor> {
        let (length, width) = self.positions.dims2()?;
        let ids = Tensor::from_vec(chunks.concat(), chunks.len() * length, self.tokens.device())?;
        let embedded = self.tokens.index_select(&ids, 0)?.reshape((chunks.len(), length, width))?;
        let mut states = embedded.broadcast_add(&self.positions)?;
        for layer in &self.layers {
            states = layer.forward(&states, &self.mask)?;
        }
        self.last_norm.forward(&states)
    }
}

impl Layer {
    fn load(weights: &Weights<'_>, config: &TextConfig) -> Result<Self> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let attention = AttentionConfig {
            width,
            context: width,
            heads: config.num_attention_heads,
            bias: true,
            upcast: false,
            masked: true,
            names: ["q_proj", "k_proj", "v_proj", "out_proj"],
        };
        Ok(Self {
            norm1: LayerNorm::load(&weights.at("layer_norm1"), width, config.layer_norm_eps)?,
            attention: Attention::load(&weights.at("self_attn"), attention)?,
            norm2: LayerNorm::load(&weights.at("layer_norm2"), width, config.layer_norm_eps)?,
            inner: Linear::load(&weights.at("mlp.fc1"), width, inner)?,
            activation: match config.hidden_act {
                TextActivation::QuickGelu => Activation::QuickGelu,
                TextActivation::Gelu => Activation::Gelu,
            },
            outer: Linear::load(&weights.at("mlp.fc2"), inner, width)?,
        })
    }

    fn forward(&self, x: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
        let normal = self.norm1.forward(x)?;
        let seen = self.attention.prepare(&normal)?;
        let x = (x + self.attention.forward(&normal, &seen, Some(mask))?)?;
        let inner = self.inner.forward(&self.norm2.forward(&x)?)?;
        x + self.outer.forward(&self.activation.apply(inner)?)?
    }
}

fn causal_mask(length: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    let cell = |index| {
        if index % length > index / length { f32::NEG_INFINITY } else { 0.0 }
    };
    let mask = Tensor::from_iter((0..length * length).map(cell), &Device::Cpu)?;
    Ok(mask.reshape((length, length))?.to_dtype(dtype)?.to_device(device)?)
}
