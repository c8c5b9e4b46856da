//! A tiny random Whisper, written by the tests themselves in both formats.

mod damage;
mod formats;
mod forward;
mod tiny;

/// The tiny model, loaded. Its vocabulary: text 0 to 9, end 10, start 11, en, zh, translate,
/// transcribe, start of lm, start of previous 17, no speech 18, no timestamps 19, times 20 to 63.
pub(crate) fn load() -> super::Whisper {
    let folder = tempfile::tempdir().unwrap();
    tiny::Tiny::new().write_hugging_face(folder.path(), ::safetensors::Dtype::F32, 1);
    super::Whisper::load(folder.path(), &candle_core::Device::Cpu).unwrap()
}
