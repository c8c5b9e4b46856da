//! `vae/config.json`.

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::supported::check_supported;
use super::without_nulls;

/// `AutoencoderKL`; defaults are diffusers' own.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Channels of each resolution, finest first.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of each resolution of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
    /// Latents are multiplied by this after encoding.
    pub scaling_factor: f64,
    /// Subtracted before that.
    pub shift_factor: Option<f64>,
    /// Whether a 1×1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a 1×1 convolution precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Whether the middle blocks have attention.
    pub mid_block_add_attention: bool,
}

const READ: &[&str] = &[
    "block_out_channels",
    "layers_per_block",
    "latent_channels",
    "norm_num_groups",
    "scaling_factor",
    "shift_factor",
    "use_quant_conv",
    "use_post_quant_conv",
    "mid_block_add_attention",
    "down_block_types",
    "up_block_types",
];

const FIXED: &str = r#"{
    "act_fn": ["silu", "swish"], "in_channels": [3], "out_channels": [3], "force_upcast": "any", "sample_size": "any"
}"#;

impl VaeConfig {
    /// Interprets the parsed file.
    ///
    /// # Errors
    /// Names the field, its value and what is allowed.
    pub fn parse(json: Value) -> Result<Self> {
        let json = without_nulls(json, &[]);
        check_supported(&json, READ, FIXED)?;
        let config: Self = serde_path_to_error::deserialize(&json)?;
        let count = config.block_out_channels.len();
        ensure!((1..=8).contains(&count), "block_out_channels: {count} values, allowed are 1 to 8");
        for (field, name) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
            let Some(types) = json[field].as_array() else {
                continue;
            };
            let wrong = types.iter().find(|found| *found != name);
            ensure!(
                wrong.is_none(),
                "{field}: {} is not supported, allowed is {name:?}",
                wrong.unwrap_or(&Value::Null)
            );
            ensure!(types.len() == count, "{field}: {} values, block_out_channels has {count}", types.len());
        }
        config.check()?;
        Ok(config)
    }

    /// Pixels for each latent, on a side.
    pub fn scale(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    fn check(&self) -> Result<()> {
        let groups = self.norm_num_groups;
        for channels in &self.block_out_channels {
            let divides = (1..=*channels).contains(&groups) && channels % groups == 0;
            ensure!(divides, "norm_num_groups: {groups}, must divide {channels} channels");
        }
        let layers = self.layers_per_block;
        ensure!((1..=64).contains(&layers), "layers_per_block: {layers}, allowed are 1 to 64");
        let scaling = self.scaling_factor;
        ensure!(scaling.is_finite() && scaling > 0.0, "scaling_factor: {scaling}, must be positive");
        Ok(())
    }
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            block_out_channels: vec![64],
            layers_per_block: 1,
            latent_channels: 4,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            shift_factor: None,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}
