//! Convolutions, norms and attention of floats on every path that this CPU has, against sums in f64.

mod layers;
mod parts;

use shanshui_kernels::{
    Kernels, Norm,
    floats::{Border, Dense, Doubled, Grid, Paired, Precision, Prepare, Product, Shape, Window},
};

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Bf16];

/// Repeatable values from -1 to 1.
struct Values(u64);

impl Values {
    fn many(&mut self, count: usize) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }
}

/// Root of the mean square of the difference, relative to that of what is expected.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let difference = square(&mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - b));
    (difference / square(&mut expected.iter().copied())).sqrt()
}

/// bf16 has eight bits: it errs by a fifth of a percent, and so do weights.
fn allowed(precision: Precision) -> f64 {
    if precision == Precision::F32 { 1e-6 } else { 0.004 }
}

/// A convolution, pixel by pixel.
fn convolve(
    (source, grid): (&[f64], Grid),
    border: Border,
    window: Window,
    weights: &[f32],
    outputs: usize,
) -> Vec<f64> {
    let Grid { batch, height, width, channels } = grid;
    let places = |side: usize| (side + border.before + border.after - window.kernel) / window.stride + 1;
    let (high, wide) = (places(height), places(width));
    let mut out = Vec::new();
    for at in 0..batch * high * wide * outputs {
        let (output, pixel) = (at % outputs, at / outputs);
        let (x, y, picture) = (pixel % wide, pixel / wide % high, pixel / wide / high);
        let mut sum = 0.0;
        for tap in 0..window.kernel * window.kernel {
            let down = (y * window.stride + tap / window.kernel).checked_sub(border.before).filter(|y| *y < height);
            let right = (x * window.stride + tap % window.kernel).checked_sub(border.before).filter(|x| *x < width);
            let Some((y, x)) = down.zip(right) else { continue };
            let pixel = &source[((picture * height + y) * width + x) * channels..][..channels];
            let weights = &weights[output * channels * window.kernel * window.kernel..];
            for (channel, value) in pixel.iter().enumerate() {
                sum += value * f64::from(weights[channel * window.kernel * window.kernel + tap]);
            }
        }
        out.push(sum);
    }
    out
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Grid, border, window, outputs.
type Case = ([usize; 4], [usize; 2], [usize; 2], usize);

const CASES: [Case; 11] = [
    ([1, 1, 1, 4], [0, 0], [1, 1], 1),
    ([2, 1, 1, 37], [0, 0], [1, 1], 33),
    ([1, 7, 25, 5], [1, 1], [3, 1], 16),
    ([2, 8, 8, 32], [1, 1], [3, 1], 48),
    ([3, 5, 16, 3], [1, 1], [3, 2], 70),
    ([1, 9, 7, 8], [0, 1], [3, 2], 3),
    ([2, 3, 13, 64], [0, 0], [1, 1], 100),
    ([1, 6, 6, 16], [0, 0], [2, 2], 20),
    ([2, 30, 31, 12], [1, 1], [3, 1], 64),
    ([2, 3, 4, 10], [1, 1], [3, 1], 33),
    ([3, 8, 8, 6], [1, 1], [3, 2], 20),
];

#[test]
fn convolutions_of_every_shape_are_those_of_f64() {
    for (at, (sizes, border, window, outputs)) in CASES.into_iter().enumerate() {
        let mut values = Values(at as u64);
        let [batch, height, width, channels] = sizes;
        let grid = Grid { batch, height, width, channels };
        let [border, window] = [(border[0], border[1]), (window[0], window[1])];
        let border = Border { before: border.0, after: border.1 };
        let window = Window { kernel: window.0, stride: window.1 };
        let source = values.many(grid.len());
        let shape = Shape { outputs, inputs: channels, kernel: window.kernel };
        let (weights, bias) = (values.many(outputs * channels * window.kernel.pow(2)), values.many(outputs));
        let mut expected = convolve((&doubles(&source), grid), border, window, &weights, outputs);
        let pixels = expected.len() / outputs;
        let (extra, add) = (values.many(batch * outputs), values.many(expected.len()));
        for (place, value) in expected.iter_mut().enumerate() {
            let picture = place / (pixels / batch * outputs);
            let output = place % outputs;
            *value += f64::from(bias[output]) + f64::from(extra[picture * outputs + output]) + f64::from(add[place]);
            *value = value.max(0.0);
        }
        for precision in PRECISIONS {
            let packed = Dense::pack(precision, shape, &weights, &bias);
            for kernels in Kernels::available() {
                let operand = kernels.operand((&source, grid), Prepare::Keep, precision, ([height, width], border));
                // Half of them as a residual, half onto what is there.
                let onto = at % 2 == 1;
                let then = Product { extra: Some(&extra), add: (!onto).then_some(&add), onto, relu: true };
                let mut out = if onto { add.clone() } else { vec![f32::NAN; expected.len()] };
                kernels.product((&operand, window), &packed, then, &mut out);
                let error = error(&out, &expected);
                assert!(error < allowed(precision), "{} {precision:?} {sizes:?}: {error}", kernels.path());
            }
        }
    }
}

#[test]
fn convolutions_by_pairs_are_those_of_f64() {
    let cases = [([1, 1, 1, 3], 5), ([2, 5, 13, 6], 33), ([1, 3, 50, 20], 16), ([3, 4, 32, 4], 64), ([2, 5, 8, 6], 40)];
    for (at, (sizes, outputs)) in cases.into_iter().enumerate() {
        let mut values = Values(at as u64);
        let [batch, height, width, channels] = sizes;
        let grid = Grid { batch, height, width, channels };
        let source = values.many(grid.len());
        let shape = Shape { outputs, inputs: channels, kernel: 3 };
        let (weights, bias) = (values.many(outputs * channels * 9), values.many(outputs));
        let (extra, add) = (values.many(batch * outputs), values.many(grid.pixels() * outputs));
        let (border, window) = (Border { before: 1, after: 1 }, Window { kernel: 3, stride: 1 });
        let mut expected = convolve((&doubles(&source), grid), border, window, &weights, outputs);
        for (place, value) in expected.iter_mut().enumerate() {
            let (output, picture) = (place % outputs, place / (height * width * outputs));
            *value += f64::from(bias[output]) + f64::from(extra[picture * outputs + output]) + f64::from(add[place]);
        }
        for precision in PRECISIONS {
            let packed = Paired::pack(precision, shape, &weights, &bias);
            assert_eq!((packed.shape(), packed.precision()), (shape, precision));
            for kernels in Kernels::available() {
                let operand = kernels.pairs((&source, grid), Prepare::Keep, precision, border);
                let then = Product { extra: Some(&extra), add: Some(&add), ..Product::default() };
                let mut out = vec![f32::NAN; expected.len()];
                kernels.paired_product(&operand, &packed, then, &mut out);
                let error = error(&out, &expected);
                assert!(error < 1.5 * allowed(precision), "{} {precision:?} {sizes:?}: {error}", kernels.path());
            }
        }
    }
}

#[test]
fn a_doubled_map_is_convolved_as_if_it_were_large() {
    for (at, (sizes, outputs)) in
        [([1, 1, 1, 3], 5), ([2, 9, 13, 6], 33), ([1, 40, 17, 4], 16), ([2, 3, 4, 7], 33)].into_iter().enumerate()
    {
        let mut values = Values(at as u64);
        let [batch, height, width, channels] = sizes;
        let grid = Grid { batch, height, width, channels };
        let source = values.many(grid.len());
        let shape = Shape { outputs, inputs: channels, kernel: 3 };
        let (weights, bias) = (values.many(outputs * channels * 9), values.many(outputs));
        let large = Grid { height: 2 * height, width: 2 * width, ..grid };
        let pixel = |at: usize| {
            let (x, y, picture) = (at % large.width, at / large.width % large.height, at / large.width / large.height);
            ((picture * height + y / 2) * width + x / 2) * channels
        };
        let doubled: Vec<f64> =
            (0..large.pixels()).flat_map(|at| doubles(&source[pixel(at)..pixel(at) + channels])).collect();
        let (border, window) = (Border { before: 1, after: 1 }, Window { kernel: 3, stride: 1 });
        let mut expected = convolve((&doubled, large), border, window, &weights, outputs);
        for (place, value) in expected.iter_mut().enumerate() {
            *value += f64::from(bias[place % outputs]);
            *value = if at == 1 { value.max(0.0) } else { *value };
        }
        for precision in PRECISIONS {
            let packed = Doubled::pack(precision, shape, &weights, &bias);
            assert_eq!((packed.shape(), packed.precision()), (shape, precision));
            for kernels in Kernels::available() {
                let operand = kernels.operand((&source, grid), Prepare::Keep, precision, ([height, width], border));
                let mut out = vec![f32::NAN; expected.len()];
                kernels.doubled_product(&operand, &packed, at == 1, &mut out);
                let error = error(&out, &expected);
                assert!(error < allowed(precision), "{} {precision:?} {sizes:?}: {error}", kernels.path());
            }
        }
    }
}

fn norm(values: &mut Values, width: usize) -> Norm {
    Norm { weight: values.many(width), bias: values.many(width), epsilon: 1e-5 }
}

/// Multiplies by the unit matrix, to see what an operand holds.
fn look(kernels: Kernels, source: &[f32], grid: Grid, prepare: Prepare<'_>, to: [usize; 2]) -> Vec<f32> {
    let channels = grid.channels;
    let unit: Vec<f32> =
        (0..channels * channels).map(|at| f32::from(u8::from(at % channels == at / channels))).collect();
    let shape = Shape { outputs: channels, inputs: channels, kernel: 1 };
    let packed = Dense::pack(Precision::F32, shape, &unit, &[]);
    let operand = kernels.operand((source, grid), prepare, Precision::F32, (to, Border::NONE));
    let mut out = vec![f32::NAN; grid.batch * to[0] * to[1] * channels];
    kernels.product((&operand, Window { kernel: 1, stride: 1 }), &packed, Product::default(), &mut out);
    out
}

#[test]
fn norms_and_activations_are_those_of_f64() {
    let mut values = Values(5);
    let grid = Grid { batch: 2, height: 45, width: 53, channels: 12 };
    let (groups, area) = (4, grid.height * grid.width);
    // Far from zero, where the square of the mean takes digits from the variance.
    let source: Vec<f32> = values.many(grid.len()).iter().map(|value| 4.0 + value).collect();
    let norm = norm(&mut values, 12);
    let mut expected = vec![0.0; source.len()];
    for (picture, values) in source.chunks(area * 12).enumerate() {
        for group in 0..groups {
            let places = || (0..area).flat_map(|pixel| (0..3).map(move |at| pixel * 12 + group * 3 + at));
            let mean = places().map(|at| f64::from(values[at])).sum::<f64>() / (3 * area) as f64;
            let squares = places().map(|at| (f64::from(values[at]) - mean).powi(2)).sum::<f64>();
            let scale = (squares / (3 * area) as f64 + 1e-5).sqrt().recip();
            for at in places() {
                let (weight, bias) = (f64::from(norm.weight[at % 12]), f64::from(norm.bias[at % 12]));
                expected[picture * area * 12 + at] = (f64::from(values[at]) - mean) * scale * weight + bias;
            }
        }
    }
    let silu: Vec<f64> = expected.iter().map(|x| x / (1.0 + (-x).exp())).collect();
    for kernels in Kernels::available() {
        let affine = kernels.group_norm((&source, grid), groups, &norm);
        let to = [grid.height, grid.width];
        let plain = error(&look(kernels, &source, grid, Prepare::Affine(&affine), to), &expected);
        let bent = error(&look(kernels, &source, grid, Prepare::AffineSilu(&affine), to), &silu);
        assert!(plain < 2e-6 && bent < 2e-6, "{} {plain} {bent}", kernels.path());
    }
}

#[test]
fn silu_stays_finite_far_from_zero_and_relu_cuts() {
    let grid = Grid { batch: 1, height: 1, width: 1, channels: 6 };
    let source = [-1e30, -200.0, -0.5, 0.0, 200.0, 1e30_f32];
    let norm = Norm { weight: vec![1.0; 6], bias: vec![0.0; 6], epsilon: 1e-5 };
    for kernels in Kernels::available() {
        let affine = kernels.group_norm((&[0.0; 6], grid), 1, &Norm { epsilon: 1.0, ..norm.clone() });
        let bent = look(kernels, &source, grid, Prepare::AffineSilu(&affine), [1, 1]);
        assert!(bent.iter().all(|value| value.is_finite()), "{bent:?}");
        assert!((bent[2] + 0.188_770_33).abs() < 1e-6 && (bent[4] - 200.0).abs() < 1e-3, "{bent:?}");
        let cut = look(kernels, &source, grid, Prepare::Relu, [1, 1]);
        assert_eq!(cut, [0.0, 0.0, 0.0, 0.0, 200.0, 1e30]);
    }
}

#[test]
fn a_map_is_enlarged_to_the_nearest_pixels() {
    let grid = Grid { batch: 2, height: 2, width: 3, channels: 1 };
    let source: Vec<f32> = (0..12).map(|at| at as f32).collect();
    for kernels in Kernels::available() {
        let double = look(kernels, &source, grid, Prepare::Keep, [4, 6]);
        assert_eq!(double[..12], [0., 0., 1., 1., 2., 2., 0., 0., 1., 1., 2., 2.]);
        assert_eq!(double[42..], [9., 9., 10., 10., 11., 11.]);
        let uneven = look(kernels, &source, grid, Prepare::Keep, [3, 5]);
        assert_eq!(uneven[..15], [0., 0., 1., 1., 2., 0., 0., 1., 1., 2., 3., 3., 4., 4., 5.]);
    }
}
