//! Transcribes recordings whose names it reads, and says how long each took: what `tests/bench` drives.
//!
//! `hear MODEL int8|f32 [whole]`, then a name a line; a line of JSON comes back for each.

#![expect(clippy::print_stdout, reason = "the answers")]

use std::io::{BufRead as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use candle_core::Device;
use serde_json::json;
use shanshui_transcribe::audio::{Budget, decode};
use shanshui_transcribe::decoding::Options;
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
        let recording = decode(&std::fs::read(name?)?, &Budget::default())?;
        let start = Instant::now();
        let transcript = whisper.transcribe(&recording.samples, &options, &mut |_| ControlFlow::Continue(()))?;
        println!("{}", json!({ "seconds": start.elapsed().as_secs_f64(), "text": transcript.text }));
        std::io::stdout().flush()?;
    }
    Ok(())
}
