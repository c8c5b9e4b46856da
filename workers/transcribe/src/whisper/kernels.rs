//! Operations where candle's own are slow on a CPU: softmax and GELU.
//!
//! They work on slices, which the compiler turns into AVX2 or AVX-512 code inside
//! [`pulp::Arch::dispatch`]. On other devices candle's operations do the same.

use candle_core::{CpuStorage, D, Error, InplaceOp1, InplaceOp2, Layout, Result, Tensor};
use rayon::prelude::*;

/// Softmax over the last axis; on a CPU in the memory of `scores`, which must be contiguous.
pub(super) fn softmax(scores: Tensor) -> Result<Tensor> {
    if scores.device().is_cpu() {
        scores.inplace_op1(&Softmax { row: scores.dim(D::Minus1)? })?;
        return Ok(scores);
    }
    candle_nn::ops::softmax_last_dim(&scores)
}

/// `gelu(x + bias)` over rows; on a CPU in the memory of `x`, which must be contiguous.
///
/// The exact GELU by the error function (Hendrycks and Gimpel, 2016), as Whisper was trained.
pub(super) fn bias_gelu(x: Tensor, bias: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        x.inplace_op2(bias, &BiasGelu)?;
        return Ok(x);
    }
    x.broadcast_add(bias)?.gelu_erf()
}

struct Softmax {
    row: usize,
}

impl InplaceOp1 for Softmax {
    fn name(&self) -> &'static str {
        "whisper-softmax"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let values = floats_mut(storage, layout)?;
        let arch = pulp::Arch::new();
        for row in values.chunks_mut(self.row) {
            arch.dispatch(SoftmaxRow(row));
        }
        Ok(())
    }
}

struct BiasGelu;

impl InplaceOp2 for BiasGelu {
    fn name(&self) -> &'static str {
        "whisper-bias-gelu"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, layout: &Layout, bias: &CpuStorage, bias_layout: &Layout) -> Result<()> {
        let values = floats_mut(x, layout)?;
        let bias = floats(bias, bias_layout)?;
        let arch = pulp::Arch::new();
        in_parallel(values, bias.len(), |rows| {
            for row in rows.chunks_mut(bias.len()) {
                arch.dispatch(GeluRow { row, bias });
            }
        });
        Ok(())
    }
}

/// Below this many values a second thread costs more than it brings.
pub(super) const PARALLEL_VALUES: usize = 1 << 14;

fn in_parallel(values: &mut [f32], row: usize, work: impl Fn(&mut [f32]) + Sync + Send) {
    if values.len() < PARALLEL_VALUES {
        return work(values);
    }
    let rows = PARALLEL_VALUES.div_ceil(row);
    values.par_chunks_mut(rows * row).for_each(work);
}

fn floats_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => Err(Error::Msg("this operation takes contiguous f32".to_owned())),
    }
}

pub(super) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => Err(Error::Msg("this operation takes contiguous f32".to_owned())),
    }
}

/// As many partial maxima and sums as the widest registers hold lanes: a single one would chain
/// every addition to the one before.
pub(super) const LANES: usize = 16;

struct SoftmaxRow<'a>(&'a mut [f32]);

impl pulp::NullaryFnOnce for SoftmaxRow<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let row = self.0;
        let largest = maximum(row);
        let mut sums = [0f32; LANES];
        let (blocks, rest) = row.as_chunks_mut::<LANES>();
        for block in blocks {
            for (value, sum) in block.iter_mut().zip(&mut sums) {
                *value = exp(*value - largest);
                *sum += *value;
            }
        }
        let mut total: f32 = sums.iter().sum();
        for value in rest {
            *value = exp(*value - largest);
            total += *value;
        }
        let scale = 1.0 / total;
        for value in row {
            *value *= scale;
        }
    }
}

/// `Σ e^(x - largest)` of values that are at most the largest.
pub(crate) fn sum_of_powers(values: &[f32], largest: f32) -> f32 {
    pulp::Arch::new().dispatch(SumOfPowers { values, largest })
}

struct SumOfPowers<'a> {
    values: &'a [f32],
    largest: f32,
}

impl pulp::NullaryFnOnce for SumOfPowers<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        // The compiler keeps the sums in memory: with so many, few wait for the one before.
        let mut sums = [0f32; 4 * LANES];
        let (blocks, rest) = self.values.as_chunks::<{ 4 * LANES }>();
        for block in blocks {
            for (value, sum) in block.iter().zip(&mut sums) {
                *sum += exp(*value - self.largest);
            }
        }
        let rest: f32 = rest.iter().map(|value| exp(*value - self.largest)).sum();
        sums.iter().sum::<f32>() + rest
    }
}

/// The largest of the values; minus infinity for none.
pub(crate) fn largest(values: &[f32]) -> f32 {
    pulp::Arch::new().dispatch(Largest(values))
}

struct Largest<'a>(&'a [f32]);

impl pulp::NullaryFnOnce for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        maximum(self.0)
    }
}

#[inline(always)]
fn maximum(row: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; 4 * LANES];
    let (blocks, rest) = row.as_chunks::<{ 4 * LANES }>();
    for block in blocks {
        for (value, largest) in block.iter().zip(&mut largest) {
            *largest = if *value > *largest { *value } else { *largest };
        }
    }
    largest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

struct GeluRow<'a> {
    row: &'a mut [f32],
    bias: &'a [f32],
}

impl pulp::NullaryFnOnce for GeluRow<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (value, bias) in self.row.iter_mut().zip(self.bias) {
            *value = gelu(*value + bias);
        }
    }
}

/// `x / 2 * (1 + erf(x / sqrt 2))`, the error function by Abramowitz and Stegun 7.1.26, whose
/// error of 1.5e-7 is that of f32 itself.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let erf = 1.0 - series * exp(-z * z);
    0.5 * (x + x.abs() * erf)
}

/// `e^x` for `x <= 0`, to the last bit but one: 2^n times the series of the rest, which is at
/// most ln 2 / 2. Values below -87 come out as the smallest normal number.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves no bits behind the point: rounding, and the integer in the
    // mantissa, without an instruction that some targets lack.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_145_75;
    const LN2_LOW: f32 = 1.428_606_8e-6;
    let x = if x > -87.0 { x } else { -87.0 };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let series =
        1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))))));
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    series * f32::from_bits(((exponent + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn spread(rows: usize, columns: usize) -> Tensor {
        let values: Vec<f32> = (0..rows * columns).map(|i| ((i * 7919 % 2003) as f32 / 2003.0 - 0.5) * 20.0).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn softmax_is_that_of_candle_also_where_a_mask_forbids() {
        let scores = spread(37, 101);
        let mask: Vec<f32> = (0..101).map(|i| if i > 60 { f32::NEG_INFINITY } else { 0.0 }).collect();
        let scores = scores.broadcast_add(&Tensor::new(mask, &Device::Cpu).unwrap()).unwrap();
        let expected = candle_nn::ops::softmax(&scores, 1).unwrap();
        assert!(largest_difference(&softmax(scores).unwrap(), &expected) < 1e-6);
    }

    #[test]
    fn gelu_is_the_exact_one_and_not_the_approximation_by_tanh() {
        let x = spread(300, 77);
        let bias = Tensor::arange(0f32, 77.0, &Device::Cpu).unwrap().affine(0.01, 0.0).unwrap();
        let expected = x.broadcast_add(&bias).unwrap().gelu_erf().unwrap();
        assert!(largest_difference(&bias_gelu(x, &bias).unwrap(), &expected) < 2e-6);
    }
}
