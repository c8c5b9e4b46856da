//! `config.json` and `generation_config.json` beside sound weights.
#![no_main]

use std::sync::LazyLock;

use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use shanshui_transcribe::whisper::Whisper;

/// The least that has the shape of a Whisper.
static WEIGHTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    shanshui_fuzz::zeros(&[
        ("encoder.conv1.weight", &[64, 80, 3]),
        ("encoder.embed_positions.weight", &[1500, 4]),
        ("decoder.embed_positions.weight", &[448, 4]),
        ("decoder.embed_tokens.weight", &[51865, 1]),
        ("encoder.layers.0.fc1.weight", &[4, 4]),
        ("decoder.layers.0.fc1.weight", &[4, 4]),
    ])
});

fuzz_target!(|data: &[u8]| {
    let (config, generation) =
        data.iter().position(|byte| *byte == b'\n').map_or((data, &b"{}"[..]), |at| data.split_at(at));
    let files =
        [("model.safetensors", WEIGHTS.as_slice()), ("config.json", config), ("generation_config.json", generation)];
    let folder = shanshui_fuzz::folder(&files);
    // There is no tokenizer: what comes after the configuration is not reached.
    assert!(Whisper::load(folder.path(), &Device::Cpu).is_err());
});
