//! From the bytes of a recording to the gate: every container and codec, every rate, and everything
//! that can be wrong.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod bad_input;
mod formats;
mod gate;
mod rates;
mod wav;

use std::fs;
use std::path::{Path, PathBuf};

use shanshui_transcribe::audio::{AudioError, Budget, Recording, decode};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data")
}

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let path = data().join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn heard(bytes: &[u8]) -> Result<Recording, AudioError> {
    decode(bytes, &Budget::default())
}
