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
    /// Whether it is `AutoencoderTiny`, of which only the sizes above are read.
    #[serde(skip)]
    pub tiny: bool,
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
        if json["_class_name"] == "AutoencoderTiny" {
            return Self::parse_tiny(&json);
        }
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

    /// What the model's sizes depend on; the layers are read from the weights.
    fn parse_tiny(json: &Value) -> Result<Self> {
        let levels = json["decoder_block_out_channels"].as_array().map_or(4, Vec::len);
        ensure!((1..=8).contains(&levels), "decoder_block_out_channels: {levels} values, allowed are 1 to 8");
        let act = json["act_fn"].as_str().unwrap_or("relu");
        ensure!(act == "relu", "act_fn: {act:?} is not supported, allowed is \"relu\"");
        let channels = json["latent_channels"].as_u64().unwrap_or(4);
        ensure!((1..=64).contains(&channels), "latent_channels: {channels}, allowed are 1 to 64");
        let scaling = json["scaling_factor"].as_f64().unwrap_or(1.0);
        ensure!(scaling == 1.0, "scaling_factor: {scaling} is not supported, allowed is 1");
        let sizes =
            Self { block_out_channels: vec![64; levels], latent_channels: channels as usize, ..Self::default() };
        Ok(Self { tiny: true, ..sizes })
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
            tiny: false,
        }
    }
}
