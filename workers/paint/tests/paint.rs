//! The denoising loop over tiny random models.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use shanshui_paint::error::{JobError, PaintError};
use shanshui_paint::model::Model;
use shanshui_paint::paint::{Progress, Request, Stopped, paint};
use shanshui_paint::picture::{Format, Metadata, Picture};
use shanshui_paint::prompt::syntax::Syntax;
use shanshui_paint::sampler::SamplerKind;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/diffusers").join(name)
}

fn load(folder: &Path) -> Model {
    Model::load(folder, &Device::Cpu, DType::F32).unwrap()
}

fn request(model: &Model) -> Request {
    let recommended = model.recommended();
    Request {
        prompt: "a red cat".to_owned(),
        negative: String::new(),
        width: recommended.width,
        height: recommended.height,
        steps: 4,
        guidance: 5.0,
        sampler: SamplerKind::EulerAncestral,
        seed: 42,
        count: 1,
        syntax: Syntax::Plain,
        loras: Vec::new(),
    }
}

fn pictures(model: &Model, request: &Request, max_batch: usize) -> Vec<Picture> {
    paint(model, request, max_batch, &mut |_| ControlFlow::Continue(())).unwrap().pictures
}

fn furthest(a: &Picture, b: &Picture) -> u8 {
    assert_eq!(a.rgb.len(), b.rgb.len());
    a.rgb.iter().zip(&b.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

fn file(picture: &Picture) -> Vec<u8> {
    let metadata = Metadata { parameters: "a", receipt: "{}" };
    picture.encode(Format::Png, metadata).unwrap()
}

#[test]
fn the_same_seed_paints_the_same_picture_alone_and_inside_a_batch() {
    for name in ["sd1", "sd2", "odd"] {
        let model = load(&folder(name));
        let many = Request { count: 5, ..request(&model) };
        let together = pictures(&model, &many, 5);
        let in_pairs = pictures(&model, &many, 2);
        let one_by_one = pictures(&model, &many, 1);
        let first = pictures(&model, &request(&model), 8);
        let counts = [&together, &in_pairs, &one_by_one, &first].map(Vec::len);
        assert_eq!(counts, [5, 5, 5, 1]);
        assert_eq!(file(&one_by_one[0]), file(&first[0]), "{name}");
        // Matrix products of another height may add up in another order: a level of 255 at most.
        for batched in [&together, &in_pairs] {
            for (alone, batched) in one_by_one.iter().zip(batched) {
                assert!(furthest(alone, batched) <= 1, "{name}");
            }
        }
        assert_ne!(together[0], together[1], "{name}: every picture has noise of its own");
        let other = pictures(&model, &Request { seed: 43, ..request(&model) }, 1);
        assert_ne!(first[0], other[0], "{name}: another seed is another picture");
    }
}

#[test]
fn pictures_have_the_size_that_was_asked_for() {
    let model = load(&folder("sd1"));
    let wide = Request { width: model.scale() * 12, height: model.scale() * 8, ..request(&model) };
    let picture = pictures(&model, &wide, 1).remove(0);
    assert_eq!((picture.width as usize, picture.height as usize), (wide.width, wide.height));
    assert_eq!(picture.rgb.len(), wide.width * wide.height * 3);
}

/// With eta 0, DDIM is Euler's method in other coordinates (arXiv:2010.02502, section 4.3).
#[test]
fn ddim_and_euler_paint_the_same_picture_and_every_other_sampler_one_of_its_own() {
    let model = load(&folder("sd2"));
    let by = |sampler| {
        let request = Request { sampler, ..request(&model) };
        pictures(&model, &request, 1).remove(0)
    };
    assert!(furthest(&by(SamplerKind::Ddim), &by(SamplerKind::Euler)) <= 1);
    let mut seen: Vec<Picture> = Vec::new();
    for sampler in SamplerKind::all().filter(|kind| *kind != SamplerKind::Ddim) {
        let picture = by(sampler);
        assert!(seen.iter().all(|other| *other != picture), "{sampler}");
        seen.push(picture);
    }
}

#[test]
fn the_negative_prompt_counts_only_where_there_is_guidance() {
    let model = load(&folder("sd1"));
    let plain = request(&model);
    let with_negative = Request { negative: "moon and mist".to_owned(), ..plain.clone() };
    assert_ne!(pictures(&model, &plain, 1), pictures(&model, &with_negative, 1));
    for guidance in [0.0, 1.0] {
        let without = Request { guidance, ..plain.clone() };
        let with = Request { guidance, ..with_negative.clone() };
        assert_eq!(pictures(&model, &without, 1), pictures(&model, &with, 1));
    }
}

#[test]
fn every_step_is_reported_once_and_in_order() {
    let model = load(&folder("sd1"));
    let mut seen = Vec::new();
    let many = Request { count: 3, ..request(&model) };
    paint(&model, &many, 2, &mut |progress| {
        seen.push(progress);
        ControlFlow::Continue(())
    })
    .unwrap();
    // Four steps of two pictures, which are decoded one by one, and four of the third.
    let done = [0, 2, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    assert_eq!(seen, done.map(|done| Progress { done, total: 15 }));
}

#[test]
fn a_stop_is_obeyed_at_the_step_where_it_comes() {
    let model = load(&folder("sd1"));
    for stop_at in [0, 2, 4, 5] {
        let mut heard = 0;
        let error = paint(&model, &request(&model), 1, &mut |progress| {
            heard += 1;
            if progress.done == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap_err();
        let PaintError::Stopped(stopped) = error else { panic!("{error}") };
        assert_eq!(stopped, Stopped(Progress { done: stop_at, total: 5 }));
        assert_eq!(heard, stop_at + 1);
    }
}

/// A copy of a model whose schedule ends without signal, where a model of noise says nothing.
fn model_that_overflows(into: &Path) -> Model {
    for entry in ["model_index.json", "text_encoder", "tokenizer", "unet", "vae"] {
        std::os::unix::fs::symlink(folder("sd1").canonicalize().unwrap().join(entry), into.join(entry)).unwrap();
    }
    let config = std::fs::read_to_string(folder("sd1").join("scheduler/scheduler_config.json")).unwrap();
    let config = config.replace(r#""rescale_betas_zero_snr": false"#, r#""rescale_betas_zero_snr": true"#);
    let config = config.replace(r#""timestep_spacing": "leading""#, r#""timestep_spacing": "trailing""#);
    std::fs::create_dir(into.join("scheduler")).unwrap();
    std::fs::write(into.join("scheduler/scheduler_config.json"), config).unwrap();
    load(into)
}

#[test]
fn numbers_that_overflow_end_as_a_typed_error_and_not_as_a_black_picture() {
    let folder = tempfile::tempdir().unwrap();
    let model = model_that_overflows(folder.path());
    let request = Request { sampler: SamplerKind::Ddim, ..request(&model) };
    let error = paint(&model, &request, 1, &mut |_| ControlFlow::Continue(())).unwrap_err();
    let PaintError::Job(error) = error else { panic!("{error}") };
    assert_eq!(error, JobError::NotFinite { picture: 0, what: "latents" });
}
