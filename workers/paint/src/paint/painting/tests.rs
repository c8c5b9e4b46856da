//! Steps with given answers in place of a network's.

use std::path::Path;

use candle_core::DType;

use super::*;
use crate::error::{JobError, WorkerError};
use crate::prompt::syntax::Syntax;
use crate::sampler::SamplerKind;

fn two_pictures() -> Painting {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/diffusers/sd1");
    let model = Model::load(&folder, &Device::Cpu, DType::F32).unwrap();
    let side = model.scale() * 4;
    let request = Request {
        prompt: String::new(),
        negative: String::new(),
        width: side,
        height: side,
        steps: 3,
        guidance: 1.0,
        sampler: SamplerKind::EulerAncestral,
        seed: 1,
        count: 2,
        syntax: Syntax::Plain,
        loras: Vec::new(),
    };
    let mut painting = Painting::new(&model, request).unwrap();
    assert_eq!(painting.begin(5).unwrap(), 2);
    painting
}

fn answer(painting: &Painting, value: f32) -> Result<Answer, PaintError> {
    let output = painting.canvases[0].latents().zeros_like()?.affine(1.0, value.into())?;
    Ok(Answer { output, together: 2 })
}

#[test]
fn progress_counts_what_has_settled_and_overflow_is_told_of_the_picture_whose_it_is() {
    let mut painting = two_pictures();
    let mut step = |second| {
        painting.make_noise();
        let answers = [answer(&painting, 0.5), answer(&painting, second)];
        painting.step(answers.into_iter()).unwrap();
        let before = painting.progress().done;
        (before, painting.settle(), painting.progress().done)
    };
    let (before, settled, after) = step(0.5);
    assert_eq!((before, settled.is_ok(), after), (0, true, 2));
    let (before, settled, after) = step(f32::INFINITY);
    let Err(PaintError::Job(error)) = settled else { panic!("{settled:?}") };
    assert_eq!((before, error, after), (2, JobError::NotFinite { picture: 1, what: "latents" }, 2));
}

#[test]
fn an_overflow_that_is_final_is_told_before_a_failure_that_may_pass() {
    for (value, is_final) in [(f32::NAN, true), (0.5, false)] {
        let mut painting = two_pictures();
        painting.make_noise();
        let failed = Err(WorkerError::of(anyhow::anyhow!("the driver is gone")).into());
        let error = painting.step([answer(&painting, value), failed].into_iter()).unwrap_err();
        assert_eq!(matches!(error, PaintError::Job(JobError::NotFinite { picture: 0, .. })), is_final, "{error}");
    }
}
