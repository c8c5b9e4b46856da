//! The networks against what diffusers computes, on tiny random models (tests/data/diffusers/make.py).

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use shanshui_paint::model::Model;

/// Largest difference, as a share of the largest reference value: rounding in another order.
const TOLERANCE: f32 = 1e-4;

#[test]
fn a_model_like_stable_diffusion_1_computes_what_diffusers_computes() {
    compare("sd1");
}

#[test]
fn a_model_like_stable_diffusion_2_computes_what_diffusers_computes() {
    compare("sd2");
}

#[test]
fn a_model_of_other_blocks_in_sharded_files_computes_what_diffusers_computes() {
    compare("odd");
}

#[test]
fn a_row_is_the_same_alone_as_in_a_batch() {
    let (model, reference) = (load("sd1"), Reference::read("sd1"));
    let whole = reference.get("prediction");
    for row in 0..2 {
        let part = |name| reference.get(name).narrow(0, row, 1).unwrap();
        let context = model.prepare(&part("hidden")).unwrap();
        let alone = model.predict(&part("latents"), &part("timesteps"), &context).unwrap();
        assert_close("a row alone", &alone, &whole.narrow(0, row, 1).unwrap());
    }
}

#[test]
fn a_short_prompt_gets_as_many_chunks_as_the_longest_beside_it() {
    let model = load("sd1");
    let alone = model.encode(&["a cat"]).unwrap().states;
    assert_eq!(alone.dims(), [1, 16, 16]);
    let long = "moon ".repeat(20);
    let both = model.encode(&["a cat", &long]).unwrap().states;
    assert_eq!(both.dims(), [2, 32, 16]);
    let first_chunk = both.narrow(0, 0, 1).unwrap().narrow(1, 0, 16).unwrap();
    assert_close("the first chunk", &first_chunk, &alone);
    let far_too_long = model.encode(&["moon ".repeat(10_000).as_str()]).unwrap();
    assert_eq!((far_too_long.states.dims(), far_too_long.truncated), (&[1, 512, 16][..], true));
}

#[test]
fn sizes_hashes_and_recommendations_come_from_the_folder() {
    let model = load("odd");
    assert_eq!(model.scale(), 4);
    assert_eq!(model.latent_shape(48, 32).unwrap(), [6, 8, 12]);
    let error = model.latent_shape(48, 33).unwrap_err().to_string();
    assert_eq!(error, "picture.height: 33 is not allowed; allowed: multiples of 4 for this model");
    let recommended = model.recommended();
    assert_eq!((recommended.width, recommended.height, recommended.steps), (48, 32, 20));
    let files: Vec<_> = model.hashes().iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(files.len(), 6, "{files:?}");
    assert_eq!(files[0], "unet/diffusion_pytorch_model-00001-of-00004.safetensors");
    let file = std::fs::read(folder("odd").join(files[0])).unwrap();
    let sha256: String = Sha256::digest(file).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(model.hashes()[0].1, sha256);
}

fn compare(name: &str) {
    let (model, reference) = (load(name), Reference::read(name));
    let prompts: Vec<&str> = reference.prompts.iter().map(String::as_str).collect();
    let states = model.encode(&prompts).unwrap().states;
    assert_close("text", &states, &reference.get("hidden"));
    let context = model.prepare(&states).unwrap();
    let prediction = model.predict(&reference.get("latents"), &reference.get("timesteps"), &context).unwrap();
    assert_close("unet", &prediction, &reference.get("prediction"));
    assert_close("decode", &model.decode(&reference.get("small_latents")).unwrap(), &reference.get("picture"));
    let picture = reference.get("pixels").affine(0.5, 0.5).unwrap();
    assert_close("encode", &model.encode_pictures(&picture).unwrap(), &reference.get("encoded"));
}

fn load(name: &str) -> Model {
    Model::load(&folder(name), &Device::Cpu, DType::F32).unwrap()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/diffusers").join(name)
}

struct Reference {
    tensors: HashMap<String, Tensor>,
    prompts: Vec<String>,
}

impl Reference {
    fn read(name: &str) -> Self {
        let bytes = std::fs::read(folder(name).join("reference.safetensors")).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let prompts = &header.metadata().as_ref().unwrap()["prompts"];
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
        Self { tensors, prompts: serde_json::from_str(prompts).unwrap() }
    }

    fn get(&self, name: &str) -> Tensor {
        self.tensors[name].clone()
    }
}

fn assert_close(what: &str, found: &Tensor, wanted: &Tensor) {
    assert_eq!(found.dims(), wanted.dims(), "{what}");
    let [found, wanted] = [found, wanted].map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    let largest = wanted.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let apart = found.iter().zip(&wanted).fold(0.0_f32, |apart, (a, b)| apart.max((a - b).abs()));
    assert!(apart <= TOLERANCE * largest, "{what}: {apart} apart, largest value {largest}");
}
