//! What is refused, and in which words.

use std::ops::ControlFlow;

use candle_core::{DType, Device};
use serde_json::json;
use shanshui_paint::error::PaintError;
use shanshui_paint::model::Model;
use shanshui_paint::paint::paint;

use crate::models::{Folder, dpm, sd15, sd15_by};
use crate::{Asked, USUAL, load};

fn assert_refused(folder: &Folder, words: &[&str]) {
    let error = match Model::load(folder.path(), &Device::Cpu, DType::F32) {
        Ok(_) => panic!("loaded, should have said {words:?}"),
        Err(error) => format!("{error:#}"),
    };
    for word in words {
        assert!(error.contains(word), "{error:?} does not say {word:?}");
    }
}

#[test]
fn more_steps_than_the_training_has_room_for_are_the_jobs_own_fault() {
    let model = load(Folder::new(&sd15_by("PNDMScheduler", &json!({ "num_train_timesteps": 20 }))).path());
    let asked = Asked { sampler: Some("dpm++-2m"), steps: None, guidance: None, ..USUAL };
    let error = paint(&model, &asked.of(&model), 1, &mut |_| ControlFlow::Continue(())).unwrap_err();
    let PaintError::Job(error) = error else { panic!("{error}") };
    assert_eq!(error.to_string(), "picture.steps: 20 is not allowed; allowed: 1 to 19 for this model and sampler");
}

#[test]
fn what_is_not_the_weights_is_called_what_it_is() {
    const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
    let folder = Folder::new(&sd15());
    let whole = std::fs::read(folder.at(UNET)).unwrap();
    folder.write(
        UNET,
        "version https://git-lfs.github.com/spec/v1\n\
         oid sha256:19da7aaa4b880e59d56843f1fcb4dd9b599c28a1d9d9af7c1143057c8ffae9f1\nsize 3438167540\n",
    );
    assert_refused(&folder, &[UNET, "Git LFS pointer", "git lfs pull", "3438167540 bytes"]);
    folder.write(UNET, "<!DOCTYPE html>\n<html><title>Sign in</title></html>");
    assert_refused(&folder, &[UNET, "HTML page"]);
    folder.write(UNET, &whole[..whole.len() / 2]);
    let missing = format!("{} of {} bytes are there", whole.len() / 2, whole.len());
    assert_refused(&folder, &[UNET, "not a whole safetensors file", &missing]);
    folder.write(UNET, "");
    assert_refused(&folder, &[UNET, "empty"]);
    let folder = Folder::new(&sd15());
    folder.write("unet/config.json", "<html>Sign in</html>");
    assert_refused(&folder, &["unet/config.json", "HTML page"]);
}

#[test]
fn a_scheduler_that_would_paint_something_else_is_refused_by_name() {
    for (scheduler, words) in [
        (dpm(&json!({ "algorithm_type": "sde-dpmsolver" })), ["algorithm_type", "sde-dpmsolver++"]),
        (dpm(&json!({ "use_flow_sigmas": true })), ["use_flow_sigmas: true", "false"]),
        (dpm(&json!({ "prediction_type": "flow_prediction" })), ["prediction_type", "flow_prediction"]),
        (sd15_by("FlowMatchEulerDiscreteScheduler", &json!({})), ["_class_name", "FlowMatchEulerDiscreteScheduler"]),
    ] {
        assert_refused(&Folder::new(&scheduler), &["scheduler/scheduler_config.json", words[0], words[1]]);
    }
}

/// `sde-dpmsolver++`, by default and over the noise levels of Karras et al.
#[test]
fn the_stochastic_form_of_dpm_solver_is_honoured() {
    let by = |more| load(Folder::new(&dpm(&more)).path()).recommended().sampler.clone();
    assert_eq!(by(json!({ "algorithm_type": "sde-dpmsolver++" })), "dpm++-2m-sde");
    let both = json!({ "algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": true });
    assert_eq!(by(both), "dpm++-2m-sde-karras");
}
