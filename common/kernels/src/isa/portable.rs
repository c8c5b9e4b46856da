//! The same sums in plain Rust.

use super::{COLUMNS, Isa, Sums, assert_whole};
use crate::packed::Group;

#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Isa for Portable {
    const LEVELS: u8 = u8::MAX;

    /// Without the instruction, `f32::mul_add` is a call into the C library. Every aarch64 has it.
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
    }

    #[inline(always)]
    fn tile<const R: usize>(self, rows: &[u8], stride: usize, panel: &[Group]) -> Sums<R> {
        assert_whole(rows, stride, R, panel);
        let mut sums = [[0; COLUMNS]; R];
        for (at, group) in panel.iter().enumerate() {
            for (row, sums) in sums.iter_mut().enumerate() {
                let first = row * stride + 4 * at;
                let four = [0, 1, 2, 3].map(|k| i32::from(rows[first + k]));
                for (sum, weights) in sums.iter_mut().zip(group.0.as_chunks::<4>().0) {
                    for k in 0..4 {
                        *sum += four[k] * i32::from(weights[k]);
                    }
                }
            }
        }
        sums
    }
}
