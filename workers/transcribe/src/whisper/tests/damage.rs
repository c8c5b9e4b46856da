//! Folders that must be refused, each with a reason.

use std::{fs, path::Path};

use ::safetensors::Dtype;
use candle_core::Device;

use super::tiny::Tiny;
use crate::whisper::{Weights, WeightsError, Whisper};

fn refusal(folder: &Path) -> anyhow::Error {
    Whisper::load(folder, &Device::Cpu).unwrap_err()
}

fn weights_error(folder: &Path) -> WeightsError {
    refusal(folder).downcast().unwrap()
}

#[test]
fn s13_weights_that_end_too_early_are_damaged_wherever_they_end() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::new();
    tiny.write_ctranslate2(folder.path(), false);
    let whole = fs::read(folder.path().join("model.bin")).unwrap();
    for length in [1, 3, 9, 20, 30, 60, whole.len() / 3, whole.len() - 1] {
        fs::write(folder.path().join("model.bin"), &whole[..length]).unwrap();
        assert!(matches!(weights_error(folder.path()), WeightsError::Corrupt { .. }), "{length} bytes");
    }
    tiny.write_hugging_face(folder.path(), Dtype::F16, 1);
    let whole = fs::read(folder.path().join("model.safetensors")).unwrap();
    for length in [4, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(folder.path().join("model.safetensors"), &whole[..length]).unwrap();
        assert!(matches!(weights_error(folder.path()), WeightsError::Corrupt { .. }), "{length} bytes");
    }
}

#[test]
fn s13_sizes_in_a_hostile_header_are_checked_before_anything_is_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let beyond = br#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}}"#;
    let beyond = [&(beyond.len() as u64).to_le_bytes()[..], beyond, &[0; 8]].concat();
    for bytes in [huge, beyond] {
        fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        assert!(matches!(weights_error(folder.path()), WeightsError::Corrupt { .. }));
    }
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let name = |text: &[u8]| [&(text.len() as u16 + 1).to_le_bytes()[..], text, &[0]].concat();
    let header =
        [&6u32.to_le_bytes()[..], &name(b"WhisperSpec"), &3u32.to_le_bytes(), &u32::MAX.to_le_bytes()].concat();
    let overflow =
        [&header[..], &name(b"encoder/conv1/weight"), &[4], &[0xff; 16], &[0], &8u32.to_le_bytes(), &[0; 8]].concat();
    let ranks = [&header[..], &name(b"encoder/conv1/weight"), &[255], &[0xff; 64]].concat();
    for bytes in [overflow, ranks] {
        fs::write(folder.path().join("model.bin"), bytes).unwrap();
        assert!(matches!(weights_error(folder.path()), WeightsError::Corrupt { .. }));
    }
}

#[test]
fn s14_formats_that_are_not_read_are_named() {
    for (file, bytes, expected) in [
        ("pytorch_model.bin", &b"PK\x03\x04"[..], "pickle"),
        ("base.pt", b"PK\x03\x04", "pickle"),
        ("model.bin", b"PK\x03\x04torch", "pickle"),
        ("ggml-base.bin", b"lmgg", "ggml"),
        ("model.bin", b"GGUF....", "GGUF"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(file), bytes).unwrap();
        let error = weights_error(folder.path());
        assert!(matches!(error, WeightsError::Unsupported { .. }), "{file}: {error}");
        assert!(error.to_string().contains(expected), "{file}: {error}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Weights::open(empty.path()).unwrap_err(), WeightsError::Absent(_)));
}

#[test]
fn a_tensor_that_is_missing_or_of_another_shape_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut tiny = Tiny::new();
    let name = "decoder.layers.1.encoder_attn.v_proj.weight";
    let whole = tiny.0.remove(name).unwrap();
    tiny.write_hugging_face(folder.path(), Dtype::F32, 1);
    assert!(matches!(weights_error(folder.path()), WeightsError::Missing(missing) if missing == name));
    tiny.0.insert(name.to_owned(), (vec![whole.1.len()], whole.1));
    tiny.write_hugging_face(folder.path(), Dtype::F32, 1);
    assert!(matches!(weights_error(folder.path()), WeightsError::Shape { name: found, .. } if found == name));
}

#[test]
fn a_config_of_another_model_is_refused_with_the_field() {
    let folder = tempfile::tempdir().unwrap();
    Tiny::new().write_hugging_face(folder.path(), Dtype::F32, 1);
    for (field, config) in [
        ("d_model", r#"{"d_model":384}"#),
        ("decoder_layers", r#"{"decoder_layers":6}"#),
        ("config.json", r#"{"d_model":"wide"}"#),
        ("config.json", "not json"),
    ] {
        fs::write(folder.path().join("config.json"), config).unwrap();
        let error = refusal(folder.path()).to_string();
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn a_tokenizer_without_whispers_tokens_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Tiny::new().write_hugging_face(folder.path(), Dtype::F32, 1);
    let path = folder.path().join("tokenizer.json");
    let text = fs::read_to_string(&path).unwrap().replace("<|transcribe|>", "<|other|>");
    fs::write(&path, text).unwrap();
    assert!(refusal(folder.path()).to_string().contains("<|transcribe|>"));
    fs::remove_file(&path).unwrap();
    assert!(refusal(folder.path()).to_string().contains("tokenizer.json"));
}
