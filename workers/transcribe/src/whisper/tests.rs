//! A tiny random Whisper, written by the tests themselves in both formats.

mod damage;
mod formats;
mod forward;
mod int8;
mod tiny;

use candle_core::Device;

use super::{Dims, Weights, Whisper, dims::Settings, towers::Floats};
use crate::options::Precision;

/// The tiny model, loaded. Its vocabulary: text 0 to 9, end 10, start 11, en, zh, translate,
/// transcribe, start of lm, start of previous 17, no speech 18, no timestamps 19, times 20 to 63.
pub(crate) fn load() -> Whisper {
    load_in(Precision::Auto)
}

fn load_in(precision: Precision) -> Whisper {
    let folder = tempfile::tempdir().unwrap();
    tiny::Tiny::new().write_hugging_face(folder.path(), ::safetensors::Dtype::F32, 1);
    Whisper::load_in(folder.path(), &Device::Cpu, precision).unwrap()
}

/// Its towers in f32.
fn floats() -> Floats {
    let folder = tempfile::tempdir().unwrap();
    tiny::Tiny::new().write_hugging_face(folder.path(), ::safetensors::Dtype::F32, 1);
    let weights = Weights::open(folder.path()).unwrap();
    let dims = Dims::read(&weights, &Settings::read(folder.path()).unwrap()).unwrap();
    Floats::load(&weights, &dims).unwrap()
}
