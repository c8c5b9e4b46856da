//! What went wrong on a device. CUDA's libraries say it in the names of their codes alone.

use anyhow::Error;

/// Errors after which every call of the process fails: "the process must be terminated and relaunched", says the
/// manual of the driver. A library that cannot run a kernel any more says no more than that.
const LOST: [&str; 22] = [
    "CUDA_ERROR_NOT_INITIALIZED",
    "CUDA_ERROR_DEINITIALIZED",
    "CUDA_ERROR_DEVICE_UNAVAILABLE",
    "CUDA_ERROR_INVALID_CONTEXT",
    "CUDA_ERROR_ECC_UNCORRECTABLE",
    "CUDA_ERROR_NVLINK_UNCORRECTABLE",
    "CUDA_ERROR_CONTAINED",
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    "CUDA_ERROR_LAUNCH_TIMEOUT",
    "CUDA_ERROR_CONTEXT_IS_DESTROYED",
    "CUDA_ERROR_ASSERT",
    "CUDA_ERROR_HARDWARE_STACK_ERROR",
    "CUDA_ERROR_ILLEGAL_INSTRUCTION",
    "CUDA_ERROR_MISALIGNED_ADDRESS",
    "CUDA_ERROR_INVALID_ADDRESS_SPACE",
    "CUDA_ERROR_INVALID_PC",
    "CUDA_ERROR_LAUNCH_FAILED",
    "CUDA_ERROR_EXTERNAL_DEVICE",
    "CUDA_ERROR_SYSTEM_NOT_READY",
    "CUDA_ERROR_UNKNOWN",
    "CUBLAS_STATUS_EXECUTION_FAILED",
    "CUDNN_STATUS_EXECUTION_FAILED",
];

/// What says that there is no room left.
const FULL: [&str; 4] = ["OUT_OF_MEMORY", "ALLOC_FAILED", "ALLOCATION_FAILED", TOO_LARGE];

/// A tensor that has more elements than kernels can count says so.
pub const TOO_LARGE: &str = "more numbers than one tensor may have on a GPU";

/// Whether the device is of no use to this process any more, whatever it is asked next.
#[must_use]
pub fn is_lost(error: &Error) -> bool {
    says(error, &LOST)
}

/// Whether the device has no room for what was asked; with less at once there may be.
#[must_use]
pub fn is_full(error: &Error) -> bool {
    says(error, &FULL)
}

fn says(error: &Error, words: &[&str]) -> bool {
    let text = format!("{error:#}");
    words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    /// As cudarc 0.19 prints the codes of the driver and of the libraries, within candle's errors and ours.
    fn said(text: &str) -> Error {
        anyhow!("{text}").context("denoising step 3")
    }

    #[test]
    fn a_lost_device_is_told_from_a_full_one_and_from_a_fault_of_the_code() {
        let lost = [
            r#"DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered")"#,
            r#"DriverError(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure")"#,
            r#"DriverError(CUDA_ERROR_ECC_UNCORRECTABLE, "uncorrectable ECC error encountered")"#,
            "CublasError(CUBLAS_STATUS_EXECUTION_FAILED)",
            "CudnnError(CUDNN_STATUS_EXECUTION_FAILED_CUDART)",
        ];
        let full = [
            r#"DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")"#,
            "CublasError(CUBLAS_STATUS_ALLOC_FAILED)",
            "CudnnError(CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)",
            "5368709120 are more numbers than one tensor may have on a GPU",
        ];
        let neither = [
            r#"DriverError(CUDA_ERROR_INVALID_VALUE, "invalid argument")"#,
            r#"DriverError(CUDA_ERROR_NO_BINARY_FOR_GPU, "no kernel image is available for execution on the device")"#,
            "shape mismatch in conv2d",
        ];
        for (texts, expected) in [(&lost[..], (true, false)), (&full, (false, true)), (&neither, (false, false))] {
            for text in texts {
                assert_eq!((is_lost(&said(text)), is_full(&said(text))), expected, "{text}");
            }
        }
    }
}
