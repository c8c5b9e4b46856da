//! `text_encoder/config.json`.

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::without_nulls;

/// `CLIPTextModel`; defaults are those of transformers.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Width of the states.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Transformer layers. Stable Diffusion 2 takes the last but one of 24: its config says 23.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Tokens of one chunk, start and end included.
    pub max_position_embeddings: usize,
    /// The feed-forward layers' activation.
    pub hidden_act: TextActivation,
    /// Epsilon of the layer norms.
    pub layer_norm_eps: f64,
}

/// Activations of published CLIP text models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextActivation {
    /// `x * sigmoid(1.702 x)`, OpenAI's.
    QuickGelu,
    /// With the error function, OpenCLIP's.
    Gelu,
}

impl TextConfig {
    /// Interprets the parsed file.
    ///
    /// # Errors
    /// Names the field, its value and what is allowed.
    pub fn parse(json: Value) -> Result<Self> {
        let json = without_nulls(json, &[]);
        let kind = json["model_type"].as_str().unwrap_or("clip_text_model");
        ensure!(kind == "clip_text_model", "model_type: {kind:?} is not supported, allowed is \"clip_text_model\"");
        let masked = json["use_attention_mask"].as_bool().unwrap_or(false);
        ensure!(!masked, "use_attention_mask: true is not supported, allowed is false");
        let config: Self = serde_path_to_error::deserialize(json)?;
        let (heads, width) = (config.num_attention_heads, config.hidden_size);
        let divides = (1..=width).contains(&heads) && width % heads == 0;
        ensure!(divides, "num_attention_heads: {heads}, must divide hidden_size {width}");
        let positions = config.max_position_embeddings;
        ensure!((3..=4096).contains(&positions), "max_position_embeddings: {positions}, allowed are 3 to 4096");
        let layers = config.num_hidden_layers;
        ensure!((1..=256).contains(&layers), "num_hidden_layers: {layers}, allowed are 1 to 256");
        Ok(config)
    }
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: TextActivation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}
