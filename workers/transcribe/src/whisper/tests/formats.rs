//! The same model out of every kind of folder.

use std::path::Path;

use ::safetensors::Dtype;
use candle_core::Device;

use super::tiny::{FRAMES, MELS, Tiny};
use crate::options::Precision;
use crate::whisper::Whisper;

pub(super) fn window() -> Vec<f32> {
    window_of(MELS)
}

fn window_of(mels: usize) -> Vec<f32> {
    (0..mels * FRAMES).map(|i| ((i * 7919 % 2003) as f32 / 1001.5 - 1.0) * 0.8).collect()
}

fn logits(folder: &Path) -> Vec<f32> {
    let whisper = Whisper::load_in(folder, &Device::Cpu, Precision::F32).unwrap();
    assert_eq!((whisper.dims().encoder.heads, whisper.dims().decoder.layers), (2, 2));
    whisper.logits(window(), &[11, 12, 15, 4, 5]).unwrap()
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let spread = expected.iter().copied().fold(0f32, |largest, value| largest.max(value.abs()));
    assert!(spread > 1.0, "logits that are all nearly equal prove nothing");
    for (id, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < tolerance, "token {id}: {found} is not {expected}");
    }
}

#[test]
fn hugging_face_and_ctranslate2_folders_give_the_same_logits() {
    let folders = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [f32, f16, shards, ct2] = folders.each_ref().map(tempfile::TempDir::path);
    let tiny = Tiny::new();
    tiny.write_hugging_face(f32, Dtype::F32, 1);
    tiny.write_hugging_face(f16, Dtype::F16, 1);
    tiny.write_hugging_face(shards, Dtype::F32, 3);
    tiny.write_ctranslate2(ct2, false);
    let expected = logits(f32);
    for folder in [f16, shards, ct2] {
        assert_close(&logits(folder), &expected, 1e-5);
    }
}

#[test]
fn more_bands_and_fewer_layers_of_the_decoder_are_read_from_the_files() {
    // As large-v3-turbo (128 bands, 32 and 4 layers) and distil (32 and 2) are shaped.
    for (mels, layers) in [(128, [3, 1]), (80, [2, 1]), (128, [1, 2])] {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let tiny = Tiny::shaped(mels, layers);
        tiny.write_hugging_face(folders[0].path(), Dtype::F32, 1);
        tiny.write_ctranslate2(folders[1].path(), false);
        let [hf, ct2] = folders.each_ref().map(|folder| Whisper::load(folder.path(), &Device::Cpu).unwrap());
        let dims = hf.dims();
        assert_eq!((dims.mels, [dims.encoder.layers, dims.decoder.layers]), (mels, layers));
        let logits = |whisper: &Whisper| whisper.logits(window_of(mels), &[11, 12, 15, 4, 5]).unwrap();
        assert_close(&logits(&ct2), &logits(&hf), 1e-5);
    }
}

#[test]
fn bf16_weights_are_read_with_their_coarser_steps() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let tiny = Tiny::new();
    tiny.write_hugging_face(folders[0].path(), Dtype::F32, 1);
    tiny.write_hugging_face(folders[1].path(), Dtype::BF16, 1);
    assert_close(&logits(folders[1].path()), &logits(folders[0].path()), 0.5);
}

#[test]
fn int8_weights_of_ctranslate2_are_divided_by_the_scale_of_their_row() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut tiny = Tiny::new();
    tiny.quantize();
    tiny.write_hugging_face(folders[0].path(), Dtype::F32, 1);
    tiny.write_ctranslate2(folders[1].path(), true);
    // The biases and norms of the file are f16 in both; position tables are rounded to it.
    assert_close(&logits(folders[1].path()), &logits(folders[0].path()), 0.02);
}

#[test]
fn the_tokens_that_a_model_suppresses_are_those_of_its_files() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    Tiny::new().write_ctranslate2(folders[0].path(), false);
    Tiny::new().write_hugging_face(folders[1].path(), Dtype::F32, 1);
    let generation = r#"{ "suppress_tokens": [-1, 4, 999999], "begin_suppress_tokens": [5] }"#;
    std::fs::write(folders[1].path().join("generation_config.json"), generation).unwrap();
    let [ct2, hf] = folders.each_ref().map(|folder| Whisper::load(folder.path(), &Device::Cpu).unwrap());
    let suppressed = |whisper: &Whisper| [3, 4].map(|token| whisper.tokens().suppressed.contains(&token));
    assert_eq!((suppressed(&ct2), suppressed(&hf)), ([true, false], [false, true]));
    assert!(!hf.tokens().suppressed.contains(&999_999));
    assert_eq!(hf.tokens().suppressed_at_begin, [5]);
}

#[test]
fn the_sha256_is_that_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    Tiny::new().write_ctranslate2(folder.path(), false);
    let file = std::fs::read(folder.path().join("model.bin")).unwrap();
    let expected: String =
        <sha2::Sha256 as sha2::Digest>::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(Whisper::load(folder.path(), &Device::Cpu).unwrap().sha256(), expected);
}
