//! Headers of a picture model's weights, and a tensor asked of them; the same bytes as a whole checkpoint and as
//! an adaptation.
#![no_main]

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use libfuzzer_sys::fuzz_target;
use shanshui_paint::diffusers::weights::{WeightFiles, Weights};
use shanshui_paint::lora::{Lora, Merge};
use shanshui_paint::single_file::SingleFile;

const FILES: [&str; 2] = ["unet/model.safetensors", "unet/model.safetensors.index.json"];

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let folder = shanshui_fuzz::folder(&[(FILES[usize::from(*first) % FILES.len()], bytes)]);
    let path = folder.path().join(FILES[0]);
    if let Ok(single) = SingleFile::open(&path) {
        let _ = single.configs();
    }
    if let Ok(lora) = Lora::open(&path) {
        let tensor = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).expect("a small tensor");
        let _ = Merge::new(Arc::new(lora), 1.0).add_to(tensor, "unet", "w.weight");
    }
    let Ok(files) = WeightFiles::open(folder.path(), "unet", "model") else { return };
    let weights = Weights::new(&files, DType::F32, &Device::Cpu);
    for shape in [&[2, 3][..], &[0], &[1 << 40, 1 << 40], &[]] {
        let _ = weights.tensor("w", shape);
    }
    let _ = weights.at("a").matrix("w", 2, 3);
});
