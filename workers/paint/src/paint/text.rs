//! The texts of a request, as the UNet is told them.

use candle_core::Tensor;

use super::Request;
use crate::error::PaintError;
use crate::model::{Context, Encoded, Model};
use crate::sampler;

/// The states of the prompt, or of the negative prompt and the prompt.
pub(super) struct Text {
    /// For the rows of one picture: one, or the one without the prompt and the one with it.
    pub(super) context: Context,
    /// Tokens of each text.
    pub(super) tokens: usize,
    pub(super) rows: usize,
    /// `None`: the model is asked about the prompt alone.
    guidance: Option<f64>,
    pub(super) truncated: bool,
}

impl Text {
    pub(super) fn encode(model: &Model, request: &Request) -> Result<Self, PaintError> {
        let told = model.is_told_guidance().then_some(request.guidance);
        let guidance = (request.guidance > 1.0 && told.is_none()).then_some(request.guidance);
        let prompts = [request.negative.as_str(), request.prompt.as_str()];
        let prompts = if guidance.is_some() { &prompts[..] } else { &prompts[1..] };
        let Encoded { states, truncated } = model.encode_as(prompts, request.syntax)?;
        let (rows, tokens, _) = states.dims3()?;
        let context = match told {
            Some(guidance) => model.prepare_guided(&states, guidance)?,
            None => model.prepare(&states)?,
        };
        Ok(Self { context, tokens, rows, guidance, truncated })
    }

    /// The model's answers to the rows of a picture as one.
    pub(super) fn guided(&self, outputs: &Tensor) -> candle_core::Result<Tensor> {
        match self.guidance {
            Some(scale) => sampler::guided(&outputs.narrow(0, 0, 1)?, &outputs.narrow(0, 1, 1)?, scale),
            None => Ok(outputs.clone()),
        }
    }
}
