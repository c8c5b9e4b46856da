//! What a build without CUDA says of GPUs.

use anyhow::{Result, bail};
use candle_core::Device;

pub(super) fn names() -> Result<Vec<String>> {
    bail!("{}", super::ABSENCE.get().map_or("this program is built without CUDA", String::as_str))
}

pub(super) fn keep_memory(_: &Device) -> Result<()> {
    Ok(())
}

pub(super) fn trim(_: &Device) {}
