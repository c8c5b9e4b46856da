//! Transcribes recordings whose names it reads, and says how long each took: what `tests/bench` drives.
//!
//! `hear MODEL int8|f32 [whole]`, then a name a line; a line of JSON comes back for each. The recordings of a
//! line with several names, between tabs, are written down together.

#![expect(clippy::print_stdout, reason = "the answers")]

use std::io::{BufRead as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use anyhow::Context as _;
use candle_core::Device;
use serde_json::json;
use shanshui_transcribe::audio::{Budget, Recording, decode};
use shanshui_transcribe::decoding::{Options, TranscribeError, Transcript};
use shanshui_transcribe::options::Precision;
use shanshui_transcribe::whisper::Whisper;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let folder = words.first().context("MODEL is missing")?;
    let precision = if words.iter().any(|word| word == "f32") { Precision::F32 } else { Precision::Int8 };
    let start = Instant::now();
    let whisper = Whisper::load_in(Path::new(folder), &Device::Cpu, precision)?;
    println!("{}", json!({ "load": start.elapsed().as_secs_f64() }));
    let short_windows = !words.iter().any(|word| word == "whole");
    let options = Options { language: Some("en".to_owned()), short_windows, ..Options::default() };
    for name in std::io::stdin().lock().lines() {
        let read = |name: &str| -> anyhow::Result<Recording> { Ok(decode(&std::fs::read(name)?, &Budget::default())?) };
        let recordings: Vec<Recording> = name?.split('\t').map(read).collect::<anyhow::Result<_>>()?;
        let (start, (whisper, options)) = (Instant::now(), (&whisper, &options));
        let hear = &|recording: &Recording| {
            whisper.transcribe(&recording.samples, options, &mut |_| ControlFlow::Continue(()))
        };
        let texts = std::thread::scope(|scope| {
            let threads: Vec<_> = recordings.iter().map(|recording| scope.spawn(move || hear(recording))).collect();
            let text = |thread: ScopedJoinHandle<'_, Result<Transcript, TranscribeError>>| -> anyhow::Result<String> {
                Ok(thread.join().map_err(|_| anyhow::anyhow!("a panic"))??.text)
            };
            threads.into_iter().map(text).collect::<anyhow::Result<Vec<_>>>()
        })?;
        println!("{}", json!({ "seconds": start.elapsed().as_secs_f64(), "text": texts.join("\n") }));
        std::io::stdout().flush()?;
    }
    Ok(())
}
