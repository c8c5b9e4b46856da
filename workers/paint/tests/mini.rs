//! The model that ships with the project, beside what diffusers paints with it from the same noise
//! (tests/data/diffusers/mini.py).

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use image::RgbImage;
use shanshui_paint::model::Model;
use shanshui_paint::paint::{Request, paint, paint_shown};
use shanshui_paint::picture::Picture;
use shanshui_paint::preview::Sketch;
use shanshui_paint::prompt::syntax::Syntax;

/// In 255ths: a pixel may be rounded to the other side, and few of them by more.
const MEAN: f64 = 0.5;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn request(model: &Model, prompt: &str) -> Request {
    let best = model.recommended();
    Request {
        prompt: prompt.to_owned(),
        negative: String::new(),
        width: best.width,
        height: best.height,
        steps: best.steps,
        guidance: best.guidance,
        sampler: best.sampler.parse().unwrap(),
        seed: 42,
        count: 1,
        syntax: Syntax::Plain,
        loras: Vec::new(),
    }
}

#[test]
fn the_mini_model_paints_what_diffusers_paints_with_it() {
    let model = Model::load(&project("models/mini"), &Device::Cpu, DType::F32).unwrap();
    for (number, prompt) in
        ["high mountains and a river under a full moon", "a red apple on a green field"].iter().enumerate()
    {
        let request = request(&model, prompt);
        let ours = paint(&model, &request, 1, &mut |_| ControlFlow::Continue(())).unwrap().pictures.remove(0);
        let theirs = image::open(project(&format!("tests/data/diffusers/mini-{number}.png"))).unwrap().into_rgb8();
        assert_eq!((ours.width, ours.height), theirs.dimensions());
        let off: u32 = ours.rgb.iter().zip(theirs.as_raw()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        let mean = f64::from(off) / ours.rgb.len() as f64;
        assert!(mean < MEAN, "{prompt}: {mean} of 255 off in the mean");
        // A picture of something, not of one colour.
        let (dark, light) =
            (ours.rgb.iter().filter(|value| **value < 64), ours.rgb.iter().filter(|value| **value > 192));
        assert!(dark.count() > 500 && light.count() > 500, "{prompt}: no contrast");
    }
}

#[test]
fn a_picture_in_bf16_is_hardly_another() {
    let load = |dtype| Model::load(&project("models/mini"), &Device::Cpu, dtype).unwrap();
    let models = [DType::F32, DType::BF16].map(load);
    for prompt in ["high mountains and a river under a full moon", "a red apple on a green field", "a cat"] {
        let [exact, rounded] = models.each_ref().map(|model| {
            let request = Request { count: 2, ..request(model, prompt) };
            paint(model, &request, 2, &mut |_| ControlFlow::Continue(())).unwrap().pictures
        });
        for (exact, rounded) in exact.iter().zip(&rounded) {
            let decibels = decibels(exact, rounded);
            assert!(decibels > 35.0, "{prompt}: {decibels} dB");
        }
    }
}

/// Of f16 our kernels know nothing, so candle computes: layers and their types are those of a GPU, where it is bf16.
#[test]
fn the_layers_of_a_gpu_paint_the_same_picture_in_half_precision() {
    let pictures = [DType::F32, DType::F16].map(|dtype| {
        let model = Model::load(&project("models/mini"), &Device::Cpu, dtype).unwrap();
        let request = Request { steps: 4, ..request(&model, "a red apple on a green field") };
        paint(&model, &request, 1, &mut |_| ControlFlow::Continue(())).unwrap().pictures.remove(0)
    });
    let decibels = decibels(&pictures[0], &pictures[1]);
    assert!(decibels > 40.0, "{decibels} dB");
}

fn decibels(exact: &Picture, rounded: &Picture) -> f64 {
    let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
    let mean = exact.rgb.iter().zip(&rounded.rgb).map(square).sum::<f64>() / exact.rgb.len() as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

#[test]
fn a_preview_has_the_colours_that_the_picture_will_have() {
    let model = Model::load(&project("models/mini"), &Device::Cpu, DType::F32).unwrap();
    let request = request(&model, "high mountains and a river under a full moon");
    let mut sketches = Vec::new();
    let mut show = |sketch: Sketch<'_>| {
        if sketch.steps.0 < sketch.steps.1 / 4 {
            return;
        }
        let coarse = model.coarse(sketch.latents).unwrap();
        sketches.push((sketch.steps, coarse));
    };
    let painted = paint_shown(&model, &request, 1, &mut |_| ControlFlow::Continue(()), &mut show).unwrap();
    let picture = &painted.pictures[0];
    let whole = RgbImage::from_raw(picture.width, picture.height, picture.rgb.clone()).unwrap();
    let steps = request.steps as u32;
    assert!(sketches.iter().map(|(at, _)| *at).eq((steps / 4..=steps).map(|step| (step, steps))));
    let off = |coarse: &Picture| {
        let wanted = image::imageops::thumbnail(&whole, coarse.width, coarse.height);
        let off: u32 = coarse.rgb.iter().zip(wanted.as_raw()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        f64::from(off) / coarse.rgb.len() as f64
    };
    let offs: Vec<f64> = sketches.iter().map(|(_, coarse)| off(coarse)).collect();
    assert!(offs.iter().all(|off| *off < 20.0), "in 255ths, step by step: {offs:?}");
}
