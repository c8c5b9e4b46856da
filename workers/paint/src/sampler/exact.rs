//! Arithmetic in double precision that is the same to the bit on every device.
//!
//! Each step of a formula is an operation of its own, because a compiler may fuse `a * b + c` within one and
//! round once where another device rounds twice. Additions, products and roundings alone are exact everywhere:
//! IEEE 754 leaves them no freedom.

use candle_core::{DType, Result, Tensor};

/// The model's answer to a prompt, and that without it, with so much guidance (arXiv:2207.12598).
///
/// # Errors
/// When the shapes differ, or the device fails.
pub fn guided(without: &Tensor, with: &Tensor, scale: f64) -> Result<Tensor> {
    let (without, with) = (double(without)?, double(with)?);
    let more = times(&(with - &without)?, scale)?;
    single(&(without + more)?)
}

/// In double precision.
pub(super) fn double(values: &Tensor) -> Result<Tensor> {
    values.to_dtype(DType::F64)
}

/// Rounded to single precision.
pub(super) fn single(values: &Tensor) -> Result<Tensor> {
    values.to_dtype(DType::F32)
}

/// Each of the values, in double precision, times a weight.
pub(super) fn times(values: &Tensor, weight: f64) -> Result<Tensor> {
    // candle has one kernel for a product and a sum, which a GPU fuses. Minus zero is what no product, fused or
    // not, changes by: zero would turn a product of minus zero into zero.
    if weight == 1.0 { Ok(values.clone()) } else { values.affine(weight, -0.0) }
}
