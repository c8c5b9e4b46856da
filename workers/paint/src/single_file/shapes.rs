//! What the shapes of the tensors tell of the networks.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Config, Text, UNET};
use crate::diffusers::weight_file::WeightFile;

/// Channels of one attention head where the number of heads is not the same for all levels.
const HEAD: usize = 64;
/// Heads of every level of the first generation's UNet.
const HEADS: usize = 8;
/// OpenCLIP's layers that Stable Diffusion 2 reads: all but the last.
const OPEN_CLIP_LAYERS: usize = 23;

/// A file and the generation of its text encoder.
#[derive(Clone, Copy)]
pub(super) struct Shapes<'a> {
    pub(super) file: &'a WeightFile,
    pub(super) text: Text,
}

/// One level of the UNet's way down.
#[derive(Default)]
struct Level {
    channels: usize,
    layers: usize,
    depth: usize,
}

impl Shapes<'_> {
    pub(super) fn text(&self) -> Config {
        let (root, tokens, positions, layers, inner) = match self.text {
            Text::Clip => {
                let root = clip_root(self.file);
                (
                    root,
                    "embeddings.token_embedding.weight",
                    "embeddings.position_embedding.weight",
                    "encoder.layers.",
                    ".mlp.fc1.weight",
                )
            }
            Text::OpenClip => {
                let root = "cond_stage_model.model.";
                (root, "token_embedding.weight", "positional_embedding", "transformer.resblocks.", ".mlp.c_fc.weight")
            }
        };
        let [vocabulary, width] = self.matrix(&format!("{root}{tokens}"))?;
        let [positions, _] = self.matrix(&format!("{root}{positions}"))?;
        let count = self.count(|index| format!("{root}{layers}{index}{inner}"));
        let [inner, _] = self.matrix(&format!("{root}{layers}0{inner}"))?;
        let open = self.text == Text::OpenClip;
        let heads = if width.is_multiple_of(HEAD) { width / HEAD } else { 1 };
        Ok(json!({
            "vocab_size": vocabulary, "hidden_size": width, "intermediate_size": inner, "num_attention_heads": heads,
            "num_hidden_layers": if open { count.min(OPEN_CLIP_LAYERS) } else { count },
            "max_position_embeddings": positions, "hidden_act": if open { "gelu" } else { "quick_gelu" },
        }))
    }

    pub(super) fn unet(&self) -> Config {
        let levels = self.levels();
        let (Some(first), count) = (levels.first(), levels.len()) else {
            anyhow::bail!("{UNET}input_blocks.1.0.in_layers.2.weight is missing")
        };
        ensure!(first.layers > 0, "{UNET}input_blocks.1.0.in_layers.2.weight is missing");
        let shape = |name: &str| self.shape(&format!("{UNET}{name}"));
        let attends = |level: &Level| level.depth > 0;
        let mut before = 0;
        let up: Vec<&str> = levels
            .iter()
            .rev()
            .map(|level| {
                let attends = shape(&format!("output_blocks.{before}.1.norm.weight")).is_ok();
                before += level.layers + 1;
                if attends { "CrossAttnUpBlock2D" } else { "UpBlock2D" }
            })
            .collect();
        let down = levels.iter().map(|level| if attends(level) { "CrossAttnDownBlock2D" } else { "DownBlock2D" });
        let heads = |level: &Level| if self.text == Text::OpenClip { (level.channels / HEAD).max(1) } else { HEADS };
        let middle = match (shape("middle_block.0.in_layers.0.weight"), shape("middle_block.1.norm.weight")) {
            (Ok(_), Ok(_)) => json!("UNetMidBlock2DCrossAttn"),
            (Ok(_), Err(_)) => json!("UNetMidBlock2D"),
            (Err(_), _) => Value::Null,
        };
        let depth = levels.iter().map(|level| level.depth.max(1)).collect::<Vec<_>>();
        Ok(json!({
            "in_channels": shape("input_blocks.0.0.weight")?.get(1), "out_channels": shape("out.2.weight")?.first(),
            "block_out_channels": levels.iter().map(|level| level.channels).collect::<Vec<_>>(),
            "layers_per_block": levels.iter().map(|level| level.layers).collect::<Vec<_>>(),
            "down_block_types": down.collect::<Vec<_>>(), "up_block_types": up, "mid_block_type": middle,
            "attention_head_dim": levels.iter().map(heads).collect::<Vec<_>>(),
            "transformer_layers_per_block": depth, "cross_attention_dim": self.context(count)?, "sample_size": 64,
        }))
    }

    pub(super) fn vae(&self, prefix: &str) -> Config {
        let shape = |name: String| self.shape(&format!("{prefix}{name}"));
        let modern = shape("decoder.mid_block.resnets.0.conv1.weight".into()).is_ok();
        let count = self.count(|index| match modern {
            true => format!("{prefix}decoder.up_blocks.{index}.resnets.0.conv1.weight"),
            false => format!("{prefix}decoder.up.{index}.block.0.conv1.weight"),
        });
        let layers = self.count(|index| match modern {
            true => format!("{prefix}decoder.up_blocks.0.resnets.{index}.conv1.weight"),
            false => format!("{prefix}decoder.up.0.block.{index}.conv1.weight"),
        });
        ensure!(count > 0 && layers > 1, "{prefix}decoder.up.0.block.1.conv1.weight is missing");
        let channels = (0..count).map(|level| {
            let name = match modern {
                true => format!("decoder.up_blocks.{}.resnets.0.conv1.weight", count - 1 - level),
                false => format!("decoder.up.{level}.block.0.conv1.weight"),
            };
            shape(name).map(|shape| shape[0])
        });
        let channels = channels.collect::<Result<Vec<_>>>()?;
        Ok(json!({
            "block_out_channels": channels, "layers_per_block": layers - 1,
            "latent_channels": shape("decoder.conv_in.weight".into())?.get(1),
            "use_post_quant_conv": shape("post_quant_conv.weight".into()).is_ok(), "scaling_factor": 0.18215,
        }))
    }

    /// The training of both generations; no class, so that A1111's own default walks.
    pub(super) fn scheduler(&self) -> Value {
        let has = |name| self.file.shape(name).is_some();
        json!({
            "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1,
            "set_alpha_to_one": false, "rescale_betas_zero_snr": has("ztsnr"),
            "prediction_type": if has("v_pred") { "v_prediction" } else { "epsilon" },
        })
    }

    fn levels(&self) -> Vec<Level> {
        let mut levels = vec![Level::default()];
        for index in 1.. {
            let shape = |name: &str| self.shape(&format!("{UNET}input_blocks.{index}.{name}"));
            if shape("0.op.weight").is_ok() {
                levels.push(Level::default());
                continue;
            }
            let (Ok(conv), Some(level)) = (shape("0.in_layers.2.weight"), levels.last_mut()) else { break };
            level.channels = conv[0];
            level.layers += 1;
            level.depth =
                self.count(|depth| format!("{UNET}input_blocks.{index}.1.transformer_blocks.{depth}.norm1.weight"));
        }
        levels
    }

    /// Width of the text that the UNet attends to.
    fn context(&self, levels: usize) -> Result<usize> {
        let name = "1.transformer_blocks.0.attn2.to_k.weight";
        let blocks = (1..levels * 65).map(|index| format!("input_blocks.{index}"));
        let found = blocks
            .chain(["middle_block".to_owned()])
            .find_map(|block| self.matrix(&format!("{UNET}{block}.{name}")).ok());
        found.map(|[_, width]| width).with_context(|| format!("{UNET}middle_block.{name} is missing"))
    }

    fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|index| self.file.shape(&name(*index)).is_some()).count()
    }

    fn shape(&self, name: &str) -> Result<&[usize]> {
        self.file.shape(name).filter(|shape| !shape.is_empty()).with_context(|| format!("{name} is missing"))
    }

    fn matrix(&self, name: &str) -> Result<[usize; 2]> {
        let shape = self.shape(name)?;
        let [rows, columns, ..] = shape else { anyhow::bail!("{name}: shape {shape:?}, allowed is a matrix") };
        Ok([*rows, *columns])
    }
}

/// The prefix of CLIP's tensors, which files from before 2023 have without `text_model`.
pub(super) fn clip_root(file: &WeightFile) -> &'static str {
    let old = "cond_stage_model.transformer.";
    if file.shape(&format!("{old}embeddings.token_embedding.weight")).is_some() {
        old
    } else {
        "cond_stage_model.transformer.text_model."
    }
}
