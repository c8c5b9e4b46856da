//! Work that is cut for threads.

use shanshui_kernels::{
    Kernels,
    floats::{Border, Dense, Doubled, Grid, Paired, Precision, Prepare, Product, Shape, Window},
};

use super::{PRECISIONS, Values, norm};

/// Every kind of product, one behind the other.
fn products(kernels: Kernels, precision: Precision) -> Vec<f32> {
    let mut values = Values(11);
    let grid = Grid { batch: 2, height: 4, width: 8, channels: 70 };
    let (outputs, pixels) = (200, grid.pixels());
    let source = values.many(grid.len());
    let weights = values.many(outputs * grid.channels * 9);
    let shape = |kernel| Shape { outputs, inputs: grid.channels, kernel };
    let (bias, add) = (values.many(outputs), values.many(pixels * outputs));
    let then = Product { add: Some(&add), ..Product::default() };
    let one = Border { before: 1, after: 1 };
    let mut all = [1, 1, 4].map(|times| vec![f32::NAN; times * pixels * outputs]);
    let [windows, pairs, doubled] = &mut all;

    let operand = kernels.operand((&source, grid), Prepare::Keep, precision, ([4, 8], one));
    let dense = Dense::pack(precision, shape(3), &weights, &bias);
    kernels.product((&operand, Window { kernel: 3, stride: 1 }), &dense, then, windows);
    kernels.doubled_product(&operand, &Doubled::pack(precision, shape(3), &weights, &bias), false, doubled);
    let by_pairs = kernels.pairs((&source, grid), Prepare::Keep, precision, one);
    kernels.paired_product(&by_pairs, &Paired::pack(precision, shape(3), &weights, &bias), then, pairs);

    // The gates of the last layer are what a product with a unit matrix shows.
    let half = outputs / 2;
    let plain = kernels.operand(
        (windows, Grid { channels: outputs, ..grid }),
        Prepare::Keep,
        precision,
        ([4, 8], Border::NONE),
    );
    let square = Shape { outputs, inputs: outputs, kernel: 1 };
    let gated =
        kernels.gated_product(&plain, &Dense::pack_gated(precision, square, &weights[..outputs * outputs], &bias));
    let unit: Vec<f32> = (0..half * half).map(|at| f32::from(u8::from(at % half == at / half))).collect();
    let unit = Dense::pack(precision, Shape { outputs: half, inputs: half, kernel: 1 }, &unit, &[]);
    let mut seen = vec![f32::NAN; pixels * half];
    kernels.product((&gated, Window { kernel: 1, stride: 1 }), &unit, Product::default(), &mut seen);
    all.into_iter().flatten().chain(seen).collect()
}

#[test]
fn few_pixels_are_cut_by_columns_to_the_same_bits() {
    for precision in PRECISIONS {
        for kernels in Kernels::available() {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| products(kernels, precision))
            };
            let alone = run(1);
            assert!(alone.iter().all(|value| value.is_finite()));
            for threads in [2, 3, 16] {
                assert!(alone == run(threads), "{} {precision:?}, {threads} threads", kernels.path());
            }
        }
    }
}

#[test]
fn a_picture_is_the_same_alone_and_with_any_number_of_threads() {
    let mut values = Values(3);
    let grid = Grid { batch: 3, height: 21, width: 29, channels: 24 };
    let source = values.many(grid.len());
    let shape = Shape { outputs: 40, inputs: 24, kernel: 3 };
    let (weights, norm) = (values.many(40 * 24 * 9), norm(&mut values, 24));
    let (border, window) = (Border { before: 1, after: 1 }, Window { kernel: 3, stride: 1 });
    for precision in PRECISIONS {
        let packed = Dense::pack(precision, shape, &weights, &[]);
        for kernels in Kernels::available() {
            let run = |source: &[f32], grid: Grid, threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let affine = kernels.group_norm((source, grid), 8, &norm);
                    let to = ([grid.height, grid.width], border);
                    let operand = kernels.operand((source, grid), Prepare::AffineSilu(&affine), precision, to);
                    let mut out = vec![f32::NAN; grid.pixels() * 40];
                    kernels.product((&operand, window), &packed, Product::default(), &mut out);
                    out
                })
            };
            let all = run(&source, grid, 3);
            assert_eq!(all, run(&source, grid, 1), "{} {precision:?}", kernels.path());
            let one = grid.len() / 3;
            let alone = run(&source[one..2 * one], Grid { batch: 1, ..grid }, 2);
            assert_eq!(all[all.len() / 3..][..alone.len()], alone, "{} {precision:?}", kernels.path());
        }
    }
}
