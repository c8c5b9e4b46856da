//! The shapes of others: OpenAI's SDK as it comes, and what the clients of A1111 send.

use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use shanshui_tests::{png, recording, shanshui, shared};

use super::{door, gateway, text};
use crate::clients::{client, foreign, passes, stack};

#[test]
fn the_sdk_of_openai_hears_paints_and_reads_errors_unchanged() {
    let mut sdk = client(foreign("python"), stack());
    sdk.arg("tests/clients/openai_sdk.py").env("DOOR", format!("http://{}/v1", door().address()));
    passes("openai", &mut sdk, 22);
}

#[test]
fn the_sdk_of_openai_for_node_does_so_too() {
    let mut sdk = client("node", stack());
    sdk.arg("tests/clients/openai_sdk.mjs").env("DOOR", format!("http://{}/v1", door().address()));
    passes("openai", &mut sdk, 12);
}

#[test]
fn published_schemas_fit_the_docs_and_what_travels_and_judge_as_the_program_does() {
    let (door, _process) = gateway(stack(), &["--jobs-per-minute", "0"]);
    let mut judge = client(foreign("python"), stack());
    judge.arg("tests/clients/schemas.py").env("DOOR", format!("http://{}", door.address())).env("SHANSHUI", shanshui());
    passes("schemas", &mut judge, 13);
}

#[test]
fn mandarin_is_translated_and_kept_as_it_was_spoken() {
    let (door, _process) = gateway(shared(), &[]);
    let sound = recording("aishell-BAC009S0724W0121.wav");
    let hears = |path: &str| {
        let parts: [(&str, Option<&str>, &[u8]); 3] = [
            ("model", None, b"whisper-1"),
            ("response_format", None, b"verbose_json"),
            ("file", Some("a.wav"), &sound),
        ];
        door.form(path, &[], &parts).is(200).json()
    };
    let (kept, english) = (hears("/v1/audio/transcriptions"), hears("/v1/audio/translations"));
    assert_eq!((&kept["language"], &english["language"]), (&"chinese".into(), &"chinese".into()));
    assert!(!text(&kept["text"]).is_ascii() && text(&english["text"]).is_ascii(), "{kept} {english}");
}

#[test]
fn clients_of_a1111_paint_look_on_and_interrupt() {
    let door = door();
    let names: Vec<Value> = door.get("/sdapi/v1/sd-models").is(200).json().as_array().expect("a list").clone();
    assert_eq!(names[0]["model_name"], "default");
    let samplers = door.get("/sdapi/v1/samplers").is(200).json();
    assert!(samplers.as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "Euler a")), "{samplers}");
    door.get("/sdapi/v1/options").is(200);
    for (list, first) in [("upscalers", "None"), ("latent-upscale-modes", "None"), ("schedulers", "automatic")] {
        assert_eq!(door.get(&format!("/sdapi/v1/{list}")).is(200).json()[0]["name"], first);
    }
    for list in ["sd-vae", "loras"] {
        assert_eq!(door.get(&format!("/sdapi/v1/{list}")).is(200).json(), json!([]));
    }
    door.post("/sdapi/v1/options", &[], &json!({ "sd_model_checkpoint": "default" })).is(200);
    let wanted = json!({
        "prompt": "a (red:1.2) boat", "negative_prompt": "people", "steps": 2, "cfg_scale": 4.5, "width": 64, "height": 64,
        "seed": 42, "sampler_name": "Euler a", "scheduler": "karras", "batch_size": 2, "n_iter": 1, "enable_hr": false,
    });
    let done = door.post("/sdapi/v1/txt2img", &[], &wanted).is(200).json();
    let info: Value = serde_json::from_str(&text(&done["info"])).expect("JSON in a string");
    assert_eq!((&info["seed"], &info["width"]), (&42.into(), &64.into()), "{info}");
    let pictures = done["images"].as_array().expect("a list");
    let pictures: Vec<_> = pictures.iter().map(|one| BASE64_STANDARD.decode(text(one)).expect("base64")).collect();
    assert_eq!(pictures.iter().map(|one| png::size(one)).collect::<Vec<_>>(), [(64, 64); 2]);
    assert!(text(&info["infotexts"][0]).contains("Seed: 42"));

    let long = json!({ "prompt": "a river", "steps": 100, "batch_size": 8, "seed": -1 });
    let mine = door.clone();
    let painting = thread::spawn(move || mine.post("/sdapi/v1/txt2img", &[], &long));
    let began = |told: &Value| told["progress"].as_f64() > Some(0.0);
    let mut told = door.get("/sdapi/v1/progress").is(200).json();
    while !began(&told) && !painting.is_finished() {
        thread::sleep(std::time::Duration::from_millis(50));
        told = door.get("/sdapi/v1/progress").is(200).json();
    }
    assert!(began(&told) && told["progress"].as_f64() < Some(1.0), "{told}");
    let step = |name: &str| told["state"][name].as_u64().expect("a number of steps");
    assert!(step("sampling_step") >= 1 && step("sampling_step") < step("sampling_steps"), "{told}");
    door.post("/sdapi/v1/interrupt", &[], &json!({})).is(200);
    let stopped = painting.join().expect("an answer").is(422).json();
    assert_eq!(stopped["error"]["code"], "canceled");
    assert_eq!(door.get("/sdapi/v1/progress").is(200).json()["progress"], 0.0);
}
