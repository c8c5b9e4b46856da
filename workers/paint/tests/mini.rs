//! The model that ships with the project, beside what diffusers paints with it from the same noise
//! (tests/data/diffusers/mini.py).

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use shanshui_paint::model::Model;
use shanshui_paint::paint::{Request, paint};
use shanshui_paint::prompt::syntax::Syntax;

/// In 255ths: a pixel may be rounded to the other side, and few of them by more.
const MEAN: f64 = 0.5;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

#[test]
fn the_mini_model_paints_what_diffusers_paints_with_it() {
    let model = Model::load(&project("models/mini"), &Device::Cpu, DType::F32).unwrap();
    let best = model.recommended();
    let (sampler, guidance) = (best.sampler.parse().unwrap(), best.guidance);
    for (number, prompt) in
        ["high mountains and a river under a full moon", "a red apple on a green field"].iter().enumerate()
    {
        let request = Request {
            prompt: (*prompt).to_owned(),
            negative: String::new(),
            width: best.width,
            height: best.height,
            steps: best.steps,
            guidance,
            sampler,
            seed: 42,
            count: 1,
            syntax: Syntax::Plain,
            loras: Vec::new(),
        };
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
