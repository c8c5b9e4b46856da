//! The diffusers folder layout: a model described by its own json files.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::{
    scheduler::SchedulerConfig, text_config::TextConfig, unet_config::UnetConfig, vae_config::VaeConfig, wanted::Wanted,
};

pub(crate) mod names;
pub mod needed;
pub mod recommended;
pub mod scheduler;
mod supported;
pub mod text_config;
pub mod unet_config;
pub mod vae_config;
pub mod wanted;
pub mod weight_file;
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
    /// The sampler that the authors want.
    pub wanted: Wanted,
    /// Whether the model was distilled to a few steps.
    pub distilled: bool,
}

/// All that the scheduler's file says.
struct Walk {
    scheduler: SchedulerConfig,
    wanted: Wanted,
    distilled: bool,
}

impl Walk {
    fn parse(file: Value) -> Result<Self> {
        let scheduler = SchedulerConfig::parse(file.clone())?;
        let wanted = Wanted::of(&file, &scheduler)?;
        Ok(Self { scheduler, distilled: wanted.is_distilled(&file), wanted })
    }
}

impl Configs {
    /// Reads `model_index.json` and the configs it stands for.
    ///
    /// # Errors
    /// Names the file and the field of anything missing, malformed or not supported.
    pub fn read(root: &Path) -> Result<Self> {
        check_index(&read_json(&root.join("model_index.json"))?).context("model_index.json")?;
        Self::assemble(&|name| read_json(&root.join(name)))
    }

    /// Interprets the configs that `get` finds by the names they have in a folder.
    ///
    /// # Errors
    /// As [`Configs::read`].
    pub fn assemble(get: &dyn Fn(&str) -> Result<Value>) -> Result<Self> {
        let walk = read_config(get, "scheduler/scheduler_config.json", Walk::parse)?;
        let configs = Self {
            text: read_config(get, "text_encoder/config.json", TextConfig::parse)?,
            unet: read_config(get, "unet/config.json", UnetConfig::parse)?,
            vae: read_config(get, "vae/config.json", VaeConfig::parse)?,
            scheduler: walk.scheduler,
            wanted: walk.wanted,
            distilled: walk.distilled,
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
/// Names the file, and what it is instead where it is something known.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(MAX_JSON_BYTES + 1).read_to_string(&mut text)?;
        ensure!(text.len() as u64 <= MAX_JSON_BYTES, "more than {MAX_JSON_BYTES} bytes");
        // Python writes infinities and "not a number" into JSON: `"lambda_min_clipped": -Infinity`.
        Ok(serde_json::from_str(&text).or_else(|error| serde_json::from_str(&finite(&text)).map_err(|_| error))?)
    };
    let what = || match shanshui_model::instead_at(path, weight_file::ALLOWED)
        .filter(|what| !what.starts_with("it is a text"))
    {
        Some(what) => format!("{}: {what}", path.display()),
        None => path.display().to_string(),
    };
    read().with_context(what)
}

/// The text with null in place of what is no JSON number.
fn finite(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !quoted && rest.starts_with(word));
        let escaped = quoted && c == '\\';
        let len = match word {
            Some(word) => word.len(),
            None if escaped => c.len_utf8() + rest[1..].chars().next().map_or(0, char::len_utf8),
            None => c.len_utf8(),
        };
        quoted ^= c == '"';
        out.push_str(word.map_or(&rest[..len], |_| "null"));
        rest = &rest[len..];
    }
    out
}

fn read_config<T>(get: &dyn Fn(&str) -> Result<Value>, name: &str, parse: fn(Value) -> Result<T>) -> Result<T> {
    get(name).and_then(parse).with_context(|| name.to_owned())
}

fn check_index(index: &Value) -> Result<()> {
    let class = index["_class_name"].as_str().unwrap_or_default();
    if class.contains("XL") || index.get("text_encoder_2").is_some_and(|part| !part[0].is_null()) {
        bail!(
            "_class_name: {class:?} is Stable Diffusion XL, which is not supported yet; allowed are models of 1.x and 2.x"
        );
    }
    ensure!(class == "StableDiffusionPipeline", "_class_name: {class:?}, allowed is \"StableDiffusionPipeline\"");
    for (part, allowed) in [
        ("unet", &["UNet2DConditionModel"][..]),
        ("vae", &["AutoencoderKL", "AutoencoderTiny"]),
        ("text_encoder", &["CLIPTextModel"]),
    ] {
        let found = index[part][1].as_str().unwrap_or_default();
        ensure!(allowed.contains(&found), "{part}: {found:?}, allowed is {}", allowed.join(" or "));
    }
    Ok(())
}

/// A config without the fields that are null, which in these formats means the default; but for those
/// of `meant`, where null is a value.
fn without_nulls(mut config: Value, meant: &[&str]) -> Value {
    if let Some(fields) = config.as_object_mut() {
        fields.retain(|name, value| !value.is_null() || meant.contains(&name.as_str()));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_only_python_writes_count_as_null() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, r#"{"a": -Infinity, "b": [NaN, 1], "c": "-Infinity \" NaN", "d": Infinity}"#).unwrap();
        let json: Value = read_json(&path).unwrap();
        assert_eq!(json, serde_json::json!({"a": null, "b": [null, 1], "c": "-Infinity \" NaN", "d": null}));
        std::fs::write(&path, r#"{"a": Infinit}"#).unwrap();
        assert!(read_json::<Value>(&path).is_err());
    }
}
