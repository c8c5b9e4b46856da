//! Matrix products, convolutions and attention on a CPU, for the models that compute there.
//!
//! Weights are packed once. In int8 they are signed bytes with a scale for each output, and activations
//! become unsigned bytes as they come, with a scale and a zero point for each row. [`floats`] has
//! products in f32 and bf16. Which instructions do the work is found out at run time ([`Path`]); all
//! paths read the same packed weights.

mod attention;
pub mod floats;
mod functions;
mod head;
mod isa;
mod linear;
mod memory;
mod own;
mod packed;
mod path;
mod quantised;
mod rows;

pub use attention::Scratch;
pub use head::KeysValues;
pub use linear::Then;
pub use packed::{Packed, Packing};
pub use path::{Kernels, Path, PathError};
pub use quantised::{Norm, Quantised};
pub use rows::Rows;
