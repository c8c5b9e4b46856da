//! The configs that well-known models are published with, as far as they are facts of the architecture:
//! none may be refused.

use serde_json::{Value, json};
use shanshui_paint::diffusers::scheduler::SchedulerConfig;
use shanshui_paint::diffusers::text_config::TextConfig;
use shanshui_paint::diffusers::unet_config::{Level, UnetConfig};
use shanshui_paint::diffusers::vae_config::VaeConfig;
use shanshui_paint::diffusers::wanted::Wanted;
use shanshui_paint::sampler::SamplerKind;

fn with(base: &Value, more: &Value) -> Value {
    let mut config = base.clone();
    for (field, value) in more.as_object().unwrap() {
        config[field] = value.clone();
    }
    config
}

/// Stable Diffusion 1.5's UNet.
fn first() -> Value {
    json!({
        "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.6.0", "act_fn": "silu", "attention_head_dim": 8,
        "block_out_channels": [320, 640, 1280, 1280], "center_input_sample": false, "cross_attention_dim": 768,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "downsample_padding": 1, "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2,
        "mid_block_scale_factor": 1, "norm_eps": 1e-5, "norm_num_groups": 32, "out_channels": 4, "sample_size": 64,
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    })
}

fn heads(config: Value) -> Vec<usize> {
    UnetConfig::parse(config).unwrap().levels().unwrap().iter().map(|level| level.heads).collect()
}

#[test]
fn the_unets_of_published_models_are_accepted() {
    assert_eq!(heads(first()), [8; 4]);
    // Version 1.4 has a sample_size of 32 and means 64.
    let old = UnetConfig::parse(with(&first(), &json!({ "sample_size": 32, "_diffusers_version": "0.2.2" }))).unwrap();
    assert!(matches!(old.sample_size, Some(shanshui_paint::diffusers::unet_config::Size::Square(64))));
    let second = with(
        &first(),
        &json!({
            "_diffusers_version": "0.10.0.dev0", "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024,
            "dual_cross_attention": false, "num_class_embeds": null, "only_cross_attention": false, "sample_size": 96,
            "upcast_attention": true, "use_linear_projection": true,
        }),
    );
    assert_eq!(heads(second.clone()), [5, 10, 20, 20]);
    let turbo = with(
        &second,
        &json!({
            "_diffusers_version": "0.24.0.dev0", "sample_size": 64, "upcast_attention": null, "addition_embed_type": null,
            "addition_embed_type_num_heads": 64, "addition_time_embed_dim": null, "attention_type": "default",
            "class_embed_type": null, "class_embeddings_concat": false, "conv_in_kernel": 3, "conv_out_kernel": 3,
            "cross_attention_norm": null, "dropout": 0.0, "encoder_hid_dim": null, "encoder_hid_dim_type": null,
            "mid_block_only_cross_attention": null, "mid_block_type": "UNetMidBlock2DCrossAttn",
            "num_attention_heads": null, "projection_class_embeddings_input_dim": null, "resnet_out_scale_factor": 1.0,
            "resnet_skip_time_act": false, "resnet_time_scale_shift": "default", "time_cond_proj_dim": null,
            "time_embedding_act_fn": null, "time_embedding_dim": null, "time_embedding_type": "positional",
            "timestep_post_act": null, "transformer_layers_per_block": 1, "reverse_transformer_layers_per_block": null,
        }),
    );
    assert_eq!(heads(turbo), [5, 10, 20, 20]);
    let consistent = with(&first(), &json!({ "time_cond_proj_dim": 256, "_diffusers_version": "0.21.4" }));
    assert_eq!(UnetConfig::parse(consistent).unwrap().time_cond_proj_dim, Some(256));
    let tiny = with(
        &first(),
        &json!({
            "block_out_channels": [320, 640, 1280], "layers_per_block": 1, "mid_block_type": null,
            "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        }),
    );
    let tiny = UnetConfig::parse(tiny).unwrap();
    assert!(tiny.mid_block_type.is_none());
    assert!(
        tiny.levels().unwrap().iter().all(|level: &Level| level.attends_down && level.attends_up && level.layers == 1)
    );
}

#[test]
fn the_other_parts_of_published_models_are_accepted() {
    let vae = json!({
        "_class_name": "AutoencoderKL", "_diffusers_version": "0.6.0", "act_fn": "silu", "in_channels": 3,
        "block_out_channels": [128, 256, 512, 512], "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32,
        "down_block_types": vec!["DownEncoderBlock2D"; 4], "up_block_types": vec!["UpDecoderBlock2D"; 4],
        "out_channels": 3, "sample_size": 512, "force_upcast": true, "latents_mean": null, "latents_std": null,
    });
    assert_eq!(VaeConfig::parse(vae).unwrap().scale(), 8);
    let text = json!({
        "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0,
        "eos_token_id": 2, "hidden_act": "quick_gelu", "hidden_size": 768, "initializer_factor": 1.0,
        "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-5, "max_position_embeddings": 77,
        "model_type": "clip_text_model", "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1,
        "projection_dim": 768, "torch_dtype": "float32", "transformers_version": "4.22.0.dev0", "vocab_size": 49408,
    });
    assert_eq!(TextConfig::parse(text.clone()).unwrap().num_hidden_layers, 12);
    let second = json!({
        "hidden_act": "gelu", "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16,
        "num_hidden_layers": 23, "projection_dim": 512,
    });
    assert_eq!(TextConfig::parse(with(&text, &second)).unwrap().num_hidden_layers, 23);
    let second = json!({
        "_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", "beta_end": 0.012, "beta_start": 0.00085,
        "beta_schedule": "scaled_linear", "clip_sample": false, "num_train_timesteps": 1000, "skip_prk_steps": true,
        "prediction_type": "v_prediction", "set_alpha_to_one": false, "steps_offset": 1, "trained_betas": null,
    });
    let scheduler = SchedulerConfig::parse(second.clone()).unwrap();
    assert_eq!(Wanted::of(&second, &scheduler).unwrap().kind, SamplerKind::Ddim);
}
