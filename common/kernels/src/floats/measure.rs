//! Whether bf16 is worth it on this CPU, which its name does not say: on one maker's the instruction
//! does twice the work of an f32 product, on another's half of it.

use std::time::{Duration, Instant};

use super::{Border, Dense, Grid, Precision, Prepare, Product, Shape, Window};
use crate::path::{Kernels, Path};

/// Tries, of which the quickest counts: the others were disturbed.
const TRIES: usize = 16;

impl Kernels {
    /// Whether products of bf16 are a good deal faster than those of f32. Takes a millisecond or two to
    /// find out.
    #[must_use]
    pub fn prefers_bf16(self) -> bool {
        // Without the instruction, bf16 becomes f32 on its way.
        let [exact, rounded] = match self.path() {
            Path::Avx512Bf16 => [Precision::F32, Precision::Bf16].map(|precision| self.time(precision)),
            _ => return false,
        };
        rounded.mul_f64(1.25) < exact
    }

    fn time(self, precision: Precision) -> Duration {
        let shape = Shape { outputs: 64, inputs: 256, kernel: 1 };
        let weights = Dense::pack(precision, shape, &vec![0.5; shape.outputs * shape.inputs], &[]);
        let grid = Grid { batch: 1, height: 1, width: 48, channels: shape.inputs };
        let source = vec![0.5; grid.len()];
        let operand = self.operand((&source, grid), Prepare::Keep, precision, ([1, grid.width], Border::NONE));
        let mut out = vec![0.0; grid.width * shape.outputs];
        let mut once = || {
            let start = Instant::now();
            self.product(&operand, Window { kernel: 1, stride: 1 }, &weights, Product::default(), &mut out);
            start.elapsed()
        };
        (0..TRIES).map(|_| once()).min().unwrap_or_default()
    }
}
