//! Coarse pictures of work in progress: one pixel for each latent, by a linear map.
//!
//! Latents of such models are close to colours: a matrix of a few numbers shows what is being painted.
//! It is fitted to what the model's own decoder makes of real latents, so it fits every model.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candle_core::{Result, Tensor};
use shanshui_pipeline::event::Event;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::model::Model;
use crate::picture::{Format, Metadata, Picture};

/// From one preview of a job to the next, at least.
const PAUSE: Duration = Duration::from_millis(500);
/// Previews that wait to be sent; more are dropped.
const WAITING: usize = 8;

/// Most latents on a side that are decoded to learn their colours, before any picture is finished.
const SIDE: usize = 16;
/// Keeps the weights small where one picture says little.
const RIDGE: f64 = 1e-3;

/// How far one picture of a request is.
#[derive(Clone, Copy, Debug)]
pub struct Sketch<'a> {
    /// Index of the picture.
    pub index: u32,
    /// Steps done and steps in all.
    pub steps: (u32, u32),
    /// Pictures that are painted together with it.
    pub together: usize,
    /// The clean latents that the last step predicted (1, channels, height, width), on the model's device: to
    /// look at them takes time there.
    pub latents: &'a Tensor,
}

/// Sends previews from the thread of the model.
pub struct Previews {
    events: Sender<Event>,
    last: Option<Instant>,
    /// The step that was looked at, and whether it is shown.
    step: (u32, bool),
}

impl Previews {
    /// Where sketches go, and where the events come out.
    #[must_use]
    pub fn channel() -> (Self, Receiver<Event>) {
        let (events, receiver) = mpsc::channel(WAITING);
        (Self { events, last: None, step: (0, false) }, receiver)
    }

    /// Shows a sketch if it is time; the pictures of one batch are shown at the same steps. Before a
    /// quarter of the steps there is little to see, and its colours are others than the picture's; after
    /// the last step the picture itself follows.
    pub fn show(&mut self, model: &Model, sketch: Sketch<'_>) {
        let (step, steps) = sketch.steps;
        if self.step.0 != step {
            let pause = PAUSE * sketch.together as u32;
            let rested = self.last.is_none_or(|last| last.elapsed() >= pause);
            let due = rested && (steps.div_ceil(4)..steps).contains(&step);
            self.step = (step, due);
            self.last = if due { Some(Instant::now()) } else { self.last };
        }
        if !self.step.1 {
            return;
        }
        let Some(picture) = model.coarse(sketch.latents) else { return };
        let Ok(png) = picture.encode(Format::Png, Metadata { parameters: "", receipt: "" }) else { return };
        let (index, width, height) = (sketch.index, picture.width, picture.height);
        // A preview may be lost.
        let _ = self.events.try_send(Event::Preview { index, step, steps, width, height, png: STANDARD.encode(png) });
    }
}

/// What is known of the colours of latents: sums of the normal equations of least squares, for each
/// channel and a constant, with the three right sides behind them.
#[derive(Clone, Debug, Default)]
pub struct LatentColors {
    rows: Vec<Vec<f64>>,
}

impl LatentColors {
    /// Whether nothing was learnt yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Learns from latents (channels, height, width) and the pixels (3, height · scale, width · scale) that
    /// they became.
    ///
    /// # Errors
    /// When the shapes do not fit, or the device fails.
    pub fn learn(&mut self, latents: &[f32], pixels: &Tensor, scale: usize) -> Result<()> {
        let colors: Vec<f32> = pixels.unsqueeze(0)?.avg_pool2d(scale)?.flatten_all()?.to_vec1()?;
        let area = colors.len() / 3;
        let size = latents.len() / area + 1;
        if self.rows.len() != size {
            self.rows = vec![vec![0.0; size + 3]; size];
        }
        for at in 0..area {
            let known: Vec<f64> = values(latents, area, at).collect();
            let wanted = [0, 1, 2].map(|color| f64::from(colors[color * area + at]));
            for (row, left) in self.rows.iter_mut().zip(&known) {
                row.iter_mut().zip(known.iter().chain(&wanted)).for_each(|(sum, right)| *sum += left * right);
            }
        }
        Ok(())
    }

    /// The picture of latents: one pixel each.
    #[must_use]
    pub fn picture(&self, latents: &[f32], [_, height, width]: [usize; 3]) -> Picture {
        let (weights, area) = (self.weights(), height * width);
        let rgb = (0..area).flat_map(|at| {
            let known = weights.iter().zip(values(latents, area, at));
            let color = known.fold([0.0; 3], |sum, (row, value)| [0, 1, 2].map(|i| sum[i] + row[i] * value));
            color.map(|part| (part.clamp(0.0, 1.0) * 255.0).round() as u8)
        });
        Picture { width: width as u32, height: height as u32, rgb: rgb.collect() }
    }

    /// For each channel, and for the constant, its share of red, green and blue.
    fn weights(&self) -> Vec<[f64; 3]> {
        let (mut rows, size) = (self.rows.clone(), self.rows.len());
        rows.iter_mut().enumerate().for_each(|(at, row)| row[at] *= 1.0 + RIDGE);
        eliminate(&mut rows);
        rows.iter().map(|row| [row[size], row[size + 1], row[size + 2]]).collect()
    }
}

/// The middle of latents, as much as is decoded to learn their colours.
///
/// # Errors
/// When the shape is another.
pub fn middle(latents: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = latents.dims4()?;
    let (rows, columns) = (height.min(SIDE), width.min(SIDE));
    latents.narrow(2, (height - rows) / 2, rows)?.narrow(3, (width - columns) / 2, columns)?.contiguous()
}

/// The values of every channel at one place, and 1 for the constant.
fn values(latents: &[f32], area: usize, at: usize) -> impl Iterator<Item = f64> {
    latents.iter().skip(at).step_by(area).map(|value| f64::from(*value)).chain([1.0])
}

/// Gauss and Jordan, with the largest pivot of each column.
fn eliminate(rows: &mut [Vec<f64>]) {
    for column in 0..rows.len() {
        let largest = (column..rows.len()).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()));
        rows.swap(column, largest.unwrap_or(column));
        let pivot = rows[column].clone();
        for (at, row) in rows.iter_mut().enumerate() {
            // A channel that nothing depends on has no pivot, and no weight.
            let factor = if pivot[column] == 0.0 { 0.0 } else { row[column] / pivot[column] };
            if at != column {
                row.iter_mut().zip(&pivot).for_each(|(value, above)| *value -= factor * above);
            }
        }
        let scale = if pivot[column] == 0.0 { 0.0 } else { pivot[column].recip() };
        rows[column].iter_mut().for_each(|value| *value *= scale);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::noise::NoiseKey;

    #[test]
    fn a_linear_decoder_is_found_again() {
        let (side, channels) = (8, 4);
        let area = side * side;
        let latents = NoiseKey { seed: 1, picture: 0, step: 0 }.normals(channels * area);
        let truth = [[0.1, -0.2, 0.3], [0.0, 0.1, 0.1], [-0.1, 0.05, 0.2], [0.2, 0.2, -0.1], [0.5, 0.4, 0.6]];
        let color = |color: usize, at: usize| {
            let terms = truth.iter().zip(values(&latents, area, at)).map(|(row, value)| row[color] * value);
            terms.sum::<f64>() as f32
        };
        let places = (0..3).flat_map(|part| (0..area).map(move |at| (part, at)));
        let colors: Vec<f32> = places.map(|(part, at)| color(part, at)).collect();
        let pixels = Tensor::from_vec(colors, (3, side, side), &Device::Cpu).unwrap();
        let mut learnt = LatentColors::default();
        learnt.learn(&latents, &pixels, 1).unwrap();
        for (found, truth) in learnt.weights().iter().zip(&truth) {
            assert!(found.iter().zip(truth).all(|(found, truth)| (found - truth).abs() < 1e-3), "{found:?} {truth:?}");
        }
    }
}
