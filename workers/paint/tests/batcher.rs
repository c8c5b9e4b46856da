//! Requests that are painted in company, beside the same ones alone.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device};
use shanshui_paint::batcher::{Batcher, Order, Sharing, Watch};
use shanshui_paint::error::{JobError, PaintError};
use shanshui_paint::model::Model;
use shanshui_paint::paint::{Painted, Progress, Request, paint};
use shanshui_paint::prompt::syntax::Syntax;
use tokio::sync::oneshot;

type Answer = oneshot::Receiver<Result<Painted, PaintError>>;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name).canonicalize().unwrap()
}

fn load(name: &str, dtype: DType) -> Model {
    Model::load(&folder(name), &Device::Cpu, dtype).unwrap()
}

fn tiny() -> Model {
    load("tests/data/diffusers/sd1", DType::F32)
}

fn request(model: &Model, sampler: &str, steps: usize, guidance: f64) -> Request {
    let best = model.recommended();
    Request {
        prompt: format!("a red cat by {sampler}"),
        negative: "moon".into(),
        width: best.width,
        height: best.height,
        steps,
        guidance,
        sampler: sampler.parse().unwrap(),
        seed: steps as u64,
        count: 1,
        syntax: Syntax::Plain,
        loras: Vec::new(),
    }
}

fn alone(model: &Model, request: &Request) -> Painted {
    paint(model, request, 1, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn add(batcher: &mut Batcher, request: &Request) -> Answer {
    add_watched(batcher, request, Box::new(()))
}

fn add_watched(batcher: &mut Batcher, request: &Request, watch: Box<dyn Watch>) -> Answer {
    let (reply, answer) = oneshot::channel();
    batcher.add(Order { request: request.clone(), watch, reply });
    answer
}

fn shared(model: Model, pictures: usize) -> Batcher {
    Batcher::new(model, Sharing { pictures, requests: true })
}

fn painted(answer: &mut Answer) -> Painted {
    answer.try_recv().unwrap().unwrap()
}

/// Requests come at different steps, with other samplers, steps, guidance and numbers of pictures.
fn company_changes_nothing(model: Model) {
    let requests = [
        Request { count: 2, ..request(&model, "euler-a", 7, 7.5) },
        request(&model, "ddim", 3, 1.0),
        Request { count: 3, ..request(&model, "dpm++-2m", 4, 7.5) },
        request(&model, "heun", 3, 1.0),
    ];
    let expected = requests.each_ref().map(|request| alone(&model, request));
    let mut batcher = shared(model, 5);
    let mut answers = requests.each_ref().map(|request| {
        let answer = add(&mut batcher, request);
        assert!(batcher.turn());
        answer
    });
    while batcher.turn() {}
    for ((expected, answer), request) in expected.iter().zip(&mut answers).zip(&requests) {
        let found = painted(answer);
        // To the bit: sums have one order on a CPU, whatever else is computed.
        assert!(found.pictures == expected.pictures, "{}", request.sampler);
        assert!(found.batches < expected.batches, "{}: {} batches", request.sampler, found.batches);
    }
}

#[test]
fn a_picture_is_the_same_to_the_bit_alone_and_in_company() {
    for name in ["sd1", "sd2", "odd"] {
        company_changes_nothing(load(&format!("tests/data/diffusers/{name}"), DType::F32));
    }
    for dtype in [DType::F32, DType::BF16] {
        company_changes_nothing(load("models/mini", dtype));
    }
}

#[test]
fn a_request_that_comes_begins_at_the_next_step_and_one_that_ends_makes_room() {
    let model = tiny();
    let (long, short) = (request(&model, "ddim", 6, 1.0), request(&model, "euler", 2, 1.0));
    let mut batcher = shared(model, 2);
    let mut first = add(&mut batcher, &long);
    batcher.turn();
    let mut second = add(&mut batcher, &short);
    let mut third = add(&mut batcher, &Request { seed: 7, ..short });
    assert!(batcher.turn() && batcher.turn());
    assert_eq!(painted(&mut second).batches, 0.5, "both of its steps were shared");
    assert!(batcher.turn() && batcher.turn());
    assert_eq!(painted(&mut third).batches, 0.5);
    assert!(first.try_recv().is_err());
    assert!(!batcher.turn(), "the sixth step is the last");
    let batches = painted(&mut first).batches;
    assert!((batches - 4.0 / 6.0).abs() < 1e-9, "{batches}");
}

#[test]
fn a_request_of_another_size_is_not_overtaken_by_those_that_come_later() {
    let model = tiny();
    let usual = request(&model, "ddim", 3, 1.0);
    let wide = Request { width: 2 * usual.width, ..usual.clone() };
    let long = Request { prompt: "mountain ".repeat(40), ..usual.clone() };
    for other in [wide, long] {
        let mut batcher = shared(tiny(), 8);
        let mut answers = [&usual, &other, &usual].map(|request| add(&mut batcher, request));
        let mut order = Vec::new();
        while answers.len() > order.len() {
            batcher.turn();
            let ended = answers.iter_mut().enumerate().filter_map(|(at, answer)| answer.try_recv().ok().map(|_| at));
            order.extend(ended);
        }
        assert_eq!(order, [0, 1, 2]);
    }
}

#[test]
fn without_sharing_one_request_is_finished_before_the_next_begins() {
    let model = tiny();
    let two = Request { count: 2, ..request(&model, "ddim", 2, 1.0) };
    let mut batcher = Batcher::new(model, Sharing { pictures: 4, requests: false });
    let mut answers = [&two, &two].map(|request| add(&mut batcher, request));
    assert!(batcher.turn() && batcher.turn());
    assert_eq!(painted(&mut answers[0]).batches, 1.0, "the pictures of one request still go together");
    assert!(batcher.turn() && !batcher.turn());
    assert_eq!(painted(&mut answers[1]).batches, 1.0);
}

/// Stops after so many reports.
struct Stops(Arc<AtomicUsize>);

impl Watch for Stops {
    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn report(&mut self, _: Progress) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn requests_that_stop_or_that_nobody_waits_for_leave_the_others_alone() {
    let model = tiny();
    let usual = request(&model, "euler-a", 5, 7.5);
    let expected = alone(&model, &usual);
    let mut batcher = shared(model, 8);
    let other = |seed| Request { seed, ..usual.clone() };
    let mut stopped = add_watched(&mut batcher, &other(1), Box::new(Stops(Arc::new(3.into()))));
    let mut kept = add(&mut batcher, &usual);
    let left = add(&mut batcher, &other(2));
    let mut refused = add(&mut batcher, &Request { loras: vec![("none".into(), 1.0)], ..usual.clone() });
    let mut never = add(&mut batcher, &Request { steps: 0, ..usual.clone() });
    batcher.turn();
    drop(left);
    while batcher.turn() {}
    let Err(PaintError::Stopped(told)) = stopped.try_recv().unwrap() else { panic!("it was not stopped") };
    assert_eq!((told.0.done, told.0.total), (2, 6));
    assert!(matches!(refused.try_recv().unwrap(), Err(PaintError::Job(JobError::Field(_)))));
    assert!(matches!(never.try_recv().unwrap(), Err(PaintError::Job(JobError::Field(_)))));
    assert!(painted(&mut kept).pictures == expected.pictures);
}

/// DDIM ends this model's schedule without signal, where a model of noise says nothing.
#[test]
fn numbers_that_overflow_in_one_request_do_not_reach_the_others() {
    let into = tempfile::tempdir().unwrap();
    let from = folder("tests/data/diffusers/sd1");
    for entry in ["model_index.json", "text_encoder", "tokenizer", "unet", "vae"] {
        std::os::unix::fs::symlink(from.join(entry), into.path().join(entry)).unwrap();
    }
    let config = std::fs::read_to_string(from.join("scheduler/scheduler_config.json")).unwrap();
    let config = config.replace(r#""rescale_betas_zero_snr": false"#, r#""rescale_betas_zero_snr": true"#);
    let config = config.replace(r#""timestep_spacing": "leading""#, r#""timestep_spacing": "trailing""#);
    std::fs::create_dir(into.path().join("scheduler")).unwrap();
    std::fs::write(into.path().join("scheduler/scheduler_config.json"), config).unwrap();
    let model = Model::load(into.path(), &Device::Cpu, DType::F32).unwrap();
    let (good, bad) = (request(&model, "dpm++-2m", 4, 7.5), request(&model, "ddim", 4, 7.5));
    let expected = alone(&model, &good);
    let mut batcher = shared(model, 8);
    let [mut before, mut fails, mut after] = [&good, &bad, &good].map(|request| add(&mut batcher, request));
    while batcher.turn() {}
    let error = fails.try_recv().unwrap().unwrap_err();
    let PaintError::Job(error) = error else { panic!("{error}") };
    assert_eq!(error, JobError::NotFinite { picture: 0, what: "latents" });
    assert!([&mut before, &mut after].map(|answer| painted(answer).pictures == expected.pictures) == [true; 2]);
}

struct Panics;

impl Watch for Panics {
    fn report(&mut self, at: Progress) {
        assert!(at.done < 2, "on purpose");
    }
}

#[test]
fn a_panic_over_one_request_gives_the_others_back() {
    let model = tiny();
    let usual = request(&model, "ddim", 5, 1.0);
    let mut batcher = shared(model, 8);
    let mut before = add(&mut batcher, &usual);
    let mut guilty = add_watched(&mut batcher, &usual, Box::new(Panics));
    let mut after = add(&mut batcher, &usual);
    assert!(batcher.turn());
    assert!(catch_unwind(AssertUnwindSafe(|| batcher.turn())).is_err(), "the thread of the model must end");
    assert!(matches!(before.try_recv().unwrap(), Err(PaintError::Stopped(_))));
    assert!(matches!(after.try_recv().unwrap(), Err(PaintError::Stopped(_))));
    assert!(matches!(guilty.try_recv(), Err(oneshot::error::TryRecvError::Closed)), "it has no answer");
}
