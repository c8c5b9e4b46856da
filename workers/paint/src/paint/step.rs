//! One call of the model for the pictures of one or several requests.

use candle_core::{Device, Tensor};
use shanshui_pipeline::telemetry::Histogram;

use super::canvas::Canvas;
use super::text::Text;
use crate::error::{PaintError, WorkerError};
use crate::model::{Context, Model};

/// A picture at its next step.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Tells its request from others.
    pub(super) request: u64,
    pub(super) canvas: &'a Canvas,
    pub(super) text: &'a Text,
}

/// What the model says of a picture, and of how many it was asked together.
pub(crate) struct Answer {
    /// Of the shape of the picture's latents, on the device.
    pub(super) output: Tensor,
    pub(super) together: usize,
}

/// Asks the model, and remembers what it can be asked.
#[derive(Default)]
pub(crate) struct Asker {
    /// The texts of the pictures of the last call.
    context: Option<(Vec<(u64, u32)>, Context)>,
    /// Pictures of which not too many together for the device's memory.
    most: Option<usize>,
    sizes: Option<Histogram>,
}

impl Asker {
    /// Records how many pictures each call of the model is for.
    pub(crate) fn measured_by(self, sizes: Histogram) -> Self {
        Self { sizes: Some(sizes), ..self }
    }

    /// An answer for each picture; all have one shape, and texts of as many tokens.
    ///
    /// If the device fails, the pictures are tried in smaller batches, down to one: what is the fault of one
    /// is not that of the others. After a lack of memory they remain small.
    pub(crate) fn ask(&mut self, model: &Model, places: &[Place<'_>]) -> Vec<Result<Answer, PaintError>> {
        let fitting = self.most.unwrap_or(places.len()).max(1);
        let mut answers = Vec::with_capacity(places.len());
        for part in places.chunks(fitting) {
            answers.extend(halving(part, &mut |part| {
                let outputs = self.predict(model, part).map_err(WorkerError::from);
                if let Err(error) = &outputs
                    && part.len() > 1
                {
                    tracing::warn!(%error, pictures = part.len(), "a step failed: now in smaller batches");
                    if error.is_out_of_memory() {
                        self.most = Some(part.len() / 2);
                        model.trim();
                    }
                }
                outputs
            }));
        }
        answers
    }

    /// Forgets what there was no memory for: others may have had it.
    pub(crate) fn rest(&mut self) {
        (self.context, self.most) = (None, None);
    }

    fn predict(&mut self, model: &Model, places: &[Place<'_>]) -> candle_core::Result<Vec<Answer>> {
        let (mut input, mut timesteps) = (Vec::new(), Vec::new());
        for Place { canvas, text, .. } in places {
            let (latents, timestep) = canvas.input()?;
            input.extend((0..text.rows).map(|_| latents.clone()));
            timesteps.extend((0..text.rows).map(|_| timestep));
        }
        let timesteps = Tensor::new(timesteps, &Device::Cpu)?;
        let output = model.predict(&Tensor::cat(&input, 0)?, &timesteps, self.context(places)?)?;
        if let Some(sizes) = &self.sizes {
            sizes.observe(places.len() as f64);
        }
        let mut at = 0;
        let answer = |place: &Place<'_>| {
            let own = output.narrow(0, at, place.text.rows)?;
            at += place.text.rows;
            Ok(Answer { output: place.text.guided(&own)?, together: places.len() })
        };
        places.iter().map(answer).collect()
    }

    /// Joined anew when a picture comes or goes.
    fn context(&mut self, places: &[Place<'_>]) -> candle_core::Result<&Context> {
        let of: Vec<_> = places.iter().map(|place| (place.request, place.canvas.index())).collect();
        let known = self.context.take().filter(|(known, _)| *known == of);
        let known = match known {
            Some(known) => known,
            None => {
                let parts: Vec<&Context> = places.iter().map(|place| &place.text.context).collect();
                (of, Context::join(&parts)?)
            }
        };
        Ok(&self.context.insert(known).1)
    }
}

/// The results of all items by `work` on some of them together: on all, or where that fails on each half.
fn halving<I, T, E, W>(items: &[I], work: &mut W) -> Vec<Result<T, PaintError>>
where
    W: FnMut(&[I]) -> Result<Vec<T>, E>,
    PaintError: From<E>,
{
    match work(items) {
        Ok(results) => results.into_iter().map(Ok).collect(),
        Err(_) if items.len() > 1 => {
            let (first, second) = items.split_at(items.len() / 2);
            let mut results = halving(first, work);
            results.extend(halving(second, work));
            results
        }
        Err(error) => vec![Err(error.into())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::JobError;

    #[test]
    fn what_fails_together_is_done_in_smaller_parts_and_only_the_guilty_fails() {
        let mut sizes = Vec::new();
        let results = halving(&[1, 2, 3, 4, 5], &mut |part: &[i32]| {
            sizes.push(part.len());
            let guilty = || JobError::Text("on purpose".into());
            if part.contains(&4) { Err(guilty()) } else { Ok(part.iter().map(|one| 10 * one).collect()) }
        });
        let found: Vec<_> = results.iter().map(|result| result.as_ref().ok().copied()).collect();
        assert_eq!(found, [Some(10), Some(20), Some(30), None, Some(50)]);
        assert_eq!(sizes, [5, 2, 3, 1, 2, 1, 1], "no item twice after it has an answer");
    }
}
