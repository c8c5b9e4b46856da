//! From files to networks.

use std::cell::RefCell;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use shanshui_kernels::Kernels;
use shanshui_model::Origin;
use shanshui_model::gpu::Reserve;

use super::loras::Loras;
use super::{Decoder, Model};
use crate::diffusers::Configs;
use crate::diffusers::recommended::Recommended;
use crate::diffusers::scheduler::PredictionType;
use crate::diffusers::weight_file::WeightFile;
use crate::diffusers::weights::{WeightFiles, Weights, wide};
use crate::lora::Merge;
use crate::single_file::SingleFile;
use crate::source::Source;
use crate::text_encoder::TextEncoder;
use crate::tokenizer::Tokenizer;
use crate::unet::Unet;
use crate::vae::Vae;
use crate::vae::tiny::TinyDecoder;

/// What is loaded beside a model.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// A decoder to be taken instead of the model's own: a file, or a folder in the diffusers layout.
    pub tiny_decoder: Option<PathBuf>,
    /// Files of adaptations, and how strong each is where a job does not say.
    pub loras: Vec<(PathBuf, f64)>,
}

/// The files of the three networks.
pub(super) struct Parts {
    text: WeightFiles,
    unet: WeightFiles,
    vae: WeightFiles,
}

impl Parts {
    pub(super) fn vae_weights<'a>(&'a self, dtype: DType, device: &'a Device) -> Weights<'a> {
        Weights::new(&self.vae, dtype, device)
    }

    /// Text encoder and UNet, with adaptations.
    pub(super) fn adapted(
        &self,
        configs: &Configs,
        merges: &[Merge],
        (dtype, device): (DType, &Device),
    ) -> Result<(TextEncoder, Unet)> {
        let text = Weights::new(&self.text, dtype, device).exact().merged_with(merges);
        let unet = Weights::new(&self.unet, dtype, device).merged_with(merges);
        Ok((TextEncoder::load(&text, &configs.text)?, Unet::load(&unet, &configs.unet, device)?))
    }

    /// The decoder, and the hash of one that is not the model's own.
    fn decoder(
        &self,
        source: &Source,
        extras: &Extras,
        configs: &Configs,
        (dtype, device): (DType, &Device),
    ) -> Result<(Decoder, Option<(String, String)>)> {
        // Some models of few steps have a tiny decoder for their own.
        let own = (configs.vae.tiny && !source.single).then(|| source.path.join("vae"));
        let Some(path) = extras.tiny_decoder.as_ref().or(own.as_ref()) else {
            let whole = Vae::load(&self.vae_weights(dtype, device), &configs.vae)?;
            return Ok((Decoder::Whole(whole.into()), None));
        };
        let (tiny, hash) = TinyDecoder::open(path, dtype, device)?;
        check_tiny(&tiny, configs)?;
        Ok((Decoder::Tiny(tiny), extras.tiny_decoder.is_some().then_some(hash)))
    }

    /// Each file once. The UNet's first: A1111's `Model hash` in the pictures is its.
    fn hashes(&self) -> Vec<(String, String)> {
        let mut files: Vec<&WeightFile> = Vec::new();
        for file in [&self.unet, &self.vae, &self.text].into_iter().flat_map(|part| part.files()) {
            if files.iter().all(|known| !std::ptr::eq(*known, file.as_ref())) {
                files.push(file);
            }
        }
        files.into_par_iter().map(|file| (file.label().to_owned(), file.sha256())).collect()
    }
}

impl Model {
    /// Loads a model and what is wanted beside it; weights are cast to `dtype`.
    ///
    /// # Errors
    /// Names the file, and the field or tensor, that is missing, malformed or not supported.
    pub fn open(source: &Source, extras: &Extras, device: &Device, dtype: DType) -> Result<Self> {
        // A path that this CPU lacks is told here, not passed over.
        Kernels::choose()?;
        let origin = Origin::of(&source.path)?;
        let single = source.single.then(|| SingleFile::open(&source.path)).transpose()?;
        let (mut configs, tokenizer, parts, beside) = match &single {
            Some(file) => {
                let configs = file.configs()?;
                let [text, unet, vae] = file.weights(&configs)?;
                (configs.clone(), file.tokenizer(&configs)?, Parts { text, unet, vae }, file.beside())
            }
            None => {
                let root = source.path.as_path();
                let configs = Configs::read(root)?;
                let tokenizer = Tokenizer::read(root, &configs.text)?;
                let text = WeightFiles::open(root, "text_encoder", text_stem(source))?;
                let unet = WeightFiles::open(root, "unet", STEM)?;
                (configs, tokenizer, Parts { text, unet, vae: WeightFiles::open(root, "vae", STEM)? }, root)
            }
        };
        let loras = Loras::open(&extras.loras)?;
        loras.begin();
        let (text, unet) = parts.adapted(&configs, &loras.usual(), (dtype, device))?;
        loras.check_used()?;
        if single.as_ref().is_some_and(SingleFile::hides_prediction) {
            learn_prediction(&mut configs, &unet, device, dtype)?;
        }
        let recommended = Recommended::read(beside, &configs)?;
        tell_stand_in(&configs, &recommended.sampler);
        let mut hashes = parts.hashes();
        origin.check(&hashes)?;
        let (decoder, own_hash) = parts.decoder(source, extras, &configs, (dtype, device))?;
        hashes.extend(own_hash);
        hashes.extend(loras.hashes());
        let (reserve, device, colors) = (Reserve::of(device), device.clone(), RefCell::default());
        Ok(Self {
            origin,
            tokenizer,
            text,
            unet,
            decoder,
            parts,
            configs,
            recommended,
            loras,
            hashes,
            colors,
            dtype,
            device,
            reserve,
        })
    }
}

const STEM: &str = "diffusion_pytorch_model";

/// Old conversions call the text encoder as its pickle was called.
fn text_stem(source: &Source) -> &'static str {
    let old = source.path.join("text_encoder/pytorch_model.safetensors");
    if old.is_file() { "pytorch_model" } else { "model" }
}

fn tell_stand_in(configs: &Configs, sampler: &str) {
    if let Some(class) = &configs.wanted.instead_of {
        tracing::warn!(sampler, "the scheduler {class} is not here: this sampler stands in for it");
    }
}

fn check_tiny(tiny: &TinyDecoder, configs: &Configs) -> Result<()> {
    let (scale, own) = (tiny.scale(), configs.vae.scale());
    ensure!(scale == own, "tiny-decoder: makes {scale} pixels of a latent, the model has {own}");
    let (channels, own) = (tiny.latent_channels(), configs.vae.latent_channels);
    ensure!(channels == own, "tiny-decoder: reads {channels} channels of latents, the model has {own}");
    Ok(())
}

/// Asks a UNet of the second generation whether it predicts velocity, which no tensor's shape tells: at the
/// end of the training, where noise is all there is, a prediction of noise is about its input and one of
/// velocity is not. The inputs and the bound are those of AUTOMATIC1111's web UI.
fn learn_prediction(configs: &mut Configs, unet: &Unet, device: &Device, dtype: DType) -> Result<()> {
    let half = |shape: &[usize]| Tensor::full(0.5_f32, shape, device)?.to_dtype(wide(dtype));
    let (channels, width) = (configs.unet.in_channels, configs.unet.cross_attention_dim);
    let latents = half(&[1, channels, 8, 8])?;
    let context = unet.prepare(&half(&[1, 2, width])?)?;
    let timestep = Tensor::new(&[999.0_f32], device)?;
    let away = (unet.forward(&latents, &timestep, &context)? - latents)?.to_dtype(DType::F32)?;
    let away = away.mean_all()?.to_scalar::<f32>().context("the unet's answer")?;
    if away < -1.0 {
        configs.scheduler.prediction_type = PredictionType::VPrediction;
        configs.unet.sample_size = Some(crate::diffusers::unet_config::Size::Square(96));
    }
    tracing::info!(prediction = ?configs.scheduler.prediction_type, "asked of the unet, for the file does not say");
    Ok(())
}
