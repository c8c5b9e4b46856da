//! The layers that the networks share, on any device and in any floating type.
//!
//! On a CPU in f32 they run on our own loops around candle's matrix product, because candle's
//! convolution, norms and activations for the CPU are scalar; elsewhere they are candle's operations.

use candle_core::{DType, Tensor};

pub mod activation;
pub mod attention;
pub mod conv;
mod elementwise;
mod im2col;
pub mod linear;
pub mod norm;
pub mod resnet;

/// Whether the loops of this module apply to `tensor`.
fn is_plain(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}
