//! Every path that this CPU has, against sums in f64.

use shanshui_kernels::{Kernels, KeysValues, Norm, Packed, Packing, Path, Quantised, Rows, Scratch, Then};

/// Repeatable values, roughly normal, with an outlier here and there as activations have.
struct Values(u64);

impl Values {
    fn next(&mut self) -> f32 {
        let mut uniform = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        let value: f32 = (0..4).map(|_| uniform()).sum();
        if uniform() > 0.495 { 2.0 * value } else { value }
    }

    fn many(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

fn pack(weights: &[f32], bias: &[f32], inputs: usize) -> Packed {
    let mut packing = Packing::new(bias.len(), inputs);
    weights.chunks(inputs).for_each(|row| packing.push(row));
    packing.finish(bias)
}

fn quantise(kernels: Kernels, rows: &[f32], width: usize) -> Quantised {
    let mut quantised = Quantised::new(width);
    kernels.quantise(Rows::of(rows, width), rows.len() / width, &mut quantised);
    quantised
}

fn product(rows: &[f32], weights: &[f32], bias: &[f32], inputs: usize) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let row = |row| weights.chunks(inputs).zip(bias).map(move |(w, bias)| dot(row, w) + f64::from(*bias));
    rows.chunks(inputs).flat_map(row).collect()
}

/// Root of the mean square of the difference, relative to that of what is expected.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let difference = square(&mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - b));
    (difference / square(&mut expected.iter().copied())).sqrt()
}

/// Bytes of activations err by half a step of 255. With words, only the bytes of the weights are left.
fn allowed(kernels: Kernels) -> f64 {
    if kernels.path() == Path::Avx2 { 0.012 } else { 0.016 }
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

#[test]
fn products_of_every_shape_are_those_of_f64() {
    let shapes =
        [(1, 4, 1), (1, 512, 1000), (2, 3, 65), (3, 240, 64), (5, 77, 130), (6, 512, 64), (7, 1, 63), (96, 384, 192)];
    for (count, inputs, outputs) in shapes {
        let mut values = Values(inputs as u64);
        let (rows, weights) = (values.many(count * inputs), values.many(outputs * inputs));
        let bias = values.many(outputs);
        let expected = product(&rows, &weights, &bias, inputs);
        let packed = pack(&weights, &bias, inputs);
        assert_eq!((packed.inputs(), packed.outputs()), (inputs, outputs));
        for kernels in Kernels::available() {
            let quantised = quantise(kernels, &rows, inputs);
            let mut out = vec![f32::NAN; count * outputs];
            kernels.linear(&quantised, &packed, Then::Keep, &mut out);
            let error = error(&out, &expected);
            assert!(error < allowed(kernels), "{} {count}x{inputs}x{outputs}: {error}", kernels.path());
        }
    }
}

#[test]
fn rows_of_two_bytes_leave_only_the_error_of_the_weights() {
    for (count, inputs, outputs) in [(1, 512, 70), (7, 77, 64), (12, 2048, 5)] {
        let mut values = Values(inputs as u64);
        let (mut rows, weights) = (values.many(count * inputs), values.many(outputs * inputs));
        // One value beside which the others are nearly zero, as activations have them.
        rows[1] = 300.0;
        let bias = values.many(outputs);
        let packed = pack(&weights, &bias, inputs);
        let rounded: Vec<f32> = (0..outputs).flat_map(|output| packed.row(output)).collect();
        let mut expected = product(&rows, &rounded, &bias, inputs);
        let large = |output: usize| 300.0 * f64::from(rounded[output * inputs + 1]);
        for kernels in Kernels::available() {
            let mut quantised = Quantised::fine(inputs);
            kernels.quantise(Rows::of(&rows, inputs), count, &mut quantised);
            let mut out = vec![f32::NAN; count * outputs];
            kernels.linear(&quantised, &packed, Then::Keep, &mut out);
            // What is left beside the large value, in the first row.
            for output in 0..outputs {
                out[output] -= large(output) as f32;
                expected[output] -= large(output);
            }
            let error = error(&out, &expected);
            // Words have fewer steps the longer a row is.
            let steps = if kernels.path() == Path::Avx2 { 3.0 } else { 1.0 };
            assert!(error < 0.005 * steps, "{} {count}x{inputs}x{outputs}: {error}", kernels.path());
            (0..outputs).for_each(|output| expected[output] += large(output));
        }
    }
}

#[test]
fn the_longest_sums_of_the_largest_values_do_not_overflow() {
    for inputs in [512, 2048, 5120, 20_000] {
        let (rows, weights) = (vec![3.0; 2 * inputs], vec![-1.0; inputs]);
        let packed = pack(&weights, &[0.0], inputs);
        for kernels in Kernels::available() {
            for mut quantised in [Quantised::new(inputs), Quantised::fine(inputs)] {
                kernels.quantise(Rows::of(&rows, inputs), 2, &mut quantised);
                let mut out = vec![f32::NAN; 2];
                kernels.linear(&quantised, &packed, Then::Keep, &mut out);
                let expected = vec![-3.0 * inputs as f64; 2];
                assert!(error(&out, &expected) < 1e-5, "{} {inputs}: {out:?}", kernels.path());
            }
        }
    }
}

#[test]
fn all_threads_together_make_the_product_of_one() {
    let mut values = Values(3);
    let (inputs, outputs) = (64, 10_007);
    let (rows, weights, bias) = (values.many(5 * inputs), values.many(inputs * outputs), values.many(outputs));
    let packed = pack(&weights, &bias, inputs);
    let threads = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for (kernels, count) in Kernels::available().flat_map(|kernels| [1, 2, 5].map(|count| (kernels, count))) {
        let quantised = quantise(kernels, &rows[..count * inputs], inputs);
        let (mut one, mut all) = (vec![0.0; count * outputs], vec![0.0; count * outputs]);
        kernels.linear(&quantised, &packed, Then::Keep, &mut one);
        threads.install(|| kernels.linear_wide(&quantised, &packed, 0..outputs, &mut all));
        assert_eq!(one, all, "{} {count}", kernels.path());
        for part in [100..9_000, 9_990..10_001, 64..128, 5..5] {
            let around = packed.around(part.clone());
            assert!(around.start <= part.start && part.end <= around.end && around.len() < part.len() + 128);
            let mut some = vec![0.0; count * around.len()];
            threads.install(|| kernels.linear_wide(&quantised, &packed, around.clone(), &mut some));
            let whole = one.chunks(outputs).flat_map(|row| &row[around.clone()]);
            assert!(whole.eq(&some), "{} {count} {part:?}", kernels.path());
        }
    }
}

#[test]
fn what_is_done_with_a_product_is_done_to_it_and_its_bias() {
    let mut values = Values(5);
    let (count, inputs, outputs) = (7, 128, 100);
    let (rows, weights) = (values.many(count * inputs), values.many(outputs * inputs));
    let (bias, before) = (values.many(outputs), values.many(count * outputs));
    let packed = pack(&weights, &bias, inputs);
    let plain = product(&rows, &weights, &bias, inputs);
    let also = |values: Vec<f64>| values.iter().zip(&before).map(|(a, b)| a + f64::from(*b)).collect::<Vec<_>>();
    let bent: Vec<f64> = plain.iter().map(|value| gelu(*value)).collect();
    let cases = [(Then::Add, also(plain)), (Then::Gelu, bent.clone()), (Then::GeluAdd, also(bent))];
    for kernels in Kernels::available() {
        let quantised = quantise(kernels, &rows, inputs);
        for (then, expected) in &cases {
            let mut out = before.clone();
            kernels.linear(&quantised, &packed, *then, &mut out);
            let error = error(&out, expected);
            assert!(error < allowed(kernels), "{} {then:?}: {error}", kernels.path());
        }
    }
}

#[test]
fn rows_are_normalised_before_they_become_bytes() {
    let mut values = Values(7);
    let (count, width, outputs) = (5, 130, 70);
    let rows: Vec<f32> = values.many(count * width).iter().map(|value| 3.0 * value + 1.0).collect();
    let norm = Norm { weight: values.many(width), bias: values.many(width), epsilon: 1e-5 };
    let mut normed = Vec::new();
    for row in rows.chunks(width) {
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / width as f64;
        let scale = (variance + 1e-5).sqrt().recip();
        let pairs = row.iter().zip(&norm.weight).zip(&norm.bias);
        normed.extend(pairs.map(|((x, w), b)| ((f64::from(*x) - mean) * scale * f64::from(*w) + f64::from(*b)) as f32));
    }
    let (weights, bias) = (values.many(outputs * width), vec![0.0; outputs]);
    let (expected, packed) = (product(&normed, &weights, &bias, width), pack(&weights, &bias, width));
    for kernels in Kernels::available() {
        let mut quantised = Quantised::new(width);
        kernels.norm_quantise(Rows::of(&rows, width), count, &norm, &mut quantised);
        let mut out = vec![0.0; count * outputs];
        kernels.linear(&quantised, &packed, Then::Keep, &mut out);
        let error = error(&out, &expected);
        assert!(error < allowed(kernels), "{}: {error}", kernels.path());
    }
}

fn row(rows: Rows<'_>, at: usize) -> &[f32] {
    &rows.values[rows.first + at * rows.stride..][..rows.width]
}

fn softmax(query: &[f32], keys: Rows<'_>, length: usize) -> Vec<f64> {
    let score = |at| row(keys, at).iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let weights: Vec<f64> = (0..length).map(|at| f64::exp(score(at))).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// One head of several in a matrix, and the mean that f64 makes of it.
fn attention(query: &[f32], keys: Rows<'_>, values: Rows<'_>, length: usize) -> Vec<f64> {
    let mut out = vec![0.0; values.width];
    for (at, weight) in softmax(query, keys, length).into_iter().enumerate() {
        out.iter_mut().zip(row(values, at)).for_each(|(out, value)| *out += weight * f64::from(*value));
    }
    out
}

#[test]
fn attention_to_any_number_of_keys_is_that_of_f64() {
    for (queries, length, width) in [(1, 1, 64), (1, 1500, 64), (4, 3, 60), (7, 64, 64), (13, 130, 17), (6, 449, 32)] {
        let mut source = Values(length as u64);
        let stride = 3 * width + 5;
        let matrix = source.many(queries.max(length) * stride);
        let part = |first| Rows { values: &matrix, first, stride, width };
        let (asked, keys, values) = (part(0), part(width), part(2 * width));
        let query = |at: usize| &matrix[at * stride..at * stride + width];
        let expected: Vec<f64> = (0..queries).flat_map(|at| attention(query(at), keys, values, length)).collect();
        for kernels in Kernels::available() {
            let (mut packed, mut scratch) = (KeysValues::default(), Scratch::default());
            // What was packed before leaves no trace.
            kernels.pack_head(values, keys, length.min(2), &mut packed);
            kernels.pack_head(keys, values, length, &mut packed);
            let mut out = vec![f32::NAN; queries * width];
            kernels.attend(asked, &packed, &mut scratch, &mut out);
            let wrong = error(&out, &expected);
            assert!(wrong < 3.0 * allowed(kernels), "{} {queries}x{length}x{width}: {wrong}", kernels.path());
            let weights: Vec<f32> = scratch.last_weights().collect();
            let wrong = error(&weights, &softmax(query(queries - 1), keys, length));
            assert!(wrong < 3.0 * allowed(kernels), "{} {queries}x{length}x{width} weights: {wrong}", kernels.path());
            for (out, at) in out.chunks_mut(width).zip(0..) {
                kernels.attend_floats(query(at), [keys, values], length, out);
            }
            assert!(error(&out, &expected) < 1e-5, "{} {queries}x{length}x{width} as floats", kernels.path());
        }
    }
}

#[test]
fn a_packed_matrix_gives_its_rows_back() {
    let mut values = Values(11);
    let (inputs, outputs) = (70, 67);
    let weights = values.many(inputs * outputs);
    let packed = pack(&weights, &vec![0.0; outputs], inputs);
    for (output, row) in weights.chunks(inputs).enumerate() {
        let largest = row.iter().fold(0f32, |largest, weight| largest.max(weight.abs()));
        let found: Vec<f32> = packed.row(output).collect();
        assert_eq!(found.len(), inputs);
        assert!(row.iter().zip(found).all(|(a, b)| (a - b).abs() <= largest / 253.0), "output {output}");
    }
}

#[test]
fn zeros_and_values_that_are_no_numbers_do_no_harm() {
    for kernels in Kernels::available() {
        let packed = pack(&[0.0; 130], &[1.0; 65], 2);
        for row in [[0.0; 2], [f32::NAN, 1.0], [f32::INFINITY, -1.0], [f32::MAX, f32::MIN]] {
            let mut out = vec![0.0; 65];
            kernels.linear(&quantise(kernels, &row, 2), &packed, Then::Keep, &mut out);
            if row == [0.0; 2] {
                assert_eq!(out, [1.0; 65]);
            }
        }
    }
}
