//! The NVIDIA GPUs of this machine. Only a program with the feature `cuda` sees any.

use std::sync::OnceLock;

use anyhow::{Result, bail};
use candle_core::Device;

#[cfg_attr(feature = "cuda", path = "gpu/cuda.rs")]
#[cfg_attr(not(feature = "cuda"), path = "gpu/none.rs")]
mod driver;
mod faults;

pub use faults::{TOO_LARGE, is_full, is_lost};

/// Whether this program can compute on GPUs.
pub const BUILT_IN: bool = cfg!(feature = "cuda");

static ABSENCE: OnceLock<String> = OnceLock::new();

/// Says why this program goes on without the GPUs that another build of it could use.
pub fn explain_absence(reason: String) {
    // The first reason stays.
    let _ = ABSENCE.set(reason);
}

/// The names of all GPUs, by number.
///
/// # Errors
/// When this build, or this machine, cannot use any; the error says what is missing.
pub fn names() -> Result<Vec<String>> {
    driver::names()
}

/// Opens a GPU by its number.
pub(crate) fn open(number: usize) -> Result<Device> {
    let count = names()?.len();
    if number >= count {
        bail!("this machine has {}", listed(count));
    }
    let device = Device::new_cuda(number)?;
    driver::keep_memory(&device)?;
    Ok(device)
}

/// So many GPUs in words: the number, and what they are called.
pub fn listed(count: usize) -> String {
    match count {
        0 => "no GPU".into(),
        1 => "one GPU: cuda:0".into(),
        _ => format!("{count} GPUs: cuda:0 to cuda:{}", count - 1),
    }
}

/// The memory that a driver holds ready for a device. Whoever owns a model keeps this behind its tensors: when
/// it goes, the memory goes back to the driver, and so to others.
#[derive(Debug)]
pub struct Reserve(Device);

impl Reserve {
    /// What is held for `device`.
    pub fn of(device: &Device) -> Self {
        Self(device.clone())
    }

    /// Gives back what no tensor uses.
    pub fn trim(&self) {
        driver::trim(&self.0);
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        self.trim();
    }
}
