//! Where a model computes.

use candle_core::Device;
use clap::ValueEnum;

/// A place to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceKind {
    /// The processor.
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
}

impl DeviceKind {
    /// Opens the device.
    ///
    /// # Errors
    /// When there is no such device, or this build cannot use it.
    pub fn open(self) -> anyhow::Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda => Device::new_cuda(0).map_err(|error| anyhow::anyhow!("device cuda: {error}")),
        }
    }

    /// Its name in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there_and_a_missing_gpu_is_named() {
        assert!(DeviceKind::Cpu.open().unwrap().is_cpu());
        if let Err(error) = DeviceKind::Cuda.open() {
            assert!(error.to_string().starts_with("device cuda: "), "{error}");
        }
    }
}
