//! How fast the products and the attention of Whisper base are on this CPU, path by path, with one
//! thread: `cargo run -p shanshui-kernels --example speed`.

#![expect(clippy::print_stdout, reason = "a table is what it is run for")]

use std::time::Instant;

use shanshui_kernels::{Kernels, KeysValues, Packing, Quantised, Rows, Scratch, Then};

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// The best and the middle of nine.
fn time(mut work: impl FnMut()) -> [f64; 2] {
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    [times[0], times[4]]
}

fn product(kernels: Kernels, [rows, inputs, outputs]: [usize; 3], then: Then) -> [f64; 2] {
    let mut packing = Packing::new(outputs, inputs);
    values(inputs * outputs).chunks(inputs).for_each(|row| packing.push(row));
    let packed = packing.finish(&[]);
    let (rows, mut out) = (values(rows * inputs), vec![0.0; rows * outputs]);
    let mut quantised = Quantised::new(inputs);
    let mut blocks = || {
        for (rows, out) in rows.chunks(96 * inputs).zip(out.chunks_mut(96 * outputs)) {
            quantised.clear();
            kernels.quantise(Rows::of(rows, inputs), rows.len() / inputs, &mut quantised);
            kernels.linear(&quantised, &packed, then, out);
        }
    };
    time(&mut blocks)
}

fn attention(kernels: Kernels, queries: usize, length: usize) -> [f64; 2] {
    const WIDTH: usize = 64;
    let all = values(3 * length * WIDTH);
    let part = |first| Rows { values: &all, first, stride: 3 * WIDTH, width: WIDTH };
    let (mut packed, mut scratch) = (KeysValues::default(), Scratch::default());
    let mut out = vec![0.0; queries * WIDTH];
    kernels.pack_head(part(WIDTH), part(2 * WIDTH), length, &mut packed);
    time(|| {
        if queries > 1 {
            kernels.pack_head(part(WIDTH), part(2 * WIDTH), length, &mut packed);
        }
        kernels.attend(part(0), &packed, &mut scratch, &mut out);
    })
}

fn main() {
    for kernels in Kernels::available() {
        let name = kernels.path();
        for (shape, then) in [
            ([1500, 512, 512], Then::Add),
            ([1500, 512, 1536], Then::Keep),
            ([1500, 512, 2048], Then::Gelu),
            ([1500, 2048, 512], Then::Add),
            ([1, 512, 512], Then::Keep),
            ([1, 512, 51_865], Then::Keep),
        ] {
            let [best, middle] = product(kernels, shape, then);
            let work = 2e-9 * shape.iter().product::<usize>() as f64;
            println!(
                "{name:9} {shape:?} {then:?}: best {:.3} ms, middle {:.3} ms, {:.0} G operations a second",
                1e3 * best,
                1e3 * middle,
                work / best
            );
        }
        for queries in [1, 1500] {
            let [best, middle] = attention(kernels, queries, 1500);
            println!("{name:9} {queries} queries, 1500 keys: best {:.3} ms, middle {:.3} ms", 1e3 * best, 1e3 * middle);
        }
    }
}
