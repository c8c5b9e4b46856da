//! Model folders that are damaged or not for us: refused by name, never with a panic.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

use std::{fs, path::Path};

use candle_core::{DType, Device};
use shanshui_paint::model::Model;
use tempfile::TempDir;

/// File, what it says, what it says instead, and words of the refusal.
const WRONG: &[(&str, &str, &str, &[&str])] = &[
    (
        "model_index.json",
        "StableDiffusionPipeline",
        "StableDiffusionXLPipeline",
        &["Stable Diffusion XL", "not supported"],
    ),
    ("model_index.json", "StableDiffusionPipeline", "FluxPipeline", &["_class_name", "FluxPipeline"]),
    (
        "unet/config.json",
        r#""addition_embed_type": null"#,
        r#""addition_embed_type": "text_time""#,
        &["unet/config.json", "addition_embed_type", "text_time"],
    ),
    (
        "unet/config.json",
        r#""only_cross_attention": false"#,
        r#""only_cross_attention": true"#,
        &["only_cross_attention", "true"],
    ),
    (
        "unet/config.json",
        r#""resnet_time_scale_shift": "default""#,
        r#""resnet_time_scale_shift": "scale_shift""#,
        &["resnet_time_scale_shift", "scale_shift", "default"],
    ),
    ("unet/config.json", r#""act_fn": "silu""#, r#""act_fn": "mish""#, &["act_fn", "mish", "silu"]),
    (
        "unet/config.json",
        r#""DownBlock2D""#,
        r#""AttnDownBlock2D""#,
        &["down_block_types", "AttnDownBlock2D", "CrossAttnDownBlock2D"],
    ),
    ("unet/config.json", r#""in_channels": 4"#, r#""in_channels": 9"#, &["in_channels: 9", "inpainting"]),
    ("unet/config.json", r#""norm_num_groups": 4"#, r#""norm_num_groups": 0"#, &["norm_num_groups: 0"]),
    ("unet/config.json", r#""sample_size": 8"#, r#""sample_size": 8, "new_thing": 3"#, &["new_thing", "3"]),
    (
        "vae/config.json",
        r#""layers_per_block": 1"#,
        r#""layers_per_block": 100000000"#,
        &["vae/config.json", "layers_per_block: 100000000"],
    ),
    ("vae/config.json", "UpDecoderBlock2D", "AttnUpDecoderBlock2D", &["up_block_types", "AttnUpDecoderBlock2D"]),
    (
        "text_encoder/config.json",
        "quick_gelu",
        "relu",
        &["text_encoder/config.json", "hidden_act", "relu", "quick_gelu"],
    ),
    ("text_encoder/config.json", r#""model_type": "clip_text_model""#, r#""model_type": "t5""#, &["model_type", "t5"]),
    (
        "scheduler/scheduler_config.json",
        "scaled_linear",
        "sigmoid",
        &["scheduler_config.json", "beta_schedule", "sigmoid"],
    ),
    ("scheduler/scheduler_config.json", "{", "[", &["scheduler_config.json"]),
];

#[test]
fn what_the_configs_ask_for_and_we_do_not_have_is_refused_by_field_and_value() {
    for &(file, from, to, words) in WRONG {
        let folder = copy_of("sd1");
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        assert_refused(folder.path(), words);
    }
}

#[test]
fn s13_weights_that_do_not_fit_the_config_are_refused_by_tensor_and_shape() {
    let folder = copy_of("sd1");
    let path = folder.path().join("unet/config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen(r#""layers_per_block": 1"#, r#""layers_per_block": 2"#, 1)).unwrap();
    assert_refused(folder.path(), &["unet", "down_blocks.0.resnets.1.norm1.weight is missing"]);
    let wider = text.replacen("\n    8,\n    16\n", "\n    16,\n    16\n", 1);
    assert_ne!(wider, text);
    fs::write(&path, wider).unwrap();
    assert_refused(folder.path(), &["conv_in.weight", "shape [8, 4, 3, 3]", "[16, 4, 3, 3]"]);
}

#[test]
fn s13_damaged_weight_files_are_refused_by_name() {
    let name = "unet/diffusion_pytorch_model.safetensors";
    let whole = fs::read(copy_of("sd1").path().join(name)).unwrap();
    let huge = [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat();
    let garbled = [&whole[..8], &vec![b'{'; whole.len() - 8]].concat();
    for (damaged, words) in [
        (whole[..whole.len() - 100].to_vec(), [name, "not a whole safetensors file"]),
        (whole[..1000].to_vec(), [name, "not a whole safetensors file"]),
        (whole[..5].to_vec(), [name, "shorter than its header"]),
        (Vec::new(), [name, "empty"]),
        (huge, [name, "header of 18446744073709551615 bytes"]),
        (garbled, [name, "not a whole safetensors file"]),
    ] {
        let folder = copy_of("sd1");
        fs::write(folder.path().join(name), damaged).unwrap();
        assert_refused(folder.path(), &words);
    }
}

#[test]
fn s14_absent_parts_and_pickles_are_refused_by_name() {
    let folder = copy_of("sd1");
    let safe = folder.path().join("vae/diffusion_pytorch_model.safetensors");
    fs::rename(&safe, safe.with_extension("bin")).unwrap();
    assert_refused(folder.path(), &["vae", "diffusion_pytorch_model.bin is a pickle"]);
    fs::remove_file(safe.with_extension("bin")).unwrap();
    assert_refused(folder.path(), &["vae", "diffusion_pytorch_model.safetensors"]);

    let folder = copy_of("sd1");
    fs::remove_file(folder.path().join("tokenizer/vocab.json")).unwrap();
    assert_refused(folder.path(), &["vocab.json"]);
    assert_refused(&folder.path().join("nowhere"), &["nowhere/model_index.json"]);

    let folder = copy_of("odd");
    let index = folder.path().join("unet/diffusion_pytorch_model.safetensors.index.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replacen("diffusion_pytorch_model-00001", "../vae/diffusion_pytorch_model-00001", 1))
        .unwrap();
    assert_refused(folder.path(), &["unet", "weight_map", "../vae"]);
}

#[test]
fn a_vocabulary_larger_than_the_text_encoder_is_refused() {
    let folder = copy_of("sd1");
    let path = folder.path().join("tokenizer/vocab.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen('{', r#"{"zebra</w>": 70000, "#, 1)).unwrap();
    assert_refused(folder.path(), &["tokenizer: ids up to 70001", "vocab_size: 524"]);
}

#[test]
fn recommendations_of_the_folder_win_and_wrong_ones_are_refused_by_field() {
    let folder = copy_of("sd1");
    let path = folder.path().join("shanshui.json");
    fs::write(&path, r#"{"width": 32, "steps": 12, "languages": ["en", "zh"]}"#).unwrap();
    let model = Model::load(folder.path(), &Device::Cpu, DType::F32).unwrap();
    let recommended = model.recommended();
    assert_eq!((recommended.width, recommended.height, recommended.steps), (32, 16, 12));
    assert_eq!((recommended.sampler.as_str(), recommended.guidance), ("ddim", 7.5));
    assert_eq!(recommended.languages, ["en", "zh"]);
    for (json, words) in [
        (r#"{"width": 33}"#, "width: 33, allowed are multiples of 2"),
        (r#"{"steps": "many"}"#, "steps: invalid type"),
        (r#"{"guidance": -1}"#, "guidance: -1"),
        (r#"{"sampler": "dance"}"#, "dance"),
    ] {
        fs::write(&path, json).unwrap();
        assert_refused(folder.path(), &["shanshui.json", words]);
    }
}

fn assert_refused(folder: &Path, words: &[&str]) {
    let error = match Model::load(folder, &Device::Cpu, DType::F32) {
        Ok(_) => panic!("loaded, should have said {words:?}"),
        Err(error) => format!("{error:#}"),
    };
    for word in words {
        assert!(error.contains(word), "{error:?} does not say {word:?}");
    }
}

fn copy_of(name: &str) -> TempDir {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/diffusers").join(name);
    let target = TempDir::new().unwrap();
    copy(&source, target.path());
    target
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
