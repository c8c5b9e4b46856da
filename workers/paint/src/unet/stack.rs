//! A run of residual blocks of one resolution, each with or without attention behind it.

use std::slice::Iter;

use anyhow::Result;
use candle_core::Tensor;

use super::transformer::{Transformer, TransformerConfig};
use crate::{
    diffusers::weights::Weights,
    layers::{
        attention::KeysValues,
        map::Map,
        resnet::{Resnet, ResnetConfig},
    },
};

/// What a down block, an up block and the middle have in common.
pub(super) struct Stack {
    layers: Vec<(Resnet, Option<Transformer>)>,
}

impl Stack {
    /// One residual block for each of `resnets`; `attention` for the first `attended` of them.
    pub(super) fn load(
        weights: &Weights<'_>,
        resnets: &[ResnetConfig],
        attention: TransformerConfig,
        attended: usize,
    ) -> Result<Self> {
        let load = |(index, config): (usize, &ResnetConfig)| {
            let resnet = Resnet::load(&weights.at(format!("resnets.{index}")), *config)?;
            let transformer = || Transformer::load(&weights.at(format!("attentions.{index}")), attention);
            Ok((resnet, (index < attended).then(transformer).transpose()?))
        };
        Ok(Self { layers: resnets.iter().enumerate().map(load).collect::<Result<_>>()? })
    }

    pub(super) fn transformers(&self) -> impl Iterator<Item = &Transformer> {
        self.layers.iter().filter_map(|(_, transformer)| transformer.as_ref())
    }

    /// Calls `each` with the input of every layer to learn what goes into it, and with its output.
    pub(super) fn forward(
        &self,
        mut x: Map,
        step: &mut Step<'_>,
        mut before: impl FnMut(Map) -> candle_core::Result<Map>,
        mut after: impl FnMut(&Map),
    ) -> candle_core::Result<Map> {
        for (resnet, transformer) in &self.layers {
            x = resnet.forward(&before(x)?, Some(step.time))?;
            if let Some(transformer) = transformer {
                x = transformer.forward(&x, &mut step.context)?;
            }
            after(&x);
        }
        Ok(x)
    }
}

/// What every layer of one forward pass sees beside the picture.
pub(super) struct Step<'a> {
    /// Activated embeddings of the timesteps (batch, width).
    pub(super) time: &'a Tensor,
    /// Keys and values that are still to be used.
    pub(super) context: Iter<'a, KeysValues>,
}
