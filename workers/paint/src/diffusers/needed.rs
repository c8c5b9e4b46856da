//! Which files of a repository are needed to paint with it.

use anyhow::{Result, bail, ensure};
use shanshui_pipeline::serve::Offer;

const INDEX: &str = "model_index.json";

/// Folders of the parts with weights, and how these files begin; old conversions call a text encoder as
/// its pickle was called.
const PARTS: [(&str, &[&str]); 3] = [
    ("unet", &["diffusion_pytorch_model"]),
    ("vae", &["diffusion_pytorch_model"]),
    ("text_encoder", &["model", "pytorch_model"]),
];

/// Folders that hold nothing but small files.
const SETTINGS: [&str; 2] = ["tokenizer", "scheduler"];

/// Weights in half precision: half the bytes.
const HALF: &str = ".fp16";

/// The files of a repository in the diffusers layout that a Stable Diffusion 1.x or 2.x needs: configs,
/// tokenizer, and one set of weights as safetensors, in half precision where every part has it.
///
/// # Errors
/// When it is another kind of model, or has only pickles.
pub fn needed(offer: &Offer<'_>) -> Result<Vec<String>> {
    ensure!(offer.has(INDEX), "it has no {INDEX}");
    check_kind(offer)?;
    let half = |(folder, stems): &(&str, &[&str])| variant(offer, folder, stems, HALF).is_some();
    let variants = match !offer.full && PARTS.iter().all(half) {
        true => [HALF, ""],
        false => ["", HALF],
    };
    let mut wanted = vec![INDEX.to_owned()];
    wanted.extend(offer.has("shanshui.json").then(|| "shanshui.json".to_owned()));
    for (folder, stems) in PARTS {
        wanted.extend(offer.files.iter().filter(|name| is_config(name, folder)).cloned());
        let found = variants.iter().find_map(|variant| self::variant(offer, folder, stems, variant));
        match found.or_else(|| other_variant(offer, folder, stems)) {
            Some(files) => wanted.extend(files),
            None => bail!("{}", nothing(offer, folder)),
        }
    }
    for folder in SETTINGS {
        wanted.extend(offer.files.iter().filter(|name| is_config(name, folder)).cloned());
    }
    Ok(wanted)
}

/// Refuses before gigabytes are fetched what loading would refuse behind them.
fn check_kind(offer: &Offer<'_>) -> Result<()> {
    let has = |folder: &str| offer.files.iter().any(|name| name.starts_with(folder));
    let allowed = "allowed: Stable Diffusion 1.x and 2.x";
    ensure!(!has("text_encoder_2/"), "it is Stable Diffusion XL or newer, which is not supported; {allowed}");
    ensure!(!has("transformer/"), "its network is a transformer, which is not supported; {allowed}");
    let class = offer.config["diffusers"]["_class_name"].as_str().unwrap_or("StableDiffusionPipeline");
    ensure!(class == "StableDiffusionPipeline", "_class_name: {class:?} is not supported; {allowed}");
    Ok(())
}

/// A config or a vocabulary directly in `folder`.
fn is_config(name: &str, folder: &str) -> bool {
    let own = name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).filter(|own| !own.contains('/'));
    let small = |own: &str| own.ends_with(".json") || own.ends_with(".txt");
    own.is_some_and(|own| small(own) && !own.contains(".index"))
}

/// The weights of one part in one variant: a file, or shards and their index.
fn variant(offer: &Offer<'_>, folder: &str, stems: &[&str], variant: &str) -> Option<Vec<String>> {
    stems.iter().find_map(|stem| {
        let single = format!("{folder}/{stem}{variant}.safetensors");
        if offer.has(&single) {
            return Some(vec![single]);
        }
        let indexes = [
            format!("{folder}/{stem}.safetensors.index{variant}.json"),
            format!("{folder}/{stem}{variant}.safetensors.index.json"),
        ];
        let index = indexes.into_iter().find(|index| offer.has(index))?;
        let start = format!("{folder}/{stem}");
        let shard = |name: &&String| {
            let middle = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(".safetensors"));
            middle.is_some_and(|middle| middle.contains("-of-") && middle.contains(HALF) == (variant == HALF))
        };
        Some(std::iter::once(index).chain(offer.files.iter().filter(shard).cloned()).collect())
    })
}

/// The first whole file of another variant, such as `.non_ema`.
fn other_variant(offer: &Offer<'_>, folder: &str, stems: &[&str]) -> Option<Vec<String>> {
    let starts: Vec<String> = stems.iter().map(|stem| format!("{folder}/{stem}.")).collect();
    let found = offer.files.iter().filter(|name| name.ends_with(".safetensors") && !name.contains("-of-"));
    found.filter(|name| starts.iter().any(|start| name.starts_with(start))).min().map(|name| vec![name.clone()])
}

fn nothing(offer: &Offer<'_>, folder: &str) -> String {
    let own = |name: &&String| name.starts_with(folder) && (name.ends_with(".bin") || name.ends_with(".ckpt"));
    match offer.files.iter().find(own) {
        Some(pickle) => {
            format!("{folder}: there are no safetensors; {pickle} is a pickle, which can run code when it is read")
        }
        None => format!("{folder}: there are no weights"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The files of Stable Diffusion 1.5's repository, shortened.
    const REPOSITORY: [&str; 21] = [
        "README.md",
        "feature_extractor/preprocessor_config.json",
        "model_index.json",
        "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/model.onnx",
        "v1-5-pruned.ckpt",
        "vae/config.json",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ];

    fn chosen(names: &[&str], full: bool, config: &Value) -> Result<Vec<String>> {
        let files: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        needed(&Offer { files: &files, config, full })
    }

    fn weights(names: &[&str], full: bool) -> Vec<String> {
        let chosen = chosen(names, full, &Value::Null).unwrap();
        chosen.into_iter().filter(|name| name.ends_with(".safetensors")).collect()
    }

    #[test]
    fn half_precision_is_taken_where_every_part_has_it_and_full_precision_on_demand() {
        let halves = weights(&REPOSITORY, false);
        assert_eq!(halves.len(), 3);
        assert!(halves.iter().all(|name| name.ends_with(".fp16.safetensors")), "{halves:?}");
        let full = weights(&REPOSITORY, true);
        let plain = ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"];
        assert_eq!(full, plain.map(|stem| format!("{stem}.safetensors")));
        let mixed: Vec<&str> = REPOSITORY.into_iter().filter(|name| !name.starts_with("vae/diff")).collect();
        let mixed = [&mixed[..], &["vae/diffusion_pytorch_model.safetensors"]].concat();
        assert_eq!(weights(&mixed, false), full);
    }

    #[test]
    fn only_configs_of_the_parts_are_taken_along() {
        let all = chosen(&REPOSITORY, false, &Value::Null).unwrap();
        let small: Vec<&String> = all.iter().filter(|name| !name.ends_with(".safetensors")).collect();
        let expected = [
            "model_index.json",
            "unet/config.json",
            "vae/config.json",
            "text_encoder/config.json",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "scheduler/scheduler_config.json",
        ];
        assert_eq!(small, expected);
    }

    #[test]
    fn shards_come_with_their_index_and_a_lone_variant_is_better_than_nothing() {
        let sharded = [
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
        ];
        let rest: Vec<&str> = REPOSITORY.into_iter().filter(|name| !name.starts_with("unet/diff")).collect();
        let all = chosen(&[&rest[..], &sharded[..]].concat(), true, &Value::Null).unwrap();
        assert_eq!(all.iter().filter(|name| name.starts_with("unet/")).count(), 4, "{all:?}");
        let lone = [&rest[..], &["unet/diffusion_pytorch_model.non_ema.safetensors"]].concat();
        assert!(weights(&lone, false).contains(&"unet/diffusion_pytorch_model.non_ema.safetensors".to_owned()));
        let pickles = [&rest[..], &["unet/diffusion_pytorch_model.bin"]].concat();
        let error = chosen(&pickles, false, &Value::Null).unwrap_err().to_string();
        assert!(error.contains("unet/diffusion_pytorch_model.bin is a pickle"), "{error}");
    }

    #[test]
    fn other_kinds_of_models_are_refused_by_name() {
        let xl = [&REPOSITORY[..], &["text_encoder_2/config.json"]].concat();
        assert!(chosen(&xl, false, &Value::Null).unwrap_err().to_string().contains("Stable Diffusion XL"));
        let class = json!({ "diffusers": { "_class_name": "StableVideoDiffusionPipeline" } });
        let error = chosen(&REPOSITORY, false, &class).unwrap_err().to_string();
        assert!(error.contains("\"StableVideoDiffusionPipeline\" is not supported"), "{error}");
    }
}
