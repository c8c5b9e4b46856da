//! The same sums in plain Rust.

use super::{COLUMNS, Isa, Sums, assert_whole};
use crate::{
    floats::{Bf16, Element, FloatSums, LINE, Line, Windows},
    packed::Group,
};

#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Isa for Portable {
    /// Without the instruction, `f32::mul_add` is a call into the C library. Every aarch64 has it.
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
    }

    #[inline(always)]
    fn tile<const R: usize>(self, rows: &[u8], stride: usize, panel: &[Group]) -> Sums<R> {
        assert_whole::<Self>(rows, stride, R, panel);
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

    #[inline(always)]
    fn floats<const R: usize, const V: usize>(
        self,
        rows: Windows<'_, f32>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    ) {
        rows.assert_whole(R, panel.len());
        tile(rows, panel, out, |sums, values, line| {
            for (sum, weight) in sums.iter_mut().zip(line.0) {
                *sum = Self::mul_add(values[0], f32::from_bits(weight), *sum);
            }
        })
    }

    #[inline(always)]
    fn halves<const R: usize, const V: usize>(
        self,
        rows: Windows<'_, Bf16>,
        panel: &[[Line; V]],
        out: &mut FloatSums<R>,
    ) {
        rows.assert_whole(R, panel.len());
        tile(rows, panel, out, |sums, values, line| {
            let [low, high] = [0, 1].map(|at| f32::from_bits(u32::from(values[at].0) << 16));
            for (sum, pair) in sums.iter_mut().zip(line.0) {
                *sum = Self::mul_add(low, f32::from_bits(pair << 16), *sum);
                *sum = Self::mul_add(high, f32::from_bits(pair & 0xffff_0000), *sum);
            }
        })
    }
}

/// Calls `step` with the sums of a row and a line, the values of a word, and the line.
#[inline(always)]
fn tile<E: Element, const R: usize, const V: usize>(
    rows: Windows<'_, E>,
    panel: &[[Line; V]],
    out: &mut FloatSums<R>,
    step: impl Fn(&mut [f32; LINE], &[E], &Line),
) {
    for part in 0..V {
        // Four rows at a time: the sums of more do not stay in registers.
        for first in (0..R).step_by(4) {
            let count = 4.min(R - first);
            let mut sums = [[0.0; LINE]; 4];
            for (at, line) in panel.iter().enumerate() {
                let within = at / rows.words * rows.pitch + at % rows.words * E::VALUES;
                for (row, sums) in sums[..count].iter_mut().enumerate() {
                    let from = rows.row(first + row) + within;
                    step(sums, &rows.values[from..from + E::VALUES], &line[part]);
                }
            }
            for (out, sums) in out[first..first + count].iter_mut().zip(sums) {
                out[LINE * part..LINE * (part + 1)].copy_from_slice(&sums);
            }
        }
    }
}
