//! What is painted as diffusers paints it.

use candle_core::DType;
use serde_json::json;

use crate::models::{Folder, dpm, lcm, sd_turbo, sd15, sd15_by, textual_inversion};
use crate::{Asked, USUAL, load};

#[test]
fn a_file_without_spacing_takes_that_of_the_class_that_walks() {
    let folder = Folder::new(&sd15());
    for (sampler, picture) in [
        ("ddim", "sd15-ddim"),
        ("euler-a", "sd15-euler-a"),
        ("dpm++-2m", "sd15-dpmpp-2m"),
        ("dpm++-2m-karras", "sd15-dpmpp-2m-karras"),
    ] {
        Asked { sampler: Some(sampler), ..USUAL }.expect(folder.path(), picture);
    }
    Asked { sampler: Some("ddim"), size: (40, 16), ..USUAL }.expect(folder.path(), "sd15-wide");
}

#[test]
fn a_job_that_names_no_sampler_gets_that_of_the_folder() {
    USUAL.expect(Folder::new(&sd15()).path(), "sd15-pndm");
    USUAL.expect(Folder::new(&dpm(&json!({ "use_karras_sigmas": true }))).path(), "dpm-karras-file");
    let turbo = Folder::new(&sd_turbo());
    let distilled = Asked { steps: None, guidance: None, ..USUAL };
    distilled.expect(turbo.path(), "sd-turbo-4");
    Asked { sampler: Some("euler"), steps: Some(1), guidance: Some(0.0), ..USUAL }.expect(turbo.path(), "sd-turbo-1");
    let lcm = Folder::new(&lcm());
    distilled.expect(lcm.path(), "lcm-4");
    Asked { guidance: Some(1.0), ..distilled }.expect(lcm.path(), "lcm-4");
    for (folder, sampler) in [(turbo, "euler"), (lcm, "lcm")] {
        let best = load(folder.path()).recommended().clone();
        assert_eq!((best.sampler.as_str(), best.steps, best.guidance), (sampler, 4, 0.0));
    }
}

#[test]
fn what_a_scheduler_file_asks_beyond_the_curve_is_honoured() {
    let by = |scheduler, sampler, picture| {
        Asked { sampler, ..USUAL }.expect(Folder::new(&scheduler).path(), picture);
    };
    by(dpm(&json!({ "final_sigmas_type": "sigma_min" })), Some("dpm++-2m"), "dpm-sigma-min-file");
    let thresholding = json!({
        "thresholding": true, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.5, "timestep_spacing": "leading",
    });
    by(sd15_by("DDIMScheduler", &thresholding), Some("ddim"), "ddim-thresholding");
    let zero_snr = json!({
        "prediction_type": "v_prediction", "rescale_betas_zero_snr": true, "timestep_spacing": "trailing",
    });
    by(sd15_by("DDIMScheduler", &zero_snr), Some("ddim"), "zero-snr-v");
    by(sd15_by("DDIMScheduler", &zero_snr), Some("euler"), "zero-snr-v-euler");
    // Python's word for the default, which is no JSON.
    let folder = Folder::new(&dpm(&json!({ "use_karras_sigmas": true, "lambda_min_clipped": "INFINITY" })));
    let name = "scheduler/scheduler_config.json";
    let text = std::fs::read_to_string(folder.at(name)).unwrap().replace("\"INFINITY\"", "-Infinity");
    folder.write(name, text);
    USUAL.expect(folder.path(), "dpm-karras-file");
}

#[test]
fn old_scheduler_files_are_repaired_as_diffusers_repairs_them() {
    let ddim = Asked { sampler: Some("ddim"), ..USUAL };
    let folder = Folder::new(&sd15_by("DDIMScheduler", &json!({ "steps_offset": null })));
    ddim.expect(folder.path(), "no-steps-offset");
    let folder = Folder::new(&sd15_by("DDIMScheduler", &json!({ "steps_offset": 0 })));
    ddim.expect(folder.path(), "no-steps-offset");
    ddim.expect(Folder::new(&sd15_by("DDIMScheduler", &json!({ "clip_sample": true }))).path(), "clip-sample-true");
    let folder = Folder::new(&sd15());
    for (version, side) in [("0.6.0", 128), ("0.8.1.dev0", 128), ("0.9.0", 64), ("0.42.1", 64)] {
        folder.edit("unet/config.json", &json!({ "_diffusers_version": version, "sample_size": 32 }));
        assert_eq!(load(folder.path()).recommended().width, side, "{version}");
    }
}

#[test]
fn null_counts_as_absent_in_every_config() {
    let folder = Folder::new(&sd15_by(
        "PNDMScheduler",
        &json!({
            "prediction_type": null, "timestep_spacing": null, "rescale_betas_zero_snr": null, "use_karras_sigmas": null,
            "thresholding": null, "solver_order": null, "algorithm_type": null, "use_flow_sigmas": null,
        }),
    ));
    folder.edit(
        "unet/config.json",
        &json!({
            "upcast_attention": null, "act_fn": null, "num_attention_heads": null, "norm_eps": null, "freq_shift": null,
            "transformer_layers_per_block": null, "only_cross_attention": null, "dropout": null,
        }),
    );
    folder.edit(
        "vae/config.json",
        &json!({
            "act_fn": null, "shift_factor": null, "use_quant_conv": null, "mid_block_add_attention": null,
        }),
    );
    folder.edit("text_encoder/config.json", &json!({ "layer_norm_eps": null, "model_type": null, "hidden_act": null }));
    folder.edit("tokenizer/tokenizer_config.json", &json!({ "added_tokens_decoder": null, "unk_token": null }));
    folder.write("shanshui.json", r#"{"steps": null, "sampler": null, "languages": null}"#);
    Asked { sampler: Some("ddim"), ..USUAL }.expect(folder.path(), "sd15-ddim");
}

#[test]
fn what_another_program_left_in_the_tokenizer_is_no_part_of_the_model() {
    let folder = Folder::new(&sd15());
    folder.take("tests/data/paint-cases/tokenizer-used", "tokenizer");
    Asked { sampler: Some("ddim"), ..USUAL }.expect(folder.path(), "sd15-ddim");
    let long = "the moon ".repeat(20);
    let painted = Asked { text: &long, sampler: Some("ddim"), ..USUAL }.paint(&load(folder.path()));
    let fresh = Folder::new(&sd15());
    let other = Asked { text: &long, sampler: Some("ddim"), ..USUAL }.paint(&load(fresh.path()));
    assert_eq!(painted, other, "a long text is read to its end");
}

#[test]
fn a_concept_taught_by_textual_inversion_is_one_token() {
    let folder = Folder::new(&sd15());
    textual_inversion(&folder);
    let asked = Asked { text: "a red <cat-toy>, the moon", sampler: Some("ddim"), ..USUAL };
    asked.expect(folder.path(), "textual-inversion");
    // The other place where such tokens are named.
    let tokens: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.at("tokenizer/added_tokens.json")).unwrap()).unwrap();
    let id = tokens["<cat-toy>"].as_u64().unwrap().to_string();
    std::fs::remove_file(folder.at("tokenizer/added_tokens.json")).unwrap();
    let decoder = json!({ id: { "content": "<cat-toy>", "lstrip": false, "normalized": true, "special": false } });
    folder.edit("tokenizer/tokenizer_config.json", &json!({ "added_tokens_decoder": decoder }));
    asked.expect(folder.path(), "textual-inversion");
}

#[test]
fn files_beside_the_weights_other_types_and_other_names_do_not_matter() {
    let ddim = Asked { sampler: Some("ddim"), ..USUAL };
    let folder = Folder::new(&sd15());
    folder.write("model_index.json", include_str!("sd15-index.json"));
    folder.write("safety_checker/pytorch_model.bin", b"PK");
    folder.write("unet/diffusion_pytorch_model.bin", b"PK");
    for variant in ["non_ema", "fp16"] {
        let name = "unet/diffusion_pytorch_model";
        std::fs::copy(folder.at(&format!("{name}.safetensors")), folder.at(&format!("{name}.{variant}.safetensors")))
            .unwrap();
    }
    folder.change("text_encoder/model.safetensors", |mut tensors| {
        let positions = candle_core::Tensor::arange(0i64, 16, &candle_core::Device::Cpu).unwrap();
        tensors.insert("text_model.embeddings.position_ids".into(), positions.unsqueeze(0).unwrap());
        tensors
    });
    folder.edit(
        "unet/config.json",
        &json!({
            "decay": 0.9999, "inv_gamma": 1.0, "min_decay": 0.0, "optimization_step": 37000, "power": 0.7,
            "update_after_step": 0, "use_ema_warmup": false,
        }),
    );
    ddim.expect(folder.path(), "sd15-ddim");

    let folder = Folder::new(&sd15());
    for part in ["unet", "vae", "text_encoder"] {
        folder.cast(part, DType::F32);
    }
    ddim.expect(folder.path(), "sd15-ddim");

    let folder = Folder::new(&sd15());
    folder.cast("unet", DType::F8E4M3);
    ddim.expect(folder.path(), "float8");
}

#[test]
fn shards_and_variants_of_any_age_are_found() {
    let ddim = Asked { sampler: Some("ddim"), ..USUAL };
    let stem = "diffusion_pytorch_model";
    for index in [format!("{stem}.safetensors.index.fp16.json"), format!("{stem}.fp16.safetensors.index.json")] {
        let folder = Folder::new(&sd15());
        folder.shard(&index, |number| format!("{stem}.fp16-{number:05}-of-00002.safetensors"));
        ddim.expect(folder.path(), "sd15-ddim");
    }
    let folder = Folder::new(&sd15());
    folder.rename(&format!("unet/{stem}.safetensors"), &format!("unet/{stem}.non_ema.safetensors"));
    ddim.expect(folder.path(), "sd15-ddim");
}

#[test]
fn a_unet_without_a_middle_is_painted_with() {
    let folder = Folder::new(&sd15());
    folder.take("tests/data/paint-cases/no-middle", "unet");
    Asked { sampler: Some("ddim"), ..USUAL }.expect(folder.path(), "no-middle");
}

#[test]
fn a_repository_in_the_hubs_cache_is_painted_with_by_its_folder() {
    let folder = Folder::new(&sd15());
    let cache = tempfile::tempdir().unwrap();
    let root = cache.path().join("models--some-owner--tiny");
    let snapshot = root.join("snapshots/0123abcd");
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir(root.join("refs")).unwrap();
    std::fs::write(root.join("refs/main"), "0123abcd").unwrap();
    for entry in folder.path().read_dir().unwrap() {
        let path = entry.unwrap().path();
        std::os::unix::fs::symlink(&path, snapshot.join(path.file_name().unwrap())).unwrap();
    }
    Asked { sampler: Some("ddim"), ..USUAL }.expect(&root, "sd15-ddim");
    assert_eq!(load(&root).origin().name, "some-owner/tiny");
    assert_eq!(load(&snapshot).origin().name, "some-owner/tiny");
}
