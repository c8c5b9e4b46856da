//! Whisper with its real weights: base, and tiny.en for what takes long.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

mod logits;
mod long;
mod music;
mod silence;
mod speech;
mod word_times;

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Instant,
};

use candle_core::Device;
use shanshui_transcribe::{
    audio::{Budget, decode},
    decoding::{Options, Transcript},
    options::Precision,
    whisper::Whisper,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `$SHANSHUI_MODELS`, or where `./dev models` puts them.
fn load(name: &str, precision: Precision) -> Whisper {
    let usual = || root().join(".cache/models").into_os_string();
    let folders = std::env::var_os("SHANSHUI_MODELS").unwrap_or_else(usual);
    let mut all = std::env::split_paths(&folders).map(|models| models.join(name));
    let folder = all.find(|folder| folder.is_dir()).unwrap_or_else(|| name.into());
    assert!(folder.is_dir(), "{} is missing: run ./dev models", folder.display());
    Whisper::load_in(&folder, &Device::Cpu, precision).unwrap()
}

fn base() -> &'static Whisper {
    static BASE: OnceLock<Whisper> = OnceLock::new();
    BASE.get_or_init(|| load("whisper-base", Precision::Auto))
}

fn tiny_en() -> &'static Whisper {
    static TINY: OnceLock<Whisper> = OnceLock::new();
    TINY.get_or_init(|| load("whisper-tiny.en", Precision::Auto))
}

/// A recording of tests/data/speech as 16 kHz mono.
fn samples(name: &str) -> Vec<f32> {
    let bytes = fs::read(root().join("tests/data/speech").join(name)).unwrap();
    decode(&bytes, &Budget::default()).unwrap().samples
}

fn transcribe(whisper: &Whisper, samples: &[f32], options: &Options) -> Transcript {
    let start = Instant::now();
    let transcript = whisper.transcribe(samples, options, &mut |_| ControlFlow::Continue(())).unwrap();
    eprintln!("{:.2} s for {:.1} s: {}", start.elapsed().as_secs_f64(), transcript.duration, transcript.text);
    for found in &transcript.invented {
        eprintln!("not believed: {found:?}");
    }
    transcript
}

/// Lower-case words without punctuation, which is how word errors are counted.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|symbol: char| !symbol.is_alphanumeric() && symbol != '\'');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// The English recordings and what is said in them.
const SPOKEN: [(&str, &str); 5] = [
    (
        "jfk.flac",
        "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
    ),
    ("apple.wav", "Draw me a red apple on a green field."),
    ("mountains.wav", "Paint high mountains and a river under a full moon."),
    ("cat.wav", "A cat sitting under a yellow star."),
    (
        "librispeech-1995-1837-0001.wav",
        "It was the first great sorrow of his life. It was not so much the loss of the cotton itself, but the fantasy, the hopes, the dreams built around it.",
    ),
];
