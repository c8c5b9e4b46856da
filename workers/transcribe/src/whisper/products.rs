//! The product of a few rows with a large matrix, which is what decoding consists of.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::kernels::{LANES, PARALLEL_VALUES, floats};

/// `x · matrixᵀ` for x (rows, inputs) and a matrix (outputs, inputs).
///
/// A single row, which is every step of decoding, is bound by reading the matrix: candle's
/// product reads it with one thread, this one with all.
pub(super) fn rows_times_transposed(x: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() && x.dim(0)? == 1 {
        return x.apply_op2_no_bwd(matrix, &RowTimesTransposed);
    }
    x.matmul(&matrix.t()?)
}

struct RowTimesTransposed;

impl CustomOp2 for RowTimesTransposed {
    fn name(&self) -> &'static str {
        "whisper-row-times-transposed"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        matrix: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (row, matrix) = (floats(x, x_layout)?, floats(matrix, layout)?);
        let mut out = vec![0f32; matrix.len() / row.len()];
        let arch = pulp::Arch::new();
        let each = PARALLEL_VALUES.div_ceil(row.len());
        let products = |(out, matrix): (&mut [f32], &[f32])| arch.dispatch(Products { out, row, matrix });
        if out.len() <= each {
            products((&mut out, matrix));
        } else {
            out.par_chunks_mut(each).zip(matrix.par_chunks(each * row.len())).for_each(products);
        }
        let shape = Shape::from((1, out.len()));
        Ok((CpuStorage::F32(out), shape))
    }
}

struct Products<'a> {
    out: &'a mut [f32],
    row: &'a [f32],
    matrix: &'a [f32],
}

impl pulp::NullaryFnOnce for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (out, line) in self.out.iter_mut().zip(self.matrix.chunks(self.row.len())) {
            *out = dot(self.row, line);
        }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const WIDTH: usize = 4 * LANES;
    let mut sums = [0f32; WIDTH];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<WIDTH>(), b.as_chunks::<WIDTH>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..WIDTH {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn spread(rows: usize, columns: usize) -> Tensor {
        let value = |i: usize| (i * 7919 % 2003) as f32 / 2003.0 - 0.5;
        let values: Vec<f32> = (0..rows * columns).map(value).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    }

    #[test]
    fn one_row_times_a_matrix_is_the_product_of_candle() {
        let (x, matrix) = (spread(1, 391), spread(777, 391));
        let expected = x.matmul(&matrix.t().unwrap()).unwrap();
        let difference = (rows_times_transposed(&x, &matrix).unwrap() - expected).unwrap();
        let largest = difference.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        assert!(largest.to_scalar::<f32>().unwrap() < 1e-4);
    }
}
