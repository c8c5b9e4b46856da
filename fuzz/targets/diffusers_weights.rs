//! Headers of a picture model's weights, and a tensor asked of them.
#![no_main]

use candle_core::{DType, Device};
use libfuzzer_sys::fuzz_target;
use shanshui_paint::diffusers::weights::{WeightFiles, Weights};

const FILES: [&str; 2] = ["unet/model.safetensors", "unet/model.safetensors.index.json"];

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let folder = shanshui_fuzz::folder(&[(FILES[usize::from(*first) % FILES.len()], bytes)]);
    let Ok(files) = WeightFiles::open(folder.path(), "unet", "model") else { return };
    let weights = Weights::new(&files, DType::F32, &Device::Cpu);
    for shape in [&[2, 3][..], &[0], &[1 << 40, 1 << 40], &[]] {
        let _ = weights.tensor("w", shape);
    }
    let _ = weights.at("a").matrix("w", 2, 3);
});
