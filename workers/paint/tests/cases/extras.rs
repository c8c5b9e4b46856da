//! Adaptations, the tiny decoder, weighted prompts and models that are told the guidance.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::safetensors::{load, save};
use candle_core::{DType, Device, Tensor};
use serde_json::json;
use shanshui_paint::batcher::{Batcher, Order, Sharing};
use shanshui_paint::error::PaintError;
use shanshui_paint::model::{Extras, Model};
use shanshui_paint::prompt::syntax::Syntax;
use shanshui_paint::source::Source;
use tokio::sync::oneshot;

use crate::models::{Folder, lcm, project, sd15};
use crate::{Asked, USUAL, load as load_model};

const DDIM: Asked<'_> = Asked { sampler: Some("ddim"), ..USUAL };

fn open(folder: &Folder, extras: &Extras) -> Model {
    Model::open(&Source::find(folder.path()).unwrap(), extras, &Device::Cpu, DType::F32).unwrap()
}

fn refusal(folder: &Folder, extras: &Extras) -> String {
    match Model::open(&Source::find(folder.path()).unwrap(), extras, &Device::Cpu, DType::F32) {
        Ok(_) => panic!("loaded"),
        Err(error) => format!("{error:#}"),
    }
}

fn lora_at(path: PathBuf, weight: f64) -> Extras {
    Extras { loras: vec![(path, weight)], ..Extras::default() }
}

fn kohya() -> PathBuf {
    project("tests/data/paint-cases/lora.safetensors")
}

#[test]
fn an_adaptation_is_merged_as_strongly_as_it_is_wanted() {
    let folder = Folder::new(&sd15());
    DDIM.expect_of(&open(&folder, &lora_at(kohya(), 0.8)), "lora");
    DDIM.expect_of(&open(&folder, &lora_at(kohya(), 0.0)), "sd15-ddim");
}

#[test]
fn a_job_has_its_own_weights_and_the_next_has_the_usual_ones_again() {
    let folder = Folder::new(&sd15());
    let mut model = open(&folder, &lora_at(kohya(), 0.0));
    model.adapt(&[("lora".into(), 0.8)]).unwrap();
    DDIM.expect_of(&model, "lora");
    model.adapt(&[]).unwrap();
    DDIM.expect_of(&model, "sd15-ddim");
    for (name, weight, words) in [
        ("detail", 0.8, "picture.loras: detail is not allowed; allowed: lora"),
        ("lora", 40.0, "picture.loras.lora: 40 is not allowed; allowed: -4 to 4"),
        ("lora", f64::NAN, "picture.loras.lora: NaN is not allowed; allowed: -4 to 4"),
    ] {
        let error = model.adapt(&[(name.into(), weight)]).unwrap_err();
        let PaintError::Job(error) = error else { panic!("{error}") };
        assert_eq!(error.to_string(), words);
    }
}

/// The paths of a network's modules, by how kohya's scripts flatten them.
fn modules(file: &Path) -> HashMap<String, String> {
    let tensors = load(file, &Device::Cpu).unwrap();
    let paths = tensors.keys().filter_map(|name| name.strip_suffix(".weight"));
    paths.map(|path| (path.replace('.', "_"), path.to_owned())).collect()
}

/// The adaptation in other words; alphas go into the tensors, for the other namings have none in the file.
fn renamed(folder: &Folder, name: impl Fn(&str, &str, bool) -> String) -> PathBuf {
    let unet = modules(&folder.at("unet/diffusion_pytorch_model.safetensors"));
    let text = modules(&folder.at("text_encoder/model.safetensors"));
    let tensors = load(kohya(), &Device::Cpu).unwrap();
    let mut out = HashMap::new();
    for (tensor, value) in tensors.iter().filter(|(tensor, _)| !tensor.ends_with(".alpha")) {
        let (module, end) = tensor.split_once('.').unwrap();
        let up = end == "lora_up.weight";
        let (part, path) = match module.strip_prefix("lora_unet_") {
            Some(flat) => ("unet", &unet[flat]),
            None => ("text_encoder", &text[module.strip_prefix("lora_te_").unwrap()]),
        };
        let alpha = &tensors[&format!("{module}.alpha")].to_dtype(DType::F32).unwrap();
        let rank = tensors[&format!("{module}.lora_down.weight")].dim(0).unwrap() as f64;
        let scale = f64::from(alpha.to_scalar::<f32>().unwrap()) / rank;
        let value = value.to_dtype(DType::F32).unwrap();
        out.insert(name(part, path, up), if up { (value * scale).unwrap() } else { value });
    }
    let path = folder.at("renamed.safetensors");
    save(&out, &path).unwrap();
    path
}

#[test]
fn the_names_of_diffusers_and_of_peft_mean_the_same() {
    let folder = Folder::new(&sd15());
    let peft =
        |part: &str, path: &str, up: bool| format!("{part}.{path}.{}.weight", if up { "lora_B" } else { "lora_A" });
    let diffusers = |part: &str, path: &str, up: bool| {
        let end = if up { "up" } else { "down" };
        match path.rsplit_once('.').filter(|(attention, _)| part == "unet" && attention.contains(".attn")) {
            Some((attention, "0")) => {
                format!("{part}.{}.processor.to_out_lora.{end}.weight", attention.trim_end_matches(".to_out"))
            }
            Some((attention, projection)) => format!("{part}.{attention}.processor.{projection}_lora.{end}.weight"),
            None => format!("{part}.{path}.lora.{end}.weight"),
        }
    };
    let file = renamed(&folder, peft);
    DDIM.expect_of(&open(&folder, &lora_at(file, 0.8)), "lora");
    let file = renamed(&folder, diffusers);
    DDIM.expect_of(&open(&folder, &lora_at(file, 0.8)), "lora");
    // Beside a file of PEFT's own: alpha over rank is 2, so half the weight is the same.
    let file = renamed(&folder, |part, path, up| peft(part, path, up).replacen("unet.", "base_model.model.", 1));
    folder.write("adapter_config.json", json!({ "r": 2, "lora_alpha": 4 }).to_string());
    DDIM.expect_of(&open(&folder, &lora_at(file, 0.4)), "lora");
}

#[test]
fn an_adaptation_that_does_not_fit_is_refused_at_the_start() {
    let folder = Folder::new(&sd15());
    let path = folder.at("odd.safetensors");
    let write = |name: &str, shape: (usize, usize)| {
        let ends = [("lora_down", shape.0), ("lora_up", shape.1)];
        let tensor = |(end, columns): (&str, usize)| {
            let dims = if end == "lora_up" { (columns, 2) } else { (2, columns) };
            (format!("{name}.{end}.weight"), Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap())
        };
        save(&ends.into_iter().map(tensor).collect::<HashMap<_, _>>(), &path).unwrap();
    };
    write("lora_unet_down_blocks_9_attentions_0_proj_in", (8, 8));
    let error = refusal(&folder, &lora_at(path.clone(), 1.0));
    assert!(error.contains("none of its 1 layers is in this model"), "{error}");
    write("lora_unet_down_blocks_0_attentions_0_proj_in", (320, 320));
    let error = refusal(&folder, &lora_at(path.clone(), 1.0));
    assert!(error.contains("has 64 elements, the file changes 102400"), "{error}");
    let error = refusal(&folder, &lora_at(path, 100.0));
    assert!(error.contains("=100 is not allowed; allowed: -4 to 4"), "{error}");
    let error = refusal(&folder, &lora_at(folder.at("nowhere.safetensors"), 1.0));
    assert!(error.contains("nowhere.safetensors"), "{error}");
}

#[test]
fn the_tiny_decoder_paints_what_diffusers_paints_with_it() {
    let folder = Folder::new(&sd15());
    let tiny = |path: PathBuf| Extras { tiny_decoder: Some(path), ..Extras::default() };
    let own = project("tests/data/paint-cases/tiny-decoder");
    let model = open(&folder, &tiny(own.clone()));
    DDIM.expect_of(&model, "tiny-decoder");
    assert!(model.hashes().iter().any(|(name, _)| name == "tiny-decoder/diffusion_pytorch_model.safetensors"));
    // The original file counts from one more and has no prefix.
    let tensors = load(own.join("diffusion_pytorch_model.safetensors"), &Device::Cpu).unwrap();
    let original = |name: &str| {
        let (index, rest) = name.strip_prefix("decoder.layers.").unwrap().split_once('.').unwrap();
        format!("{}.{rest}", index.parse::<usize>().unwrap() + 1)
    };
    let tensors: HashMap<_, _> = tensors.into_iter().map(|(name, tensor)| (original(&name), tensor)).collect();
    let file = folder.at("taesd_decoder.safetensors");
    save(&tensors, &file).unwrap();
    DDIM.expect_of(&open(&folder, &tiny(file)), "tiny-decoder");
    let error = refusal(&folder, &tiny(kohya()));
    assert!(error.contains("is not a tiny decoder"), "{error}");
}

#[test]
fn a_model_may_have_the_tiny_decoder_for_its_own() {
    let folder = Folder::new(&sd15());
    folder.take("tests/data/paint-cases/tiny-decoder", "vae");
    folder.edit("model_index.json", &json!({ "vae": ["diffusers", "AutoencoderTiny"] }));
    let model = load_model(folder.path());
    DDIM.expect_of(&model, "tiny-decoder");
    assert_eq!(model.scale(), 2);
    let labels: Vec<_> = model.hashes().iter().map(|(label, _)| label.as_str()).collect();
    assert!(labels.contains(&"vae/diffusion_pytorch_model.safetensors") && labels.len() == 3, "{labels:?}");
    let pixels = Tensor::zeros((1, 3, 16, 16), DType::F32, &Device::Cpu).unwrap();
    let error = format!("{:#}", model.encode_pictures(&pixels).unwrap_err());
    assert!(error.contains("is missing"), "{error}");
}

#[test]
fn a_model_that_is_told_the_guidance_is_told_it() {
    let folder = Folder::new(&lcm());
    folder.edit("unet/config.json", &json!({ "time_cond_proj_dim": 8 }));
    folder.change("unet/diffusion_pytorch_model.safetensors", |mut tensors| {
        let told: Vec<f32> = (0..64).map(|index| (index % 5 - 2) as f32 * 0.3).collect();
        let told = Tensor::from_vec(told, (8, 8), &Device::Cpu).unwrap().to_dtype(DType::F16).unwrap();
        tensors.insert("time_embedding.cond_proj.weight".into(), told);
        tensors
    });
    let model = load_model(folder.path());
    let asked = Asked { steps: None, guidance: None, ..USUAL };
    asked.expect_of(&model, "told-guidance");
    let (strong, weak) = (asked.paint(&model), Asked { guidance: Some(1.5), ..asked }.paint(&model));
    assert_ne!(strong.pictures, weak.pictures);
    let requests = [asked.of(&model), Asked { guidance: Some(1.5), ..asked }.of(&model)];
    let mut batcher = Batcher::new(model, Sharing { pictures: 2, requests: true });
    let mut painted = requests.map(|request| {
        let (reply, painted) = oneshot::channel();
        batcher.add(Order { request, watch: Box::new(()), reply });
        painted
    });
    while batcher.turn() {}
    let together = painted.each_mut().map(|painted| painted.try_recv().unwrap().unwrap());
    assert_eq!(together.each_ref().map(|painted| painted.batches), [0.5, 0.5]);
    assert_eq!(together.map(|painted| painted.pictures), [strong.pictures, weak.pictures]);
}

#[test]
fn weights_in_a_prompt_count_where_the_job_asks_for_that_syntax() {
    let folder = Folder::new(&sd15());
    let model = load_model(folder.path());
    let asked = Asked { text: "a (red:1.4) cat, [the] moon", syntax: Syntax::A1111, ..DDIM };
    asked.expect_of(&model, "weighted");
    let plain = Asked { syntax: Syntax::Plain, ..asked }.paint(&model);
    assert_ne!(plain.pictures, asked.paint(&model).pictures, "brackets are spelt out");
    let usual = Asked { syntax: Syntax::A1111, ..DDIM };
    usual.expect_of(&model, "sd15-ddim");
}

/// Of sixteen positions, fourteen are for words.
#[test]
fn breaks_and_commas_begin_chunks_as_in_the_web_ui() {
    let folder = Folder::new(&sd15());
    let model = load_model(folder.path());
    let tokens = |text: &str| model.encode_as(&[text], Syntax::A1111).unwrap().states.dim(1).unwrap();
    assert_eq!(["a cat", "a cat BREAK the moon", "BREAK the moon"].map(tokens), [16, 32, 32]);
    // Nine letters, a comma and nine letters: the second word does not fit and is not torn.
    let halves = |text: &str| {
        let states = model.encode_as(&[text], Syntax::A1111).unwrap().states;
        states.narrow(1, 0, 16).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(halves("zzzzzzzzz,zzzzzzzzz"), halves("zzzzzzzzz, BREAK zzzzzzzzz"));
    let endless = model.encode_as(&["moon ".repeat(4000).as_str()], Syntax::A1111).unwrap();
    assert_eq!((endless.states.dim(1).unwrap(), endless.truncated), (512, true));
}
