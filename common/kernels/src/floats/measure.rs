//! Whether bf16 is worth it on this CPU, which its name does not say: on one maker's the instruction
//! does twice the work of an f32 product, on another's half of it.

use std::time::{Duration, Instant};

use super::{Border, Dense, Grid, Operand, Precision, Prepare, Product, Shape, Window};
use crate::path::{Kernels, Path};

/// Tries of each, by turns, of which the quickest count: the others were disturbed. Two workers on the
/// same kind of machine must come to the same end, or a retried job would look otherwise.
const TRIES: usize = 64;

impl Kernels {
    /// Whether products of bf16 are a good deal faster than those of f32. Takes a millisecond or two to
    /// find out.
    #[must_use]
    pub fn prefers_bf16(self) -> bool {
        // Without the instruction, bf16 becomes f32 on its way.
        if self.path() != Path::Avx512Bf16 {
            return false;
        }
        let products = [Precision::F32, Precision::Bf16].map(|precision| Timed::new(self, precision));
        let mut quickest = [Duration::MAX; 2];
        for _ in 0..TRIES {
            for (quickest, product) in quickest.iter_mut().zip(&products) {
                *quickest = product.once(self).min(*quickest);
            }
        }
        let [exact, rounded] = quickest;
        rounded.mul_f64(1.25) < exact
    }
}

/// A product that is small enough for the nearest caches.
struct Timed {
    weights: Dense,
    operand: Operand,
}

impl Timed {
    fn new(kernels: Kernels, precision: Precision) -> Self {
        let shape = Shape { outputs: 64, inputs: 256, kernel: 1 };
        let weights = Dense::pack(precision, shape, &vec![0.5; shape.outputs * shape.inputs], &[]);
        let grid = Grid { batch: 1, height: 1, width: WIDTH, channels: shape.inputs };
        let source = vec![0.5; grid.len()];
        let operand = kernels.operand((&source, grid), Prepare::Keep, precision, ([1, grid.width], Border::NONE));
        Self { weights, operand }
    }

    fn once(&self, kernels: Kernels) -> Duration {
        let mut out = [0.0; WIDTH * 64];
        let start = Instant::now();
        let window = Window { kernel: 1, stride: 1 };
        kernels.product((&self.operand, window), &self.weights, Product::default(), &mut out);
        start.elapsed()
    }
}

const WIDTH: usize = 48;
