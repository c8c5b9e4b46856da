//! Where a model computes.

use std::fmt;
use std::str::FromStr;
use std::sync::Once;

use candle_core::Device;

use crate::gpu;

/// A place to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// The first NVIDIA GPU if there is one, otherwise the processor.
    Auto,
    /// The processor.
    Cpu,
    /// The NVIDIA GPU of this number, from 0.
    Cuda(usize),
}

/// What may be written.
const ALLOWED: &str = "auto, cpu, cuda, or cuda:N with the number of a GPU, from 0";

impl DeviceKind {
    /// Opens the device, on the thread that computes: what CUDA does has an order on each thread alone.
    /// `Auto` says once in the log why it takes the processor.
    ///
    /// # Errors
    /// When there is no such device, or this build cannot use it.
    pub fn open(self) -> anyhow::Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(number) => gpu::open(number).map_err(|error| anyhow::anyhow!("device {self}: {error:#}")),
            Self::Auto => Ok(gpu::open(0).unwrap_or_else(|error| {
                tell_once(&error);
                Device::Cpu
            })),
        }
    }

    /// The name of an open device in receipts: pictures of two GPUs are not told apart.
    pub fn name(device: &Device) -> &'static str {
        if device.is_cuda() { "cuda" } else { "cpu" }
    }
}

impl FromStr for DeviceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| digits.parse::<u8>().ok().filter(|_| digits.bytes().all(|d| d.is_ascii_digit()));
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => match text.strip_prefix("cuda:").and_then(number) {
                Some(number) => Ok(Self::Cuda(number.into())),
                None => Err(ALLOWED.into()),
            },
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

fn tell_once(error: &anyhow::Error) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        let reason = format!("{error:#}");
        tracing::info!(reason, "there is no GPU to compute on: the model computes on the CPU");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there_and_a_missing_gpu_is_named() {
        assert!(DeviceKind::Cpu.open().unwrap().is_cpu());
        assert!(DeviceKind::Auto.open().is_ok());
        // No machine has so many.
        let error = DeviceKind::Cuda(200).open().unwrap_err().to_string();
        assert!(error.starts_with("device cuda:200: "), "{error}");
    }

    #[test]
    fn a_device_is_read_as_it_is_written_and_nothing_else_is_one() {
        for (text, kind) in [("auto", DeviceKind::Auto), ("cpu", DeviceKind::Cpu), ("cuda:7", DeviceKind::Cuda(7))] {
            assert_eq!((text.parse(), kind.to_string().as_str()), (Ok(kind), text));
        }
        assert_eq!("cuda".parse(), Ok(DeviceKind::Cuda(0)));
        for text in ["", "CUDA", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:1.0", "cuda:256", "cuda: 0", "cuda:0,1"] {
            assert_eq!(text.parse::<DeviceKind>(), Err(ALLOWED.into()), "{text:?}");
        }
    }
}
