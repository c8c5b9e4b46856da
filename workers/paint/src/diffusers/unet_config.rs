//! `unet/config.json`.

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::supported::check_supported;
use super::without_nulls;

/// `UNet2DConditionModel` as Stable Diffusion 1.x and 2.x configure it; defaults are diffusers' own.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct UnetConfig {
    /// Size of the latents it was trained on.
    pub sample_size: Option<Size>,
    /// Channels of the latents.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Whether latents are mapped from [0, 1] to [-1, 1] first.
    pub center_input_sample: bool,
    /// Whether cosines come before sines in the timestep's embedding.
    pub flip_sin_to_cos: bool,
    /// Shift of the embedding's frequencies.
    pub freq_shift: f64,
    down_block_types: Vec<DownBlock>,
    /// What lies between the two halves.
    pub mid_block_type: Option<MidBlock>,
    up_block_types: Vec<UpBlock>,
    block_out_channels: Vec<usize>,
    layers_per_block: PerBlock,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
    /// Epsilon of the residual blocks' group norms.
    pub norm_eps: f64,
    /// Width of the text encoder's states.
    pub cross_attention_dim: usize,
    transformer_layers_per_block: PerBlock,
    attention_head_dim: PerBlock,
    num_attention_heads: Option<PerBlock>,
    /// Whether attention scores are computed in f32 whatever the dtype.
    pub upcast_attention: bool,
    /// Width of the embedding of the guidance's scale, in models that are told it.
    pub time_cond_proj_dim: Option<usize>,
}

/// Square by one number, or height and width.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// Both sides.
    Square(usize),
    /// Height, width.
    Sides(usize, usize),
}

/// The middle of the UNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum MidBlock {
    /// Residual, attention, residual.
    #[serde(rename = "UNetMidBlock2DCrossAttn")]
    CrossAttention,
    /// One residual block.
    #[serde(rename = "UNetMidBlock2D")]
    Plain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum DownBlock {
    DownBlock2D,
    CrossAttnDownBlock2D,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum UpBlock {
    UpBlock2D,
    CrossAttnUpBlock2D,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum PerBlock {
    One(usize),
    Each(Vec<usize>),
}

/// One resolution of the UNet, as both halves see it.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// Channels of its feature maps.
    pub channels: usize,
    /// Residual blocks on the way down; on the way up there is one more.
    pub layers: usize,
    /// Whether its maps have 32 pixels a line or more, in pictures of the size that the model was made for.
    pub wide: bool,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks in each attention.
    pub depth: usize,
    /// Whether the way down attends to the text here.
    pub attends_down: bool,
    /// Whether the way up does.
    pub attends_up: bool,
}

const READ: &[&str] = &[
    "sample_size",
    "in_channels",
    "out_channels",
    "center_input_sample",
    "flip_sin_to_cos",
    "freq_shift",
    "down_block_types",
    "mid_block_type",
    "up_block_types",
    "block_out_channels",
    "layers_per_block",
    "norm_num_groups",
    "norm_eps",
    "cross_attention_dim",
    "transformer_layers_per_block",
    "attention_head_dim",
    "num_attention_heads",
    "upcast_attention",
    "time_cond_proj_dim",
];

/// The last line is what the training's moving average leaves in the file.
const FIXED: &str = r#"{
    "act_fn": ["silu", "swish"], "addition_embed_type_num_heads": "any", "attention_type": ["default"],
    "conv_in_kernel": [3], "conv_out_kernel": [3], "downsample_padding": [1], "dropout": "any",
    "mid_block_scale_factor": [1, 1.0], "resnet_out_scale_factor": [1, 1.0],
    "resnet_time_scale_shift": ["default"], "time_embedding_type": ["positional"],
    "use_linear_projection": [true, false],
    "decay": "any", "inv_gamma": "any", "min_decay": "any", "optimization_step": "any", "power": "any",
    "update_after_step": "any", "use_ema_warmup": "any"
}"#;

impl UnetConfig {
    /// Interprets the parsed file.
    ///
    /// # Errors
    /// Names the field, its value and what is allowed.
    pub fn parse(json: Value) -> Result<Self> {
        // No middle is something else than the usual one.
        let json = without_nulls(json, &["mid_block_type"]);
        // Diffusers writes `only_cross_attention` also as a list, one for each block.
        let mut checked = json.clone();
        let each = checked.get("only_cross_attention").and_then(Value::as_array);
        if each.is_some_and(|values| values.iter().all(|value| value == false)) {
            checked["only_cross_attention"] = Value::Bool(false);
        }
        check_supported(&checked, READ, FIXED)?;
        let old = is_before_0_9(&json);
        let mut config: Self = serde_path_to_error::deserialize(json)?;
        // Files of Stable Diffusion 1 say 32 and mean the 64 that it was trained with.
        if let Some(Size::Square(side)) = config.sample_size.as_mut().filter(|_| old) {
            *side = (*side).max(OLD_SAMPLE_SIZE);
        }
        config.levels()?;
        let told = config.time_cond_proj_dim;
        let fits = told.is_none_or(|width| (4..=4096).contains(&width) && width.is_multiple_of(2));
        ensure!(fits, "time_cond_proj_dim: {}, allowed are even numbers from 4 to 4096", told.unwrap_or_default());
        Ok(config)
    }

    /// The resolutions, finest first.
    ///
    /// # Errors
    /// When lists differ in length or channels do not divide into groups and heads.
    pub fn levels(&self) -> Result<Vec<Level>> {
        let count = self.block_out_channels.len();
        ensure!((1..=8).contains(&count), "block_out_channels: {count} values, allowed are 1 to 8");
        for (field, found) in
            [("down_block_types", self.down_block_types.len()), ("up_block_types", self.up_block_types.len())]
        {
            ensure!(found == count, "{field}: {found} values, block_out_channels has {count}");
        }
        let heads = self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim);
        let heads = heads.each(count, "attention_head_dim")?;
        let layers = self.layers_per_block.each(count, "layers_per_block")?;
        let depth = self.transformer_layers_per_block.each(count, "transformer_layers_per_block")?;
        let width = match self.sample_size {
            Some(Size::Square(side)) => side,
            Some(Size::Sides(_, width)) => width,
            None => 0,
        };
        let level = |index: usize| Level {
            channels: self.block_out_channels[index],
            layers: layers[index],
            wide: width >> index >= WIDE,
            heads: heads[index],
            depth: depth[index],
            attends_down: self.down_block_types[index] == DownBlock::CrossAttnDownBlock2D,
            attends_up: self.up_block_types[count - 1 - index] == UpBlock::CrossAttnUpBlock2D,
        };
        let levels: Vec<_> = (0..count).map(level).collect();
        levels.iter().try_for_each(|level| self.check(level))?;
        Ok(levels)
    }

    fn check(&self, level: &Level) -> Result<()> {
        let Level { channels, heads, layers, depth, .. } = *level;
        let divides = |divisor: usize| (1..=channels).contains(&divisor) && channels % divisor == 0;
        ensure!(
            divides(self.norm_num_groups),
            "norm_num_groups: {}, must divide {channels} channels",
            self.norm_num_groups
        );
        ensure!(divides(heads), "attention_head_dim: {heads} heads, must divide {channels} channels");
        ensure!((1..=64).contains(&layers), "layers_per_block: {layers}, allowed are 1 to 64");
        ensure!((1..=64).contains(&depth), "transformer_layers_per_block: {depth}, allowed are 1 to 64");
        Ok(())
    }
}

/// Pixels of a line of a wide map.
const WIDE: usize = 32;

/// Latents of 512 pixels.
const OLD_SAMPLE_SIZE: usize = 64;

/// Whether diffusers wrote the file before its version 0.9.
fn is_before_0_9(json: &Value) -> bool {
    let mut parts = json["_diffusers_version"].as_str().unwrap_or_default().split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(0)), Some(Ok(minor))) if minor < 9)
}

impl PerBlock {
    fn each(&self, count: usize, field: &str) -> Result<Vec<usize>> {
        match self {
            Self::One(value) => Ok(vec![*value; count]),
            Self::Each(values) if values.len() == count => Ok(values.clone()),
            Self::Each(values) => anyhow::bail!("{field}: {} values, block_out_channels has {count}", values.len()),
        }
    }
}

impl Default for UnetConfig {
    fn default() -> Self {
        use {DownBlock::*, UpBlock::*};
        Self {
            sample_size: None,
            in_channels: 4,
            out_channels: 4,
            center_input_sample: false,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            down_block_types: vec![CrossAttnDownBlock2D, CrossAttnDownBlock2D, CrossAttnDownBlock2D, DownBlock2D],
            mid_block_type: Some(MidBlock::CrossAttention),
            up_block_types: vec![UpBlock2D, CrossAttnUpBlock2D, CrossAttnUpBlock2D, CrossAttnUpBlock2D],
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: PerBlock::One(2),
            norm_num_groups: 32,
            norm_eps: 1e-5,
            cross_attention_dim: 1280,
            transformer_layers_per_block: PerBlock::One(1),
            attention_head_dim: PerBlock::One(8),
            num_attention_heads: None,
            upcast_attention: false,
            time_cond_proj_dim: None,
        }
    }
}
