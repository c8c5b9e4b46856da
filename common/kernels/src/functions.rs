//! Functions of one value, which the compiler turns into vectors.

use crate::isa::Isa;

/// As many lanes as the widest registers have: partial maxima and sums of one value would chain every
/// step to the one before.
pub(crate) const LANES: usize = 16;

/// Adding 1.5 · 2^23 leaves no bits behind the point: rounding, and the integer in the mantissa,
/// without an instruction that some targets lack.
const ROUND: f32 = 12_582_912.0;

/// The nearest integer to a value from -2^22 to 2^22.
#[inline(always)]
pub(crate) fn nearest(x: f32) -> i32 {
    (x + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32
}

/// The larger one, in one instruction: [`f32::max`] looks for NaN, too.
#[inline(always)]
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The smaller one.
#[inline(always)]
pub(crate) fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// `2^x` for x from -126 to 127 to four digits, which is enough for a value that becomes a byte: the
/// cubic through the least squares of the relative error on half an octave to either side.
#[inline(always)]
pub(crate) fn exp2_roughly<I: Isa>(x: f32) -> f32 {
    let x = larger(x, -126.0);
    let shifted = x + ROUND;
    let rest = x - (shifted - ROUND);
    let series = I::mul_add(rest, 0.055_826_3, 0.240_139_7);
    let series = I::mul_add(series, rest, 0.693_153_6);
    let series = I::mul_add(series, rest, 1.0);
    // The power is added to the exponent, which stays above zero.
    f32::from_bits(series.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// `e^x` for `x <= 0`, to the last bit but one: 2^n times the series of the rest, which is at most
/// ln 2 / 2. Values below -87 come out as the smallest normal number.
#[inline(always)]
pub(crate) fn exp<I: Isa>(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_145_75;
    const LN2_LOW: f32 = 1.428_606_8e-6;
    let x = larger(x, -87.0);
    let shifted = I::mul_add(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let rest = I::mul_add(-n, LN2_LOW, I::mul_add(-n, LN2_HIGH, x));
    let mut series = 1.0 / 720.0;
    for factor in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = I::mul_add(series, rest, factor);
    }
    scale_by_power(series, shifted)
}

/// `e^x` for any x; it stays below infinity.
#[inline(always)]
pub(crate) fn exp_of<I: Isa>(x: f32) -> f32 {
    exp::<I>(smaller(x, 88.0))
}

/// Times two to the power of the integer in the mantissa of `shifted`.
#[inline(always)]
fn scale_by_power(x: f32, shifted: f32) -> f32 {
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    x * f32::from_bits(exponent.wrapping_add(127) << 23)
}

/// `x / 2 · (1 + erf(x / √2))`, the exact GELU (Hendrycks and Gimpel, 2016). The error function is
/// Abramowitz and Stegun's 7.1.26, whose error of 1.5e-7 is that of f32 itself.
#[inline(always)]
pub(crate) fn gelu<I: Isa>(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / I::mul_add(z, 0.327_591_1, 1.0);
    let mut series = 1.061_405_4;
    for factor in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        series = I::mul_add(series, t, factor);
    }
    let erf = I::mul_add(-series * t, exp::<I>(-z * z), 1.0);
    0.5 * I::mul_add(x.abs(), erf, x)
}

/// The GELU to within 0.0001, which is enough for a value that becomes a byte: the odd polynomial in x that is
/// least far from x times the normal distribution on -4.2 to 4.2, by Lawson's algorithm, and 1 at 4.2.
#[inline(always)]
pub(crate) fn gelu_roughly<I: Isa>(x: f32) -> f32 {
    let near = smaller(larger(x, -4.2), 4.2);
    let square = near * near;
    let mut series = -9.017_476e-10;
    for factor in [7.941_299e-8, -3.037_92e-6, 6.689_052e-5, -9.506_561e-4, 9.298_224e-3, -0.065_528_19, 0.398_465_87] {
        series = I::mul_add(series, square, factor);
    }
    x * I::mul_add(series, near, 0.5)
}

/// The largest of the values; minus infinity for none.
#[inline(always)]
pub(crate) fn maximum(values: &[f32]) -> f32 {
    extreme(values, f32::NEG_INFINITY, larger)
}

/// The least of the values; infinity for none.
#[inline(always)]
pub(crate) fn minimum(values: &[f32]) -> f32 {
    extreme(values, f32::INFINITY, smaller)
}

/// Four blocks are joined before they meet what was found, so that few steps wait for the one before.
#[inline(always)]
fn extreme(values: &[f32], start: f32, choose: impl Fn(f32, f32) -> f32) -> f32 {
    let mut found = [start; LANES];
    let (blocks, rest) = values.as_chunks::<{ 4 * LANES }>();
    for block in blocks {
        for (lane, found) in found.iter_mut().enumerate() {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| block[at * LANES + lane]);
            *found = choose(choose(choose(a, b), choose(c, d)), *found);
        }
    }
    let (blocks, rest) = rest.as_chunks::<LANES>();
    for block in blocks {
        for (found, value) in found.iter_mut().zip(block) {
            *found = choose(*value, *found);
        }
    }
    found.iter().chain(rest).copied().fold(start, choose)
}

/// The sum of what a function makes of pairs.
#[inline(always)]
pub(crate) fn sum_of(a: &[f32], b: &[f32], each: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut sums = [0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] = each(a[lane], b[lane], sums[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).fold(0.0, |sum, (a, b)| each(*a, *b, sum));
    sums.iter().sum::<f32>() + rest
}
