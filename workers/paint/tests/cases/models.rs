//! Model folders as people have them: the tiny model `sd1`, changed where published models differ.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::safetensors::{load, save};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use tempfile::TempDir;

const STEM: &str = "diffusion_pytorch_model";

pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// As Stable Diffusion 1.5 is published: nothing about spacing.
pub(crate) fn sd15() -> Value {
    json!({
        "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
        "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null,
        "clip_sample": false,
    })
}

/// The same by another class, with more fields.
pub(crate) fn sd15_by(class: &str, more: &Value) -> Value {
    let mut config = sd15();
    config["_class_name"] = class.into();
    for (field, value) in more.as_object().unwrap() {
        config[field] = value.clone();
    }
    config
}

/// As SD-Turbo is published: Euler, trailing.
pub(crate) fn sd_turbo() -> Value {
    json!({
        "_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.24.0.dev0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false, "interpolation_type": "linear",
        "num_train_timesteps": 1000, "prediction_type": "epsilon", "set_alpha_to_one": false, "sigma_max": null,
        "sigma_min": null, "skip_prk_steps": true, "steps_offset": 1, "timestep_spacing": "trailing",
        "timestep_type": "discrete", "trained_betas": null, "use_karras_sigmas": false,
    })
}

/// As diffusers saves the scheduler of a latent consistency model.
pub(crate) fn lcm() -> Value {
    json!({
        "_class_name": "LCMScheduler", "_diffusers_version": "0.24.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false, "clip_sample_range": 1.0,
        "dynamic_thresholding_ratio": 0.995, "num_train_timesteps": 1000, "original_inference_steps": 50,
        "prediction_type": "epsilon", "rescale_betas_zero_snr": false, "sample_max_value": 1.0,
        "set_alpha_to_one": true, "steps_offset": 1, "thresholding": false, "timestep_scaling": 10.0,
        "timestep_spacing": "leading", "trained_betas": null,
    })
}

pub(crate) fn dpm(more: &Value) -> Value {
    let mut config = json!({
        "_class_name": "DPMSolverMultistepScheduler", "_diffusers_version": "0.27.0",
        "algorithm_type": "dpmsolver++", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
        "num_train_timesteps": 1000, "prediction_type": "epsilon", "solver_order": 2, "solver_type": "midpoint",
        "timestep_spacing": "leading", "steps_offset": 1, "final_sigmas_type": "zero", "lower_order_final": true,
        "euler_at_final": false, "use_karras_sigmas": false, "thresholding": false,
    });
    for (field, value) in more.as_object().unwrap() {
        config[field] = value.clone();
    }
    config
}

/// A model folder of its own, removed in the end.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new(scheduler: &Value) -> Self {
        let folder = Self::of("sd1");
        folder.edit("tokenizer/tokenizer_config.json", &json!({ "pad_token": "<|endoftext|>" }));
        // Latents of a network that was never trained are large: so the pictures are not only black and white.
        folder.edit("vae/config.json", &json!({ "scaling_factor": 3.0 }));
        folder.write("scheduler/scheduler_config.json", scheduler.to_string());
        folder.edit("model_index.json", &json!({ "scheduler": ["diffusers", scheduler["_class_name"]] }));
        folder
    }

    /// A tiny model as it is.
    pub(crate) fn of(name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        copy(&project(&format!("tests/data/diffusers/{name}")), folder.path());
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), content).unwrap();
    }

    /// Sets fields of a JSON file.
    pub(crate) fn edit(&self, name: &str, fields: &Value) {
        let mut config: Value = serde_json::from_slice(&fs::read(self.at(name)).unwrap()).unwrap();
        for (field, value) in fields.as_object().unwrap() {
            config[field] = value.clone();
        }
        self.write(name, config.to_string());
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    /// Rewrites the tensors of a file.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(HashMap<String, Tensor>) -> HashMap<String, Tensor>) {
        let tensors = load(self.at(name), &Device::Cpu).unwrap();
        save(&change(tensors), self.at(name)).unwrap();
    }

    pub(crate) fn cast(&self, part: &str, dtype: DType) {
        let stem = if part == "text_encoder" { "model" } else { STEM };
        self.change(&format!("{part}/{stem}.safetensors"), |tensors| {
            tensors.into_iter().map(|(name, tensor)| (name, tensor.to_dtype(dtype).unwrap())).collect()
        });
    }

    /// Splits the UNet's file in two, under the given names of index and shards.
    pub(crate) fn shard(&self, index: &str, shard: impl Fn(usize) -> String) {
        let whole = self.at(&format!("unet/{STEM}.safetensors"));
        let tensors = load(&whole, &Device::Cpu).unwrap();
        fs::remove_file(whole).unwrap();
        let mut names: Vec<String> = tensors.keys().cloned().collect();
        names.sort_unstable();
        let mut map = serde_json::Map::new();
        for (number, names) in names.chunks(names.len().div_ceil(2)).enumerate() {
            let file = shard(number + 1);
            let part: HashMap<&str, Tensor> = names.iter().map(|name| (name.as_str(), tensors[name].clone())).collect();
            save(&part, self.at(&format!("unet/{file}"))).unwrap();
            map.extend(names.iter().map(|name| (name.clone(), file.clone().into())));
        }
        self.write(&format!("unet/{index}"), json!({ "metadata": {}, "weight_map": map }).to_string());
    }

    /// The way from a project folder into this one.
    pub(crate) fn take(&self, from: &str, to: &str) {
        fs::remove_dir_all(self.at(to)).unwrap();
        fs::create_dir(self.at(to)).unwrap();
        copy(&project(from), &self.at(to));
    }
}

/// Copies a folder without the recordings beside the tiny models.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&path, &target);
        } else if path.file_name().unwrap() != "reference.safetensors" {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// One token more, taught as textual inversion teaches it.
pub(crate) fn textual_inversion(folder: &Folder) {
    const ROW: [f32; 16] = [
        -4.578_125,
        -2.25,
        -1.961_914_1,
        -4.828_125,
        -0.300_537_1,
        -1.827_148_4,
        -2.939_453_1,
        -4.828_125,
        -2.136_718_8,
        0.911_132_8,
        -2.332_031_3,
        -0.754_394_5,
        -0.666_992_2,
        5.062_5,
        0.685_058_6,
        1.403_320_3,
    ];
    let mut rows = 0;
    folder.change("text_encoder/model.safetensors", |mut tensors| {
        let name = tensors.keys().find(|name| name.ends_with("token_embedding.weight")).unwrap().clone();
        let embedding = &tensors[&name];
        rows = embedding.dim(0).unwrap();
        let more = Tensor::new(&[ROW], &Device::Cpu).unwrap().to_dtype(embedding.dtype()).unwrap();
        let longer = Tensor::cat(&[embedding, &more], 0).unwrap();
        tensors.insert(name, longer);
        tensors
    });
    folder.edit("text_encoder/config.json", &json!({ "vocab_size": rows + 1 }));
    folder.write("tokenizer/added_tokens.json", json!({ "<cat-toy>": rows }).to_string());
}
