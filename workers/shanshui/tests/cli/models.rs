use crate::program::{Place, word};

#[test]
fn the_list_names_each_pinned_model_with_repository_and_licence_and_others_that_are_there() {
    let place = Place::new().file("models/toy/model_index.json", "{}");
    let run = place.run("models list --models models");
    run.said(&["whisper-base", "Systran/faster-whisper-base@ebe41f70d5b6", "MIT", "toy", "pictures, not pinned"]);
    run.said(&[
        "sd-turbo",
        "stabilityai/sd-turbo@main  -",
        "sd15",
        "2.10 GB, CreativeML Open RAIL-M",
        "sdxs",
        "tiny-sd",
    ]);
}

#[test]
fn an_empty_folder_or_half_a_pull_is_not_listed_as_a_model_and_one_of_the_hubs_cache_is() {
    let place = Place::new()
        .file("models/whisper-base/readme", "nothing")
        .file("models/.pull-toy-0123/model_index.json", "{}")
        .file("models/owner/toy/model_index.json", "{}")
        .file("hub/models--stranger--toy/snapshots/0123abcd/model_index.json", "{}")
        .with("HF_HUB_CACHE", "hub");
    let run = place.run("models list --models models");
    run.said(&["faster-whisper-base@ebe41f70d5b6  -", "owner/toy ", "stranger/toy", "in the hub's cache at 0123abcd"]);
    assert!(!run.out.contains(".pull"), "{}", run.out);
}

#[test]
fn s13_verify_finds_a_file_that_is_not_the_pinned_one_and_one_that_is_missing() {
    let place = Place::new().file("models/whisper-base/config.json", "{}");
    let run = place.run("models verify whisper-base --models models");
    assert_eq!(run.code, Some(1), "{run:?}");
    let wrong = "config.json: sha256 is 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a, not 56a6d8";
    for part in ["whisper-base: damaged", wrong, "model.bin: missing"] {
        assert!(run.out.contains(part), "{part:?} is not in {}", run.out);
    }
}

#[test]
fn verify_says_where_it_looked_when_nothing_is_there() {
    let place = Place::new();
    place.run("models verify --models elsewhere --data data").refused(1, &["elsewhere", "data/models"]);
    place.run("models verify no-such").refused(2, &["name: no-such is not allowed", "whisper-base"]);
}

#[test]
fn pull_never_calls_out_when_it_is_told_to_stay_offline() {
    // An endpoint that would be noticed: nothing listens there.
    let place = Place::new().with("HF_ENDPOINT", "http://127.0.0.1:1").with("HF_HOME", "hub-home");
    place.run("models pull whisper-base --offline").refused(2, &["offline", "hub-home/hub"]);
    let place = place.with("HF_HUB_OFFLINE", "1");
    place.run("models pull whisper-base").refused(2, &["offline", "config.json"]);
    place.run("models pull owner/toy").refused(2, &["offline: owner/toy must not be fetched", "HF_HUB_OFFLINE"]);
}

#[test]
fn s13_pull_refuses_a_file_whose_hash_is_wrong_and_keeps_the_model_folder_clean() {
    let revision = "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66";
    let cached = format!("hub-home/hub/models--Systran--faster-whisper-base/snapshots/{revision}/config.json");
    let place = Place::new().file(&cached, "{}").with("HF_HOME", "hub-home");
    let folder = place.path("models");
    let run = place.run(&format!("models pull whisper-base --offline --models {}", word(&folder)));
    run.refused(1, &["config.json", "sha256 is 44136fa3"]);
    assert!(!folder.join("whisper-base").exists());
}

#[test]
fn a_worker_without_its_model_says_where_it_looked_and_what_to_run() {
    let place = Place::new();
    let run = place.run("transcribe --whisper whisper-base --models here --data data");
    run.refused(2, &["whisper: no model whisper-base", "here", "data/models", "shanshui models pull whisper-base"]);
    let run = place.run("paint --picture-model ./nowhere");
    run.refused(2, &["picture-model: ./nowhere/model_index.json is missing", "diffusers"]);
}
