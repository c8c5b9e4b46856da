//! What candle does not say of its devices, asked of the driver.

use anyhow::{Result, anyhow, ensure};
use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::{DriverError, result, sys};

pub(super) fn names() -> Result<Vec<String>> {
    result::init().map_err(said)?;
    check_version()?;
    let count = result::device::get_count().map_err(said)?;
    let name = |number| result::device::get(number).and_then(result::device::get_name).map_err(said);
    (0..count).map(name).collect()
}

/// A driver runs programs of its own version of CUDA and of all before: kernels of a newer one fail when they are
/// first called.
fn check_version() -> Result<()> {
    let mut driver = 0;
    #[expect(unsafe_code, reason = "the driver writes one number during the call")]
    let asked = unsafe { sys::cuDriverGetVersion(&raw mut driver) };
    asked.result().map_err(said)?;
    let (driver, own) = (driver.unsigned_abs(), sys::CUDA_VERSION);
    let version = |number: u32| format!("{}.{}", number / 1000, number % 1000 / 10);
    ensure!(driver >= own, "the NVIDIA driver knows CUDA {}; this program needs {}", version(driver), version(own));
    Ok(())
}

fn said(error: DriverError) -> anyhow::Error {
    match error.error_string() {
        Ok(text) => anyhow!("the NVIDIA driver says: {}", text.to_string_lossy()),
        Err(_) => anyhow!("the NVIDIA driver says: {error:?}"),
    }
}

/// Freed memory stays with the process until [`trim`]. By default it goes back whenever the stream is waited
/// for, which is after every step, and is mapped anew for the next one.
pub(super) fn keep_memory(device: &Device) -> Result<()> {
    let mut threshold = u64::MAX;
    #[expect(unsafe_code, reason = "the attribute is a number of 64 bits that the driver reads during the call")]
    let set = unsafe {
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        pool(device).and_then(|pool| {
            let set = result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast());
            set.map_err(said)
        })
    };
    set
}

pub(super) fn trim(device: &Device) {
    // A tensor that was dropped is free when the work before it is done. After an error there is nothing to save.
    if !device.is_cuda() || device.synchronize().is_err() {
        return;
    }
    #[expect(unsafe_code, reason = "the pool is the device's own, which lives as long as the process")]
    let trimmed = unsafe { pool(device).and_then(|pool| result::mem_pool::trim_to(pool, 0).map_err(said)) };
    if let Err(error) = trimmed {
        tracing::warn!(%error, "the memory of the GPU stays with this process");
    }
}

fn pool(device: &Device) -> Result<sys::CUmemoryPool> {
    let context = device.as_cuda_device()?.cuda_stream().context().clone();
    #[expect(unsafe_code, reason = "the device is that of a living context")]
    let pool = unsafe { result::device::get_default_mem_pool(context.cu_device()) };
    pool.map_err(said)
}
