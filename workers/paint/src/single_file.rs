//! A whole Stable Diffusion 1.x or 2.x in one `.safetensors` file, in the naming of the original code, as
//! AUTOMATIC1111's web UI and Civitai have it.
//!
//! What a folder says in its configs is read from the shapes of the tensors. A folder `NAME.config` beside
//! `NAME.safetensors` may hold any file of the diffusers layout but the weights; what is there wins.
//! `NAME.vae.safetensors` beside it is taken instead of the autoencoder inside.

mod names;
mod shapes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::diffusers::weight_file::{Place, WeightFile};
use crate::diffusers::weights::WeightFiles;
use crate::diffusers::{Configs, read_json};
use crate::tokenizer::Tokenizer;
use shapes::Shapes;

/// Prefix of the UNet's tensors.
const UNET: &str = "model.diffusion_model.";
/// Prefix of the autoencoder's.
const VAE: &str = "first_stage_model.";

/// An opened file.
pub struct SingleFile {
    file: Arc<WeightFile>,
    vae: Arc<WeightFile>,
    beside: PathBuf,
}

/// How the text encoder is named, which tells the generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    /// CLIP as in transformers: Stable Diffusion 1.x.
    Clip,
    /// OpenCLIP: Stable Diffusion 2.x.
    OpenClip,
}

impl SingleFile {
    /// Opens the file, and the autoencoder beside it.
    ///
    /// # Errors
    /// When it is no safetensors file, or not of Stable Diffusion 1.x or 2.x; says what it is.
    pub fn open(path: &Path) -> Result<Self> {
        let label = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let open = |path: &Path| WeightFile::open(path, label(path)).map(Arc::new);
        let file = open(path)?;
        recognise(&file)?;
        let own_vae = path.with_extension("vae.safetensors");
        let vae = if own_vae.is_file() { open(&own_vae)? } else { Arc::clone(&file) };
        Ok(Self { file, vae, beside: path.with_extension("config") })
    }

    /// Where files of the diffusers layout may be laid beside the file.
    pub fn beside(&self) -> &Path {
        &self.beside
    }

    /// The configs that a folder would have.
    ///
    /// # Errors
    /// Names the tensor that does not fit, or the file beside this one.
    pub fn configs(&self) -> Result<Configs> {
        Configs::assemble(&|name| {
            let own = self.beside.join(name);
            if own.is_file() {
                return read_json(&own);
            }
            let shapes = Shapes { file: &self.file, text: self.text() };
            match name {
                "text_encoder/config.json" => shapes.text(),
                "unet/config.json" => shapes.unet(),
                "vae/config.json" => Shapes { file: &self.vae, ..shapes }.vae(vae_prefix(&self.vae)),
                _ => Ok(shapes.scheduler()),
            }
        })
    }

    /// The weights, under the names of diffusers: the text encoder's, the UNet's, the autoencoder's.
    ///
    /// # Errors
    /// When the UNet's config has lists of different lengths.
    pub fn weights(&self, configs: &Configs) -> Result<[WeightFiles; 3]> {
        let levels = configs.unet.levels()?;
        let blocks = configs.vae.block_out_channels.len();
        let (text, prefix) = (self.text(), vae_prefix(&self.vae));
        let text = move |name: &str| names::text(text, name);
        let unet = move |name: &str| Place::whole(format!("{UNET}{}", names::unet(&levels, name)));
        // An autoencoder beside may be in the naming of diffusers.
        let modern = self.vae.shape("decoder.mid_block.resnets.0.conv1.weight").is_some();
        let vae = move |name: &str| match modern {
            true => Place::whole(name),
            false => Place::whole(format!("{prefix}{}", names::vae(blocks, name))),
        };
        Ok([
            WeightFiles::within(Arc::clone(&self.file), "text_encoder", Box::new(text)),
            WeightFiles::within(Arc::clone(&self.file), "unet", Box::new(unet)),
            WeightFiles::within(Arc::clone(&self.vae), "vae", Box::new(vae)),
        ])
    }

    /// The tokenizer beside the file, or CLIP's own.
    ///
    /// # Errors
    /// When the vocabulary is not CLIP's and none lies beside.
    pub fn tokenizer(&self, configs: &Configs) -> Result<Tokenizer> {
        if self.beside.join("tokenizer").is_dir() {
            return Tokenizer::read(&self.beside, &configs.text);
        }
        let pad = if self.text() == Text::OpenClip { "!" } else { "<|endoftext|>" };
        Tokenizer::clip(pad, &configs.text)
    }

    /// Whether nothing but the UNet itself can tell if it predicts noise or velocity.
    pub fn hides_prediction(&self) -> bool {
        let told = self.beside.join("scheduler/scheduler_config.json").is_file() || self.file.shape("v_pred").is_some();
        self.text() == Text::OpenClip && !told
    }

    fn text(&self) -> Text {
        let open = self.file.shape("cond_stage_model.model.token_embedding.weight").is_some();
        if open { Text::OpenClip } else { Text::Clip }
    }
}

fn vae_prefix(file: &WeightFile) -> &'static str {
    if file.shape("first_stage_model.decoder.conv_in.weight").is_some() { VAE } else { "" }
}

/// Prefixes that tell what a file is when it is not for us.
const OTHERS: &[(&str, &str)] = &[
    ("conditioner.embedders.", "Stable Diffusion XL, which is not supported yet"),
    ("model.diffusion_model.label_emb.", "Stable Diffusion XL, which is not supported yet"),
    ("model.diffusion_model.joint_blocks.", "Stable Diffusion 3, which is not supported"),
    ("joint_blocks.", "Stable Diffusion 3, which is not supported"),
    ("model.diffusion_model.double_blocks.", "FLUX, which is not supported"),
    ("double_blocks.", "FLUX, which is not supported"),
    ("lora_unet_", "a LoRA, which is given with --lora beside a model"),
    ("lora_te_", "a LoRA, which is given with --lora beside a model"),
    ("unet.", "a LoRA or a part of one, which is given with --lora beside a model"),
    ("emb_params", "an embedding of textual inversion and not a model"),
    ("control_model.", "a ControlNet, which is not supported"),
    ("decoder.", "an autoencoder alone; it is taken where it lies beside a model as NAME.vae.safetensors"),
    ("down_blocks.", "a UNet alone; its folder in the diffusers layout is what is allowed"),
];

fn recognise(file: &WeightFile) -> Result<()> {
    let allowed = "allowed: a whole Stable Diffusion 1.x or 2.x";
    for (prefix, what) in OTHERS {
        if file.names().iter().any(|name| name.starts_with(prefix)) {
            bail!("{}: is {what}; {allowed}", file.label());
        }
    }
    let there = file.names().iter().any(|name| name.starts_with(UNET));
    ensure!(there, "{}: holds no model that is known; {allowed}", file.label());
    Ok(())
}

/// A config as JSON, with only what the shapes tell.
type Config = Result<Value>;
