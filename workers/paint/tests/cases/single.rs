//! Whole checkpoints in one file, in the naming of the original code.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::safetensors::{load, save};
use candle_core::{DType, Device, Tensor};
use serde_json::json;
use shanshui_paint::diffusers::text_config::{TextActivation, TextConfig};
use shanshui_paint::model::Model;
use shanshui_paint::single_file::SingleFile;
use shanshui_paint::tokenizer::Tokenizer;

use crate::models::{Folder, project, sd15};
use crate::{Asked, USUAL, load as load_model};

const DDIM: Asked<'_> = Asked { sampler: Some("ddim"), ..USUAL };

/// The tensors of a folder under their original names; query, key and value of OpenCLIP are one there.
fn original(folder: &Folder, names: &str, variant: &str) -> HashMap<String, Tensor> {
    let names = std::fs::read(project(&format!("tests/data/paint-cases/original-names-{names}.json"))).unwrap();
    let names: BTreeMap<String, String> = serde_json::from_slice(&names).unwrap();
    let mut whole: HashMap<String, Tensor> = HashMap::new();
    for (part, stem) in
        [("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"), ("text_encoder", "model")]
    {
        let tensors = load(folder.at(&format!("{part}/{stem}{variant}.safetensors")), &Device::Cpu).unwrap();
        let mut keys: Vec<&String> = tensors.keys().collect();
        keys.sort_by_key(|key| key.replace(".k_proj", ".r_proj").replace(".v_proj", ".s_proj"));
        for key in keys {
            let name = &names[&format!("{part}/{key}")];
            let tensor = match whole.get(name) {
                Some(before) => Tensor::cat(&[before, &tensors[key]], 0).unwrap(),
                None => tensors[key].clone(),
            };
            whole.insert(name.clone(), tensor);
        }
    }
    whole
}

/// A checkpoint in one file, with what its shapes cannot tell in the folder beside it.
fn checkpoint(folder: &Folder, tensors: &HashMap<String, Tensor>, beside: &[&str]) -> PathBuf {
    let file = folder.at("checkpoint.safetensors");
    save(tensors, &file).unwrap();
    for name in beside {
        let source = folder.at(name);
        let names: Vec<_> = if source.is_dir() {
            source
                .read_dir()
                .unwrap()
                .map(|entry| format!("{name}/{}", entry.unwrap().file_name().to_str().unwrap()))
                .collect()
        } else {
            vec![(*name).to_owned()]
        };
        for name in names {
            folder.write(&format!("checkpoint.config/{name}"), std::fs::read(folder.at(&name)).unwrap());
        }
    }
    file
}

/// The number of heads and the scale of latents of these tiny models are their own; their words too.
const OWN: &[&str] = &["tokenizer", "unet/config.json", "vae/config.json", "text_encoder/config.json"];

#[test]
fn a_checkpoint_of_the_first_generation_paints_what_its_folder_paints() {
    let folder = Folder::new(&sd15());
    let mut whole = original(&folder, "sd1", "");
    whole.insert("model_ema.decay".into(), Tensor::new(&[0.5_f32], &Device::Cpu).unwrap());
    let file = checkpoint(&folder, &whole, OWN);
    let model = load_model(&file);
    DDIM.expect_of(&model, "sd15-ddim");
    assert_eq!(model.origin().name, "checkpoint");
    let labels: Vec<_> = model.hashes().iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["checkpoint.safetensors"]);
    assert_eq!(model.recommended().sampler, "euler-a");
    // The linear layers of attention as matrices, as later files have them.
    let squeezed = whole.into_iter().map(|(name, tensor)| match tensor.dims() {
        &[rows, columns, 1, 1] if name.contains("attn") || name.contains("proj_") => {
            (name, tensor.reshape((rows, columns)).unwrap())
        }
        _ => (name, tensor),
    });
    DDIM.expect_of(&load_model(&checkpoint(&folder, &squeezed.collect(), &[])), "sd15-ddim");
}

#[test]
fn a_checkpoint_of_the_second_generation_paints_what_its_folder_paints() {
    let folder = Folder::of("sd2");
    let file =
        checkpoint(&folder, &original(&folder, "sd2", ".fp16"), &[OWN, &["scheduler/scheduler_config.json"]].concat());
    let asked = Asked { size: (24, 24), ..DDIM };
    let (ours, theirs) = (asked.paint(&load_model(&file)), asked.paint(&load_model(folder.path())));
    assert_eq!(ours, theirs);
}

#[test]
fn the_autoencoder_beside_a_checkpoint_is_taken_in_any_naming() {
    let folder = Folder::new(&sd15());
    let whole = original(&folder, "sd1", "");
    let (vae, rest): (HashMap<_, _>, HashMap<_, _>) =
        whole.into_iter().partition(|(name, _)| name.starts_with("first_stage_model."));
    let file = checkpoint(&folder, &rest, OWN);
    let beside = folder.at("checkpoint.vae.safetensors");
    let bare = vae.into_iter().map(|(name, tensor)| (name.replacen("first_stage_model.", "", 1), tensor));
    save(&bare.collect::<HashMap<_, _>>(), &beside).unwrap();
    DDIM.expect_of(&load_model(&file), "sd15-ddim");
    std::fs::copy(folder.at("vae/diffusion_pytorch_model.safetensors"), &beside).unwrap();
    DDIM.expect_of(&load_model(&file), "sd15-ddim");
}

/// A file with tensors of these shapes, whose bytes take no room on the disk.
fn hollow(path: &Path, shapes: &[(String, Vec<usize>)]) {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in shapes {
        let bytes = 2 * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({ "dtype": "F16", "shape": shape, "data_offsets": [end, end + bytes] }));
        end += bytes;
    }
    let header = serde_json::Value::from(header).to_string();
    let start = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    std::fs::write(path, &start).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len((start.len() + end) as u64).unwrap();
}

/// Of the shapes that Stable Diffusion is published with, those that tell the architecture.
fn published(context: usize, text: &[(String, Vec<usize>)]) -> Vec<(String, Vec<usize>)> {
    let mut shapes = text.to_vec();
    let unet = "model.diffusion_model.";
    let mut put = |name: String, shape: &[usize]| shapes.push((name, shape.to_vec()));
    put(format!("{unet}input_blocks.0.0.weight"), &[320, 4, 3, 3]);
    put(format!("{unet}out.2.weight"), &[4, 320, 3, 3]);
    for index in 1..12 {
        let channels = [320, 640, 1280, 1280][index / 3];
        if index % 3 == 0 {
            put(format!("{unet}input_blocks.{index}.0.op.weight"), &[channels / 2, channels / 2, 3, 3]);
            continue;
        }
        put(format!("{unet}input_blocks.{index}.0.in_layers.2.weight"), &[channels, channels, 3, 3]);
        if index < 9 {
            let block = format!("{unet}input_blocks.{index}.1.transformer_blocks.0");
            put(format!("{block}.norm1.weight"), &[channels]);
            put(format!("{block}.attn2.to_k.weight"), &[channels, context]);
        }
    }
    for index in 3..12 {
        put(format!("{unet}output_blocks.{index}.1.norm.weight"), &[1]);
    }
    put(format!("{unet}middle_block.0.in_layers.0.weight"), &[1280]);
    put(format!("{unet}middle_block.1.norm.weight"), &[1280]);
    let vae = "first_stage_model.";
    put(format!("{vae}decoder.conv_in.weight"), &[512, 4, 3, 3]);
    put(format!("{vae}post_quant_conv.weight"), &[4, 4, 1, 1]);
    for (level, channels) in [128, 256, 512, 512].into_iter().enumerate() {
        for block in 0..3 {
            put(format!("{vae}decoder.up.{level}.block.{block}.conv1.weight"), &[channels, channels, 3, 3]);
        }
    }
    shapes
}

#[test]
fn the_shapes_tell_the_architecture_of_both_generations() {
    let folder = Folder::new(&sd15());
    let file = folder.at("published.safetensors");
    let clip = |layers: usize, root: &str, names: [&str; 3], width: usize| {
        let [tokens, positions, inner] = names.map(|name| format!("{root}{name}"));
        let layers = (0..layers).map(move |layer| (inner.replace('#', &layer.to_string()), vec![4 * width, width]));
        [(tokens, vec![49408, width]), (positions, vec![77, width])].into_iter().chain(layers).collect::<Vec<_>>()
    };
    let names = [
        "embeddings.token_embedding.weight",
        "embeddings.position_embedding.weight",
        "encoder.layers.#.mlp.fc1.weight",
    ];
    let first = clip(12, "cond_stage_model.transformer.text_model.", names, 768);
    let names = ["token_embedding.weight", "positional_embedding", "transformer.resblocks.#.mlp.c_fc.weight"];
    let second = clip(24, "cond_stage_model.model.", names, 1024);
    let both = [
        (first, 768, 12, 12, [8; 4], TextActivation::QuickGelu),
        (second, 1024, 23, 16, [5, 10, 20, 20], TextActivation::Gelu),
    ];
    for (text, width, layers, text_heads, heads, activation) in both {
        hollow(&file, &published(width, &text));
        let single = SingleFile::open(&file).unwrap();
        let configs = single.configs().unwrap();
        let text = &configs.text;
        assert_eq!((text.vocab_size, text.hidden_size, text.intermediate_size), (49408, width, 4 * width));
        assert_eq!(
            (text.num_hidden_layers, text.num_attention_heads, text.hidden_act),
            (layers, text_heads, activation)
        );
        let levels = configs.unet.levels().unwrap();
        let told: Vec<_> =
            levels.iter().map(|level| (level.channels, level.layers, level.depth, level.heads)).collect();
        assert_eq!(
            told,
            [(320, 2, 1, heads[0]), (640, 2, 1, heads[1]), (1280, 2, 1, heads[2]), (1280, 2, 1, heads[3])]
        );
        assert!(
            levels
                .iter()
                .map(|level| (level.attends_down, level.attends_up))
                .eq([true, true, true, false].map(|a| (a, a)))
        );
        assert_eq!((configs.unet.in_channels, configs.unet.cross_attention_dim), (4, width));
        assert!(configs.unet.mid_block_type.is_some());
        assert_eq!(configs.vae.block_out_channels, [128, 256, 512, 512]);
        assert_eq!((configs.vae.layers_per_block, configs.vae.scale(), configs.vae.scaling_factor), (2, 8, 0.18215));
        assert_eq!(single.hides_prediction(), layers == 23);
    }
}

#[test]
fn a_vocabulary_of_its_own_needs_its_tokenizer_beside() {
    let folder = Folder::new(&sd15());
    let file = checkpoint(&folder, &original(&folder, "sd1", ""), &OWN[1..]);
    let Err(error) = Model::load(&file, &Device::Cpu, DType::F32) else { panic!("its vocabulary is not CLIP's") };
    let error = format!("{error:#}");
    assert!(error.contains("NAME.config/tokenizer") && error.contains("524"), "{error}");
}

#[test]
fn clips_own_tokenizer_comes_with_the_program() {
    let tokenizer = Tokenizer::clip("<|endoftext|>", &TextConfig::default()).unwrap();
    let ids = tokenizer.chunks(&["A photo of a cat"]).unwrap().ids;
    assert_eq!(ids[0][0][..8], [49406, 320, 1125, 539, 320, 2368, 49407, 49407]);
    let tokenizer = Tokenizer::clip("!", &TextConfig::default()).unwrap();
    assert_eq!(tokenizer.chunks(&[""]).unwrap().ids[0][0][..3], [49406, 49407, 0]);
}

#[test]
fn files_of_other_kinds_are_refused_by_name() {
    let folder = Folder::new(&sd15());
    let file = folder.at("other.safetensors");
    let zero = Tensor::zeros((1, 1), DType::F16, &Device::Cpu).unwrap();
    for (tensors, words) in [
        (&["conditioner.embedders.0.transformer.x", "model.diffusion_model.out.0.bias"][..], "Stable Diffusion XL"),
        (&["model.diffusion_model.joint_blocks.0.x"], "Stable Diffusion 3"),
        (&["double_blocks.0.x"], "FLUX"),
        (&["lora_unet_x.lora_up.weight"], "a LoRA, which is given with --lora"),
        (&["emb_params"], "textual inversion"),
        (&["decoder.conv_in.weight"], "NAME.vae.safetensors"),
        (&["x"], "holds no model that is known"),
        (
            &[
                "model.diffusion_model.input_blocks.0.0.weight",
                "cond_stage_model.transformer.text_model.embeddings.position_ids",
            ],
            "is missing",
        ),
    ] {
        let tensors: HashMap<_, _> = tensors.iter().map(|name| (*name, zero.clone())).collect();
        save(&tensors, &file).unwrap();
        let Err(error) = Model::load(&file, &Device::Cpu, DType::F32) else { panic!("{words}") };
        assert!(format!("{error:#}").contains(words), "{error:#}");
    }
    let scheduler = json!({ "_class_name": "LCMScheduler", "beta_schedule": "scaled_linear" });
    let whole = original(&folder, "sd1", "");
    let file = checkpoint(&folder, &whole, OWN);
    folder.write("checkpoint.config/scheduler/scheduler_config.json", scheduler.to_string());
    assert_eq!(load_model(&file).recommended().sampler, "lcm", "what lies beside wins");
}
