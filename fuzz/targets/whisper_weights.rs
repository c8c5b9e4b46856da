//! Headers of Whisper's weights: CTranslate2, safetensors, and the index of shards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shanshui_transcribe::whisper::Weights;

const FILES: [&str; 3] = ["model.bin", "model.safetensors", "model.safetensors.index.json"];

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let name = FILES[usize::from(*first) % FILES.len()];
    let folder = shanshui_fuzz::folder(&[(name, bytes)]);
    match Weights::open(folder.path()) {
        Ok(weights) => assert_eq!(weights.sha256().len(), 64),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
