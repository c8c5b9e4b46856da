//! The layers that the networks share, on any device and in any floating type.
//!
//! On a CPU they run on our own kernels, on maps whose channels lie last: convolution, norms and
//! activations of candle are scalar there. Elsewhere they are candle's operations. Which it is, the
//! weights decide when they are loaded ([`Weights::kernels`](crate::diffusers::weights::Weights::kernels)).

use candle_core::{DType, Tensor};

pub mod activation;
pub mod attention;
pub mod conv;
mod elementwise;
pub mod linear;
pub mod map;
pub mod norm;
pub mod resnet;

/// Whether the loops of this module apply to `tensor`.
fn is_plain(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}
