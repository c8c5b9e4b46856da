//! Recordings as people send them, from their bytes to the words; tests/data/recordings says what
//! each holds.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

mod containers;
mod doubt;
mod ffmpeg;
mod hints;
mod long;
mod lost;
mod made;
mod partial;
mod sentences;
mod silence;
mod unheard;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use candle_core::Device;
use shanshui_transcribe::audio::{AudioError, Budget, Recording, decode};
use shanshui_transcribe::decoding::{Options, Transcript};
use shanshui_transcribe::whisper::Whisper;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `$SHANSHUI_MODELS`, or where `./dev models` puts them.
fn base() -> &'static Whisper {
    static BASE: OnceLock<Whisper> = OnceLock::new();
    BASE.get_or_init(|| {
        let usual = || root().join(".cache/models").into_os_string();
        let folders = std::env::var_os("SHANSHUI_MODELS").unwrap_or_else(usual);
        let mut all = std::env::split_paths(&folders).map(|models| models.join("whisper-base"));
        let folder = all.find(|folder| folder.is_dir()).unwrap_or_else(|| "whisper-base".into());
        assert!(folder.is_dir(), "{} is missing: run ./dev models", folder.display());
        Whisper::load(&folder, &Device::Cpu).unwrap()
    })
}

fn bytes(name: &str) -> Vec<u8> {
    let path = root().join("tests/data/recordings").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn try_to_hear(name: &str) -> Result<Recording, AudioError> {
    decode(&bytes(name), &Budget::default())
}

fn hear(name: &str) -> Recording {
    try_to_hear(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Steps are those of the decoder and two for each window: unlike seconds they are the same on a
/// machine that does other things, too.
#[derive(Debug)]
struct Work {
    steps: usize,
}

/// What is said, as a worker reads it, and how much work that was.
fn read(name: &str, recording: &Recording, options: &Options) -> (Transcript, Work) {
    let whisper = base();
    let (start, mut steps) = (Instant::now(), 0);
    let Recording { samples, sound, .. } = recording;
    let mut count = |_| {
        steps += 1;
        ControlFlow::Continue(())
    };
    let transcript = whisper.transcribe_stretches(samples, &sound.stretches, options, &mut count).unwrap();
    eprintln!(
        "{name}: {:.1} s in {:.1} s, {:?}, {}: {:?}, invented {:?}",
        transcript.duration,
        start.elapsed().as_secs_f64(),
        sound.verdict,
        transcript.language,
        transcript.text,
        transcript
            .invented
            .iter()
            .map(|found| (&found.text, found.avg_logprob, found.no_speech_prob))
            .collect::<Vec<_>>(),
    );
    (transcript, Work { steps })
}

/// The words of a recording that is heard without any wish.
fn text(name: &str) -> String {
    read(name, &hear(name), &Options::default()).0.text
}
