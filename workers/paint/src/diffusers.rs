//! The diffusers folder layout: a model described by its own json files.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::{scheduler::SchedulerConfig, text_config::TextConfig, unet_config::UnetConfig, vae_config::VaeConfig};

pub mod recommended;
pub mod scheduler;
mod supported;
pub mod text_config;
pub mod unet_config;
pub mod vae_config;
pub mod weights;

/// Indexes of sharded weights are the largest files of this kind, well below a megabyte.
const MAX_JSON_BYTES: u64 = 10 << 20;

/// The configs of a Stable Diffusion 1.x or 2.x folder, checked one by one and against each other.
#[derive(Clone, Debug)]
pub struct Configs {
    /// The text encoder's.
    pub text: TextConfig,
    /// The UNet's.
    pub unet: UnetConfig,
    /// The autoencoder's.
    pub vae: VaeConfig,
    /// The training schedule.
    pub scheduler: SchedulerConfig,
}

impl Configs {
    /// Reads `model_index.json` and the configs it stands for.
    ///
    /// # Errors
    /// Names the file and the field of anything missing, malformed or not supported.
    pub fn read(root: &Path) -> Result<Self> {
        check_index(&read_json(&root.join("model_index.json"))?).context("model_index.json")?;
        let configs = Self {
            text: read_config(root, "text_encoder/config.json", TextConfig::parse)?,
            unet: read_config(root, "unet/config.json", UnetConfig::parse)?,
            vae: read_config(root, "vae/config.json", VaeConfig::parse)?,
            scheduler: read_config(root, "scheduler/scheduler_config.json", SchedulerConfig::parse)?,
        };
        configs.check()?;
        Ok(configs)
    }

    fn check(&self) -> Result<()> {
        let (unet, latent) = (&self.unet, self.vae.latent_channels);
        ensure!(
            unet.in_channels == latent,
            "unet/config.json: in_channels: {}, the vae has {latent} latent channels (models for inpainting, depth and \
             upscaling are not supported)",
            unet.in_channels
        );
        ensure!(
            unet.out_channels == latent,
            "unet/config.json: out_channels: {}, the vae has {latent}",
            unet.out_channels
        );
        let (wanted, width) = (unet.cross_attention_dim, self.text.hidden_size);
        ensure!(
            wanted == width,
            "unet/config.json: cross_attention_dim: {wanted}, the text encoder's states have {width}"
        );
        Ok(())
    }
}

/// Parses a JSON file of bounded size.
///
/// # Errors
/// Names the file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(MAX_JSON_BYTES + 1).read_to_string(&mut text)?;
        ensure!(text.len() as u64 <= MAX_JSON_BYTES, "more than {MAX_JSON_BYTES} bytes");
        Ok(serde_json::from_str(&text)?)
    };
    read().with_context(|| path.display().to_string())
}

fn read_config<T>(root: &Path, name: &str, parse: fn(Value) -> Result<T>) -> Result<T> {
    parse(read_json(&root.join(name))?).with_context(|| name.to_owned())
}

fn check_index(index: &Value) -> Result<()> {
    let class = index["_class_name"].as_str().unwrap_or_default();
    if class.contains("XL") || index.get("text_encoder_2").is_some_and(|part| !part[0].is_null()) {
        bail!(
            "_class_name: {class:?} is Stable Diffusion XL, which is not supported yet; allowed are models of 1.x and 2.x"
        );
    }
    ensure!(class == "StableDiffusionPipeline", "_class_name: {class:?}, allowed is \"StableDiffusionPipeline\"");
    for (part, allowed) in
        [("unet", "UNet2DConditionModel"), ("vae", "AutoencoderKL"), ("text_encoder", "CLIPTextModel")]
    {
        let found = index[part][1].as_str().unwrap_or_default();
        ensure!(found == allowed, "{part}: {found:?}, allowed is {allowed:?}");
    }
    Ok(())
}
