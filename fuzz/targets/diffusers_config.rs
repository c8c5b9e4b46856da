//! The json files of a picture model, lines of one input: index, text encoder, unet, vae, scheduler,
//! recommendations.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shanshui_paint::diffusers::{Configs, recommended::Recommended};

const FILES: [&str; 6] = [
    "model_index.json",
    "text_encoder/config.json",
    "unet/config.json",
    "vae/config.json",
    "scheduler/scheduler_config.json",
    "shanshui.json",
];

fuzz_target!(|data: &[u8]| {
    let files: Vec<_> = FILES.into_iter().zip(data.split(|byte| *byte == b'\n')).collect();
    let folder = shanshui_fuzz::folder(&files);
    if let Ok(configs) = Configs::read(folder.path()) {
        let _ = Recommended::read(folder.path(), &configs);
        assert!(configs.vae.scale() > 0);
    }
});
