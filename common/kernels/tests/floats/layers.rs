//! Gated layers and attention.

use shanshui_kernels::{
    Kernels,
    floats::{Border, Dense, Grid, Precision, Prepare, Product, Shape, Window},
};

use super::{PRECISIONS, Values, allowed, convolve, doubles, error};

#[test]
fn gated_products_are_those_of_f64() {
    let mut values = Values(7);
    for (pixels, inputs, outputs) in [(1, 10, 32), (25, 33, 96), (13, 7, 34), (5, 8, 6)] {
        let grid = Grid { batch: 1, height: 1, width: pixels, channels: inputs };
        let shape = Shape { outputs, inputs, kernel: 1 };
        let (source, weights, bias) = (values.many(grid.len()), values.many(outputs * inputs), values.many(outputs));
        let window = Window { kernel: 1, stride: 1 };
        let plain = convolve((&doubles(&source), grid), Border::NONE, window, &weights, outputs);
        let half = outputs / 2;
        let expected: Vec<f64> = (0..pixels * half)
            .map(|at| {
                let of = |output: usize| plain[at / half * outputs + output] + f64::from(bias[output]);
                of(at % half) * gelu(of(half + at % half))
            })
            .collect();
        for precision in PRECISIONS {
            let packed = Dense::pack_gated(precision, shape, &weights, &bias);
            let unit: Vec<f32> = (0..half * half).map(|at| f32::from(u8::from(at % half == at / half))).collect();
            let unit = Dense::pack(precision, Shape { outputs: half, inputs: half, kernel: 1 }, &unit, &[]);
            for kernels in Kernels::available() {
                let to = ([1, pixels], Border::NONE);
                let operand = kernels.operand((&source, grid), Prepare::Keep, precision, to);
                let gated = kernels.gated_product(&operand, &packed);
                let mut out = vec![f32::NAN; pixels * half];
                kernels.product((&gated, window), &unit, Product::default(), &mut out);
                let error = error(&out, &expected);
                assert!(error < 2.0 * allowed(precision), "{} {precision:?} {pixels}: {error}", kernels.path());
            }
        }
    }
}

fn gelu(x: f64) -> f64 {
    // The error function by its series, which converges everywhere.
    let z = x / std::f64::consts::SQRT_2;
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    let erf = if z.abs() > 5.0 { z.signum() } else { sum * std::f64::consts::FRAC_2_SQRT_PI };
    x / 2.0 * (1.0 + erf)
}

/// Attention, query by query.
fn attend(queries: &[f32], [keys, values]: [&[f32]; 2], [batch, seen, heads, width]: [usize; 4]) -> Vec<f64> {
    let channels = heads * width;
    let asked = queries.len() / channels / batch;
    let mut out = vec![0.0; queries.len()];
    for place in 0..batch * asked * heads {
        let (head, query) = (place % heads, place / heads);
        let of = |all: &[f32], token: usize| doubles(&all[token * channels + head * width..][..width]);
        let asks = of(queries, query);
        let first = query / asked * seen;
        let dot = |key: usize| of(keys, first + key).iter().zip(&asks).map(|(a, b)| a * b).sum::<f64>();
        let scores: Vec<f64> = (0..seen).map(dot).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
        for (key, score) in scores.iter().enumerate() {
            let weight = (score - largest).exp() / total;
            let out = &mut out[query * channels + head * width..][..width];
            out.iter_mut().zip(of(values, first + key)).for_each(|(out, value)| *out += weight * value);
        }
    }
    out
}

#[test]
fn attention_of_every_shape_is_that_of_f64() {
    // The last has scores that grow from block to block, and more keys than a block holds.
    let cases = [[1, 1, 1, 1, 1], [2, 5, 77, 3, 8], [1, 130, 64, 2, 40], [2, 14, 33, 1, 70], [1, 40, 1100, 2, 24]];
    for (at, [batch, asked, seen, heads, width]) in cases.into_iter().enumerate() {
        let mut random = Values(at as u64);
        let channels = heads * width;
        let queries: Vec<f32> = random.many(batch * asked * channels).iter().map(|value| 2.0 * value).collect();
        let (mut keys, values) = (random.many(batch * seen * channels), random.many(batch * seen * channels));
        if seen > 1000 {
            let token = |at: usize| (at / channels) as f32 / 500.0;
            keys.iter_mut().enumerate().for_each(|(at, key)| *key *= token(at));
        }
        let expected = attend(&queries, [&keys, &values], [batch, seen, heads, width]);
        let unit: Vec<f32> =
            (0..channels * channels).map(|at| f32::from(u8::from(at % channels == at / channels))).collect();
        let shape = Shape { outputs: channels, inputs: channels, kernel: 1 };
        for precision in PRECISIONS {
            let unit = Dense::pack(precision, shape, &unit, &[]);
            for kernels in Kernels::available() {
                let heads = kernels.heads(precision, [&keys, &values], [batch, seen, heads, width]);
                let grid = Grid { batch, height: 1, width: asked, channels };
                let found = kernels.attend_heads((&queries, grid), &heads);
                let mut out = vec![f32::NAN; queries.len()];
                kernels.product((&found, Window { kernel: 1, stride: 1 }), &unit, Product::default(), &mut out);
                let error = error(&out, &expected);
                let allowed = if precision == Precision::F32 { 2e-6 } else { 0.015 };
                assert!(error < allowed, "{} {precision:?} {asked}x{seen}x{width}: {error}", kernels.path());
            }
        }
    }
}
