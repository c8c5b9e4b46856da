//! The denoising network of Stable Diffusion 1.x and 2.x (arXiv:2112.10752), any width.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use shanshui_kernels::floats::Pool;

use self::{
    stack::{Stack, Step},
    time::TimeEmbedding,
    transformer::{Block, TransformerConfig},
};
use crate::{
    diffusers::{
        unet_config::{Level, MidBlock, UnetConfig},
        weights::{Weights, wide},
    },
    layers::{
        attention::KeysValues,
        conv::{Around, Conv, Window},
        map::Map,
        norm::GroupNorm,
        resnet::ResnetConfig,
    },
};

mod stack;
mod time;
mod transformer;

/// `UNet2DConditionModel` of diffusers.
pub struct Unet {
    /// The type between the first layer and the last.
    dtype: DType,
    centred: bool,
    enter: Conv,
    time: TimeEmbedding,
    down: Vec<(Stack, Option<Conv>)>,
    middle: Option<Stack>,
    up: Vec<(Stack, Option<Conv>)>,
    norm: GroupNorm,
    leave: Conv,
}

/// The text as each layer of the UNet sees it: computed once, used at every step.
#[derive(Clone)]
pub struct Context {
    layers: Vec<KeysValues>,
    /// The embedded scale of guidance, for models that are told it: one for all, or one for each.
    guidance: Option<Tensor>,
}

impl Context {
    /// The same for a model that is told the scale of guidance in an embedding of some width.
    pub(crate) fn with_guidance(
        self,
        guidance: f64,
        width: Option<usize>,
        device: &Device,
    ) -> candle_core::Result<Self> {
        let guidance = width.map(|width| time::embed_guidance(guidance, width, device)).transpose()?;
        Ok(Self { guidance, ..self })
    }

    /// The texts of one batch after the other. A scale of guidance is that of a batch of one.
    ///
    /// # Errors
    /// When they have other numbers of tokens, or the device fails.
    pub fn join(parts: &[&Self]) -> candle_core::Result<Self> {
        let layer = |at: usize| KeysValues::join(&parts.iter().map(|part| &part.layers[at]).collect::<Vec<_>>());
        let layers = (0..parts[0].layers.len()).map(layer).collect::<candle_core::Result<_>>()?;
        let guidance: Vec<&Tensor> = parts.iter().filter_map(|part| part.guidance.as_ref()).collect();
        let guidance = if guidance.is_empty() { None } else { Some(Tensor::cat(&guidance, 0)?) };
        Ok(Self { layers, guidance })
    }
}

impl Unet {
    /// Loads the network.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn load(weights: &Weights<'_>, config: &UnetConfig, device: &Device) -> Result<Self> {
        let plan = Plan { config, levels: config.levels()? };
        let first = plan.levels[0].channels;
        Ok(Self {
            dtype: weights.activations(),
            centred: config.center_input_sample,
            // First and last little is computed, and all of it is seen.
            enter: Conv::load(&weights.exact().at("conv_in"), config.in_channels, first)?,
            time: TimeEmbedding::load(&weights.exact().at("time_embedding"), config, first, device)?,
            down: plan.down(weights)?,
            middle: plan.middle(&weights.at("mid_block"))?,
            up: plan.up(weights)?,
            norm: GroupNorm::load(&weights.at("conv_norm_out"), first, config.norm_num_groups, config.norm_eps)?
                .with_silu(),
            leave: Conv::load(&weights.exact().at("conv_out"), first, config.out_channels)?,
        })
    }

    /// Keys and values of every cross attention, from the text's states (batch, tokens, width).
    ///
    /// # Errors
    /// When the device fails.
    pub fn prepare(&self, states: &Tensor) -> candle_core::Result<Context> {
        let states = states.to_dtype(self.dtype)?;
        let layers = self.blocks().map(|block| block.text.prepare(&states)).collect::<candle_core::Result<_>>()?;
        Ok(Context { layers, guidance: None })
    }

    /// Latents (batch, channels, height, width), a timestep for each row, and the text of each row, to
    /// the prediction, of the latents' shape. Latents and prediction are not of half precision.
    ///
    /// # Errors
    /// When the batches differ or the device fails.
    pub fn forward(&self, latents: &Tensor, timesteps: &Tensor, context: &Context) -> candle_core::Result<Tensor> {
        let latents = if self.centred { ((latents * 2.0)? - 1.0)? } else { latents.clone() };
        let time = self.time.forward(timesteps, context.guidance.as_ref(), self.dtype)?;
        let mut step = Step { time: &time, context: context.layers.iter() };
        let _pool = Pool::open();
        let mut x = self.enter.forward(&self.enter.take(&latents)?)?.to_dtype(self.dtype)?;
        let mut skips = vec![x.clone()];
        for (stack, downsample) in &self.down {
            x = stack.forward(x, &mut step, Ok, |x| skips.push(x.clone()))?;
            if let Some(conv) = downsample {
                x = conv.forward(&x)?;
                skips.push(x.clone());
            }
        }
        if let Some(middle) = &self.middle {
            x = middle.forward(x, &mut step, Ok, |_| ())?;
        }
        for (stack, upsample) in &self.up {
            x = stack.forward(x, &mut step, |x| join(x, skips.pop()), |_| ())?;
            if let Some(conv) = upsample {
                let sides = Some(enlarged(&x, skips.last())?);
                x = conv.forward_with(&x, Around { sides, ..Around::default() })?;
            }
        }
        let x = x.to_dtype(wide(self.dtype))?;
        self.leave.forward_with(&x, Around { norm: Some(&self.norm), ..Around::default() })?.into_tensor()
    }

    /// In the order in which a forward pass meets them.
    fn blocks(&self) -> impl Iterator<Item = &Block> {
        let sides = |side| -> std::slice::Iter<'_, (Stack, Option<Conv>)> { <[_]>::iter(side) };
        let stacks = sides(&self.down).map(|(stack, _)| stack);
        let stacks = stacks.chain(&self.middle).chain(sides(&self.up).map(|(stack, _)| stack));
        stacks.flat_map(Stack::transformers).flat_map(|transformer| transformer.blocks())
    }
}

fn join(x: Map, skip: Option<Map>) -> candle_core::Result<Map> {
    match skip {
        Some(skip) => x.join(&skip),
        None => candle_core::bail!("the unet's two halves differ in layers"),
    }
}

/// The size of the next skip, which is not quite the double when the latents do not divide evenly.
fn enlarged(x: &Map, skip: Option<&Map>) -> candle_core::Result<[usize; 2]> {
    skip.map_or_else(|| Ok(x.sides()?.map(|side| 2 * side)), Map::sides)
}

/// Where which layers are, from the config.
struct Plan<'a> {
    config: &'a UnetConfig,
    levels: Vec<Level>,
}

impl Plan<'_> {
    fn down(&self, weights: &Weights<'_>) -> Result<Vec<(Stack, Option<Conv>)>> {
        let load = |(index, level): (usize, &Level)| {
            let weights = weights.at(format!("down_blocks.{index}"));
            let before = self.levels[index.saturating_sub(1)].channels;
            let inputs = |layer| if layer == 0 { before } else { level.channels };
            let resnets: Vec<_> = (0..level.layers).map(|layer| self.resnet(inputs(layer), level)).collect();
            let attended = if level.attends_down { level.layers } else { 0 };
            let stack = Stack::load(&weights, &resnets, self.attention(level), attended)?;
            let halving = Window { kernel: 3, stride: 2, before: 1, after: 1 };
            let shrink =
                || Conv::with_window(&weights.at("downsamplers.0.conv"), level.channels, level.channels, halving);
            Ok((stack, (index + 1 < self.levels.len()).then(shrink).transpose()?))
        };
        self.levels.iter().enumerate().map(load).collect()
    }

    fn middle(&self, weights: &Weights<'_>) -> Result<Option<Stack>> {
        let (Some(kind), Some(level)) = (self.config.mid_block_type, self.levels.last()) else {
            return Ok(None);
        };
        let (layers, attended) = match kind {
            MidBlock::CrossAttention => (2, 1),
            MidBlock::Plain => (1, 0),
        };
        let resnets = vec![self.resnet(level.channels, level); layers];
        Ok(Some(Stack::load(weights, &resnets, self.attention(level), attended)?))
    }

    fn up(&self, weights: &Weights<'_>) -> Result<Vec<(Stack, Option<Conv>)>> {
        let mut skips = self.skip_channels();
        let mut before = self.levels.last().map_or(0, |level| level.channels);
        let mut blocks = Vec::new();
        for (index, level) in self.levels.iter().rev().enumerate() {
            let weights = weights.at(format!("up_blocks.{index}"));
            let mut resnets = Vec::new();
            for _ in 0..=level.layers {
                resnets.push(self.resnet(before + skips.pop().unwrap_or(0), level));
                before = level.channels;
            }
            let attended = if level.attends_up { resnets.len() } else { 0 };
            let stack = Stack::load(&weights, &resnets, self.attention(level), attended)?;
            let grow = || Conv::load(&weights.at("upsamplers.0.conv"), level.channels, level.channels);
            blocks.push((stack, (index + 1 < self.levels.len()).then(grow).transpose()?));
        }
        Ok(blocks)
    }

    /// Channels of everything that the way down keeps for the way up, in order.
    fn skip_channels(&self) -> Vec<usize> {
        let mut skips = vec![self.levels[0].channels];
        for (index, level) in self.levels.iter().enumerate() {
            let shrinks = usize::from(index + 1 < self.levels.len());
            skips.extend(vec![level.channels; level.layers + shrinks]);
        }
        skips
    }

    fn resnet(&self, inputs: usize, level: &Level) -> ResnetConfig {
        let (time, groups) = (Some(4 * self.levels[0].channels), self.config.norm_num_groups);
        let (outputs, epsilon) = (level.channels, self.config.norm_eps);
        ResnetConfig { inputs, outputs, time, groups, epsilon, wide: level.wide }
    }

    fn attention(&self, level: &Level) -> TransformerConfig {
        TransformerConfig {
            channels: level.channels,
            heads: level.heads,
            depth: level.depth,
            text_width: self.config.cross_attention_dim,
            groups: self.config.norm_num_groups,
            upcast: self.config.upcast_attention,
        }
    }
}
