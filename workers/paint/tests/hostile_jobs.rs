//! Requests at the extremes of every field, painted by real networks: whatever comes of one, it is never
//! taken for a fault of the worker.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device};
use shanshui_paint::error::PaintError;
use shanshui_paint::model::Model;
use shanshui_paint::paint::{Request, paint};
use shanshui_paint::prompt::syntax::Syntax;
use shanshui_paint::sampler::SamplerKind;

/// Training steps of the model: few, so that the sampler's bounds are met by small numbers.
const TRAINED: usize = 20;

/// A copy of a model that was trained with [`TRAINED`] steps.
fn model(into: &Path) -> Model {
    let sd1 = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/diffusers/sd1").canonicalize().unwrap();
    for entry in ["model_index.json", "text_encoder", "tokenizer", "unet", "vae"] {
        std::os::unix::fs::symlink(sd1.join(entry), into.join(entry)).unwrap();
    }
    let config = std::fs::read_to_string(sd1.join("scheduler/scheduler_config.json")).unwrap();
    let few = config.replace(r#""num_train_timesteps": 1000"#, &format!(r#""num_train_timesteps": {TRAINED}"#));
    assert_ne!(few, config);
    std::fs::create_dir(into.join("scheduler")).unwrap();
    std::fs::write(into.join("scheduler/scheduler_config.json"), few).unwrap();
    Model::load(into, &Device::Cpu, DType::F32).unwrap()
}

fn plain(sampler: SamplerKind) -> Request {
    Request {
        prompt: "a red cat".into(),
        negative: String::new(),
        width: 8,
        height: 8,
        steps: 1,
        guidance: 1.0,
        sampler,
        seed: 42,
        count: 1,
        syntax: Syntax::Plain,
        loras: Vec::new(),
    }
}

fn extremes(sampler: SamplerKind) -> Vec<Request> {
    let plain = plain(sampler);
    let steps = [0, 1, 2, 3, TRAINED - 1, TRAINED, TRAINED + 1, 150, usize::MAX];
    let mut all: Vec<Request> = steps.map(|steps| Request { steps, ..plain.clone() }).into();
    // The other fields meet no code of the sampler's own.
    if ![SamplerKind::Ddim, SamplerKind::Heun].contains(&sampler) {
        return all;
    }
    all.extend([0, 1, 7, 9, 40].map(|width| Request { width, ..plain.clone() }));
    all.extend([0, 1, 7, 9, 40].map(|height| Request { height, ..plain.clone() }));
    all.extend(
        [0.0, 1.0, 30.0, -1.0, f64::MAX, f64::INFINITY, f64::NAN].map(|guidance| Request { guidance, ..plain.clone() }),
    );
    all.extend([0, u64::MAX].map(|seed| Request { seed, ..plain.clone() }));
    all.extend([0, 1, 16].map(|count| Request { count, ..plain.clone() }));
    let texts = ["", " ", "\0", "<|endoftext|>", "\u{fffd}", "((((", "\u{301}\u{301}"];
    all.extend(texts.map(|text| Request { prompt: text.into(), ..plain.clone() }));
    all
}

#[test]
fn no_request_however_extreme_is_taken_for_a_fault_of_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let mut requests: Vec<Request> = SamplerKind::all().flat_map(extremes).collect();
    for letter in ["\u{1f432}", "\u{5c71}", "x", "mountain "] {
        requests.push(Request { prompt: letter.repeat(2000), ..plain(SamplerKind::Euler) });
        let negative = letter.repeat(2000);
        requests.push(Request { negative, guidance: 2.0, ..plain(SamplerKind::Euler) });
    }
    for request in requests {
        match paint(&model, &request, 4, &mut |_| ControlFlow::Continue(())) {
            Ok(painted) => assert_eq!(painted.pictures.len(), request.count),
            Err(PaintError::Job(error)) => assert!(!error.to_string().is_empty()),
            Err(error) => panic!("{error}: {request:?}"),
        }
    }
}

#[test]
fn a_text_beyond_the_encoder_is_painted_as_far_as_it_is_read_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let by = |prompt: String| {
        let request = Request { prompt, ..plain(SamplerKind::Euler) };
        paint(&model, &request, 1, &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let (short, long, longer) = (by("a red cat".into()), by("\u{5c71}".repeat(420)), by("\u{5c71}".repeat(2000)));
    assert_eq!([&short, &long, &longer].map(|painted| painted.text_truncated), [false, true, true]);
    assert_eq!(long.pictures, longer.pictures);
    assert_ne!(long.pictures, short.pictures);
}
