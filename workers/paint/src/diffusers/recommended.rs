//! `shanshui.json`, beside `model_index.json`: how a model is used best.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Configs, read_json, unet_config::Size};
use crate::sampler::SamplerKind;

/// What a job gets when it does not say otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommended {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Denoising steps.
    pub steps: usize,
    /// Scale of classifier-free guidance.
    pub guidance: f64,
    /// Name of a sampler.
    pub sampler: String,
    /// Languages the text encoder reads, as two-letter codes.
    pub languages: Vec<String>,
}

/// Steps and guidance of models that were not distilled.
const USUAL: (usize, f64) = (20, 7.5);
/// Steps and guidance of models that were: they know no guidance, and more steps burn the picture.
const DISTILLED: (usize, f64) = (4, 0.0);

/// Guidance of models that are told its scale, as diffusers' latent consistency pipeline has it.
const TOLD: f64 = 8.5;

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    width: Option<usize>,
    height: Option<usize>,
    steps: Option<usize>,
    guidance: Option<f64>,
    sampler: Option<String>,
    languages: Option<Vec<String>>,
}

impl Recommended {
    /// Reads the file below `root`; what it leaves out comes from the model's configs.
    ///
    /// # Errors
    /// When the file exists and is not what it should be; names the field.
    pub fn read(root: &Path, configs: &Configs) -> Result<Self> {
        let path = root.join("shanshui.json");
        let file = if path.is_file() { parse(&path)? } else { File::default() };
        let scale = configs.vae.scale();
        let (height, width) = match configs.unet.sample_size {
            Some(Size::Square(side)) => (side, side),
            Some(Size::Sides(height, width)) => (height, width),
            // What diffusers' pipeline falls back to.
            None => (64, 64),
        };
        let told = configs.unet.time_cond_proj_dim.is_some();
        let (steps, guidance) = if configs.distilled { DISTILLED } else { USUAL };
        let guidance = if told { TOLD } else { guidance };
        let recommended = Self {
            width: file.width.unwrap_or(width * scale),
            height: file.height.unwrap_or(height * scale),
            steps: file.steps.unwrap_or(steps),
            guidance: file.guidance.unwrap_or(guidance),
            sampler: file.sampler.unwrap_or_else(|| configs.wanted.kind.id().to_owned()),
            languages: file.languages.unwrap_or_else(|| vec!["en".to_owned()]),
        };
        recommended.check(scale).with_context(|| path.display().to_string())?;
        Ok(recommended)
    }

    fn check(&self, scale: usize) -> Result<()> {
        for (name, side) in [("width", self.width), ("height", self.height)] {
            let fits = side > 0 && side.is_multiple_of(scale);
            ensure!(fits, "{name}: {side}, allowed are multiples of {scale}");
        }
        ensure!(self.steps > 0, "steps: 0, allowed are 1 and more");
        self.sampler.parse::<SamplerKind>().context("sampler")?;
        let guidance = self.guidance;
        ensure!(guidance.is_finite() && guidance >= 0.0, "guidance: {guidance}, must not be negative");
        Ok(())
    }
}

fn parse(path: &Path) -> Result<File> {
    let json: serde_json::Value = read_json(path)?;
    serde_path_to_error::deserialize(json).with_context(|| path.display().to_string())
}
