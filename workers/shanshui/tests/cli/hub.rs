//! `models pull` against a server that speaks the hub's protocol.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use shanshui_tests::hub::{Asked, COMMIT, Faults, Hub};

use crate::program::Place;

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// A repository in the diffusers layout with more in it than is needed. Its weights are random bytes:
/// a pull does not look into them.
fn repository() -> Vec<(&'static str, Vec<u8>)> {
    let bytes =
        |seed: u32, size: u32| (0..size).map(|at| (at.wrapping_mul(2_654_435_761) ^ seed).to_le_bytes()[3]).collect();
    let mut files: Vec<(&str, Vec<u8>)> = vec![
        (UNET, bytes(1, 300_000)),
        ("vae/diffusion_pytorch_model.safetensors", bytes(2, 1000)),
        ("text_encoder/model.safetensors", bytes(3, 2000)),
        ("unet/diffusion_pytorch_model.bin", bytes(4, 1000)),
        ("unet/model.onnx", bytes(5, 1000)),
        ("dream.safetensors", bytes(6, 5000)),
        ("tokenizer/merges.txt", bytes(7, 100)),
    ];
    let configs = ["model_index.json", "unet/config.json", "vae/config.json", "text_encoder/config.json"];
    let more = ["scheduler/scheduler_config.json", "tokenizer/vocab.json", "safety_checker/config.json"];
    files.extend(configs.into_iter().chain(more).map(|path| (path, b"{}".to_vec())));
    files
}

fn hub() -> Hub {
    let files = repository();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
    Hub::start("owner/toy", &files)
}

fn place(hub: &Hub) -> Place {
    Place::new().with("HF_ENDPOINT", hub.endpoint()).with("SHANSHUI_MODELS", "models")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Requests for this file at the store.
fn of_store(asked: &[Asked], file: &str) -> Vec<Asked> {
    asked.iter().filter(|asked| asked.stored && asked.path.contains(file)).cloned().collect()
}

#[track_caller]
fn nothing_is_listed(place: &Place) {
    let run = place.run("models list");
    assert!(run.code == Some(0) && !run.out.contains("owner/toy"), "{run:?}");
}

#[test]
fn a_repository_comes_with_only_the_files_that_are_needed_and_a_lock() {
    let hub = hub();
    let place = place(&hub);
    let run = place.run("models pull owner/toy");
    run.said(&["models/owner/toy"]);
    for part in ["owner/toy@0123456789ab: 10 files", "licence: openrail++"] {
        assert!(run.err.contains(part), "{}", run.err);
    }
    let lock: Value =
        serde_json::from_slice(&std::fs::read(place.path("models/owner/toy/shanshui-model.lock")).unwrap()).unwrap();
    assert_eq!((&lock["repository"], &lock["commit"]), (&"owner/toy".into(), &COMMIT.into()));
    assert_eq!(lock["licence"], "openrail++");
    assert_eq!(lock["files"][UNET]["bytes"], 300_000);
    let braces = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(lock["files"]["model_index.json"]["sha256"], braces);
    let folder = place.path("models/owner/toy");
    let mut names: Vec<_> =
        files_below(&folder).into_iter().map(|path| path.strip_prefix(&folder).unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names.len(), 11, "{names:?}");
    assert!(names.iter().all(|name| !name.ends_with("model.onnx") && !name.starts_with("safety_checker")), "{names:?}");
    place.run("models list").said(&["owner/toy", "303.11 kB", "openrail++, owner/toy@0123456789ab"]);
    place.run("models verify owner/toy").said(&["owner/toy: whole"]);
    hub.asked();
    let again = place.run("models pull owner/toy");
    assert!(again.code == Some(0) && again.err.contains("all of it is here already"), "{again:?}");
    assert_eq!(hub.asked().len(), 1, "it only asks which commit main is");
    std::fs::write(folder.join("vae/config.json"), "[]").unwrap();
    let damaged = place.run("models verify");
    assert!(damaged.code == Some(1) && damaged.out.contains("vae/config.json: sha256 is"), "{damaged:?}");
    hub.asked();
    place.run("models pull owner/toy").said(&["models/owner/toy"]);
    assert!(of_store(&hub.asked(), "").is_empty(), "what is right stays");
    place.run("models verify owner/toy").said(&["owner/toy: whole"]);
}

#[test]
fn s13_the_token_goes_to_the_hub_alone_and_is_never_told() {
    let hub = hub();
    hub.fail(Faults { token: Some("hf_a-secret"), ..Faults::default() });
    let without = place(&hub);
    without.run("models pull owner/toy").refused(1, &["401 Unauthorized: Repository not found", "HF_TOKEN"]);
    let place = place(&hub).with("HF_TOKEN", "hf_a-secret");
    hub.asked();
    let run = place.run("models pull owner/toy");
    run.said(&["models/owner/toy"]);
    assert!(!format!("{run:?}").contains("a-secret"), "{run:?}");
    let asked = hub.asked();
    let (stored, own): (Vec<_>, Vec<_>) = asked.into_iter().partition(|asked| asked.stored);
    assert!(own.iter().all(|asked| asked.authorization.as_deref() == Some("Bearer hf_a-secret")), "{own:?}");
    assert!(stored.len() == 4 && stored.iter().all(|asked| asked.authorization.is_none()), "{stored:?}");
    let shown = place.run("models pull --help");
    assert!(!shown.out.contains("a-secret"), "{shown:?}");
}

#[test]
fn a_repository_that_is_gated_or_missing_is_refused_with_what_to_do() {
    let hub = hub();
    let place = place(&hub);
    hub.fail(Faults { gated: true, ..Faults::default() });
    let told = ["403 Forbidden: Access to this model is restricted", "accept its terms", "give a token (HF_TOKEN)"];
    place.run("models pull owner/toy").refused(1, &told);
    nothing_is_listed(&place);
    hub.fail(Faults::default());
    place.run("models pull owner/other").refused(1, &["owner/other@main", "no such repository", "404 Not Found"]);
    place.run("models pull owner/toy@v9").refused(1, &["owner/toy@v9", "no such revision"]);
    place.run("models pull owner/toy:none.safetensors").refused(1, &["the repository has no none.safetensors"]);
    place.run("models pull owner/toy:v1.ckpt").refused(2, &["name: owner/toy:v1.ckpt is not allowed", "pickles"]);
    nothing_is_listed(&place);
    hub.call_it("llama");
    let run = place.run("models pull owner/toy --as x/../y");
    run.refused(2, &["as: x/../y is not allowed"]);
}

#[test]
fn what_is_no_model_of_ours_is_refused_before_it_is_fetched() {
    let hub = Hub::start(
        "owner/chat",
        &[("config.json", b"{}"), ("model.safetensors", b"12345"), ("tokenizer.json", b"123")],
    );
    hub.call_it("llama");
    let place = place(&hub);
    let told = [
        "owner/chat@0123456789ab is not a model that is read here",
        "for speech, model_type: \"llama\"",
        "for pictures",
    ];
    place.run("models pull owner/chat").refused(1, &told);
    assert_eq!(hub.asked().len(), 1);
}

#[test]
fn a_whisper_comes_and_a_busy_hub_is_given_the_pause_that_it_asks_for() {
    let hub = Hub::start(
        "owner/ear",
        &[("config.json", b"{}"), ("model.bin", b"12345"), ("tokenizer.json", b"123"), ("README.md", b"x")],
    );
    hub.fail(Faults { busy: 1, ..Faults::default() });
    let place = place(&hub);
    let began = Instant::now();
    place.run("models pull owner/ear --as ears").said(&["models/ears"]);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    place.run("models list").said(&["ears", "speech", "owner/ear@0123456789ab"]);
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_broke() {
    let hub = hub();
    // Three smaller files come before and are shorter than that.
    hub.fail(Faults { cut: (5, 10_000), ..Faults::default() });
    let place = place(&hub);
    place.run("models pull owner/toy").said(&["models/owner/toy"]);
    let ranges: Vec<_> = of_store(&hub.asked(), UNET).into_iter().map(|asked| asked.range).collect();
    assert_eq!(ranges, [None, Some("bytes=10000-".to_owned()), Some("bytes=20000-".to_owned())]);
    place.run("models verify").said(&["owner/toy: whole"]);
}

#[test]
fn a_pull_that_fails_leaves_no_model_and_the_next_one_goes_on() {
    let hub = hub();
    hub.fail(Faults { other_bytes: Some(UNET), ..Faults::default() });
    let place = place(&hub);
    place.run("models pull owner/toy").refused(1, &["cannot fetch", UNET, "sha256 is", "not"]);
    nothing_is_listed(&place);
    hub.fail(Faults::default());
    hub.asked();
    place.run("models pull owner/toy").said(&["models/owner/toy"]);
    let asked = hub.asked();
    assert_eq!(of_store(&asked, "").len(), 1, "only the wrong file comes again: {asked:?}");
    assert_eq!(of_store(&asked, UNET)[0].range, None);
    assert_eq!(std::fs::read_dir(place.path("models/owner")).unwrap().count(), 1);
}

#[test]
fn a_store_without_ranges_sends_the_file_again() {
    let hub = hub();
    hub.fail(Faults { cut: (2, 700), whole_only: true, ..Faults::default() });
    let place = place(&hub);
    place.run("models pull owner/toy").said(&["models/owner/toy"]);
    place.run("models verify").said(&["owner/toy: whole"]);
}

#[test]
fn one_file_of_a_repository_comes_alone_and_is_found_by_its_name() {
    let hub = hub();
    let place = place(&hub);
    place.run("models pull owner/toy:dream.safetensors").said(&["models/dream"]);
    assert_eq!(files_below(&place.path("models")).len(), 2);
    place.run("models list").said(&["dream  ", "pictures, 5.00 kB, openrail++, owner/toy@0123456789ab"]);
    place.run("models verify dream").said(&["dream: whole"]);
}

#[test]
fn files_that_somebody_put_there_are_not_replaced() {
    let hub = hub();
    let place = place(&hub).file("models/owner/toy/notes.txt", "mine");
    place.run("models pull owner/toy").refused(2, &["models/owner/toy holds files that no pull put there", "--as"]);
    assert!(place.path("models/owner/toy/notes.txt").exists());
}
