//! The layers that the networks share, on any device and in any floating type.
//!
//! On a CPU they run on our own kernels, on maps whose channels lie last: convolution, norms and
//! activations of candle are scalar there. Elsewhere they are candle's operations. Which it is, the
//! weights decide when they are loaded ([`Weights::kernels`](crate::diffusers::weights::Weights::kernels)).

use candle_core::{DType, Tensor};
use shanshui_model::gpu;

pub mod activation;
pub mod attention;
pub(crate) mod bands;
pub mod conv;
mod elementwise;
pub mod linear;
pub mod map;
pub mod norm;
pub mod resnet;

/// Kernels of a GPU count the elements of a tensor in 32 bits; of more than that some compute a part, and say
/// nothing. One picture of the largest size is far below this, many of them together may not be.
const MOST_ELEMENTS: usize = 1 << 31;

fn ensure_countable(elements: usize) -> candle_core::Result<()> {
    if elements >= MOST_ELEMENTS {
        candle_core::bail!("{elements} are {}", gpu::TOO_LARGE);
    }
    Ok(())
}

/// Whether the loops of this module apply to `tensor`.
fn is_plain(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}
