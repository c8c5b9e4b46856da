//! Picture models and jobs as people have them, beside what diffusers paints from the same files
//! (tests/data/paint-cases).

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

mod extras;
mod models;
mod painted;
mod published;
mod refused;
mod single;

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device};
use shanshui_paint::model::Model;
use shanshui_paint::paint::{Painted, Request, paint};
use shanshui_paint::prompt::syntax::Syntax;

use models::project;

/// The most that a value of 255 may be off: the order of sums, and rounding to the other side.
const LEVELS: u8 = 2;

fn load(folder: &Path) -> Model {
    Model::load(folder, &Device::Cpu, DType::F32).unwrap()
}

/// What a job asks for that names only these.
#[derive(Clone, Copy)]
struct Asked<'a> {
    text: &'a str,
    sampler: Option<&'a str>,
    steps: Option<usize>,
    guidance: Option<f64>,
    size: (usize, usize),
    syntax: Syntax,
}

const USUAL: Asked<'_> = Asked {
    text: "a red cat, the moon",
    sampler: None,
    steps: Some(8),
    guidance: Some(4.0),
    size: (16, 16),
    syntax: Syntax::Plain,
};

impl Asked<'_> {
    fn of(&self, model: &Model) -> Request {
        let best = model.recommended();
        Request {
            prompt: self.text.to_owned(),
            negative: String::new(),
            width: self.size.0,
            height: self.size.1,
            steps: self.steps.unwrap_or(best.steps),
            guidance: self.guidance.unwrap_or(best.guidance),
            sampler: self.sampler.unwrap_or(&best.sampler).parse().unwrap(),
            seed: 42,
            count: 1,
            syntax: self.syntax,
            loras: Vec::new(),
        }
    }

    fn paint(&self, model: &Model) -> Painted {
        paint(model, &self.of(model), 1, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    /// Compares with a picture that diffusers painted.
    fn expect(&self, folder: &Path, picture: &str) {
        self.expect_of(&load(folder), picture);
    }

    fn expect_of(&self, model: &Model, picture: &str) {
        let painted = self.paint(model);
        assert!(!painted.text_truncated);
        let path = project(&format!("tests/data/paint-cases/expected/{picture}.png"));
        let theirs = image::open(path).unwrap().into_rgb8();
        let ours = &painted.pictures[0];
        assert_eq!((ours.width, ours.height), theirs.dimensions(), "{picture}");
        let off = ours.rgb.iter().zip(theirs.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(off <= LEVELS, "{picture}: {off} of 255 off");
    }
}
