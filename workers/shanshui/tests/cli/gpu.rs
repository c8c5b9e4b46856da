//! The program without CUDA, and the one that it starts in its own place. The latter is a script here; what the
//! real one says without a driver is tested where it is built (`./dev cuda`).

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::Place;

/// Nothing that the program could paint with.
const NO_MODEL: &str = "--picture-model no-such-model";

/// A program for GPUs on the PATH of `place`, of which `gpus` does what the script says.
fn beside(place: Place, gpus: &str) -> Place {
    script(&place.path("bin"), gpus);
    let path = format!("{}:/usr/bin:/bin", place.path("bin").display());
    place.with("PATH", path)
}

fn script(folder: &Path, gpus: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join("shanshui-cuda");
    let text = format!(
        r#"#!/bin/sh
if [ "$1" = gpus ]; then {gpus}; exit; fi
echo "here $0 $$"
for argument; do echo "<$argument>"; done
echo "$SHANSHUI_TEST"
cat
exit 7
"#
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the program for GPUs says of a machine with this many.
fn finds(count: usize) -> String {
    (0..count).map(|number| format!("echo 'cuda:{number} NVIDIA H200'")).collect::<Vec<_>>().join(";")
}

#[test]
fn the_program_for_gpus_takes_the_place_with_the_same_arguments_environment_and_input() {
    let place = beside(Place::new(), &finds(1));
    let path = format!("{}:/usr/bin:/bin", place.path("bin").display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_shanshui"));
    command.env_clear().env("PATH", path).env("HOME", place.path("home")).env("SHANSHUI_TEST", "a b\tc");
    command.args(["paint", "--paint-device", "cuda", "--worker-name", "two  words\n'\"$x", "--attempts=4"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from standard input").unwrap();
    let (id, output) = (child.id(), child.wait_with_output().unwrap());
    let program = place.path("bin/shanshui-cuda");
    let expected = format!(
        "here {} {id}\n<paint>\n<--paint-device>\n<cuda>\n<--worker-name>\n<two  words\n'\"$x>\n<--attempts=4>\n\
         a b\tc\nfrom standard input",
        program.display()
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn painting_takes_a_gpu_that_is_there_and_hearing_only_where_it_is_told() {
    let place = beside(Place::new(), &finds(2));
    for command in ["paint", "up", "paint --paint-device cuda:1", "transcribe --whisper-device auto"] {
        let run = place.run(command);
        assert!(run.code == Some(7) && run.out.starts_with("here "), "{command}: {run:?}");
    }
    place.run("transcribe --whisper no-such-model").refused(2, &["no-such-model"]);
    place.run(&format!("paint --paint-device cpu {NO_MODEL}")).refused(2, &["no-such-model"]);
    let place = place.with("SHANSHUI_PAINT_DEVICE", "cpu");
    place.run(&format!("paint {NO_MODEL}")).refused(2, &["no-such-model"]);
    let settings = place.file("shanshui.toml", "paint-device = \"cuda\"\n");
    let run = settings.run("paint --paint-device auto");
    assert_eq!(run.code, Some(7), "{run:?}");
}

#[test]
fn the_program_for_gpus_beside_this_one_comes_first() {
    let place = beside(Place::new(), "exit 1");
    let folder = place.path("beside");
    script(&folder, &finds(1));
    let own = folder.join("shanshui");
    // The program is large: a second name for it, where that is possible.
    if std::fs::hard_link(env!("CARGO_BIN_EXE_shanshui"), &own).is_err() {
        std::fs::copy(env!("CARGO_BIN_EXE_shanshui"), &own).unwrap();
    }
    let output = Command::new(&own).arg("gpus").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "cuda:0 NVIDIA H200\n", "{output:?}");
}

#[test]
fn without_a_gpu_auto_goes_on_and_cuda_says_what_is_missing() {
    let loader = |library: &str| {
        let text = "error while loading shared libraries:";
        format!("echo 'x: {text} {library}: cannot open shared object file: No such file or directory' >&2; exit 127")
    };
    let cases = [
        ("", "neither at"),
        (&*loader("libcuda.so.1"), "the NVIDIA driver is missing: there is no libcuda.so.1"),
        (&*loader("libcublas.so.13"), "libcublas.so.13 is missing, which"),
        ("echo 'shanshui: the NVIDIA driver finds no GPU' >&2; exit 1", "because the NVIDIA driver finds no GPU"),
        ("true", "finds no GPU"),
        // As a program of another version does.
        ("echo 'error: unexpected argument' >&2; exit 2", "is not of version"),
        ("kill -9 $$", "signal: 9"),
    ];
    for (gpus, words) in cases {
        let place = if gpus.is_empty() { Place::new() } else { beside(Place::new(), gpus) };
        let refused = "paint-device: cuda:0 is not allowed; allowed: auto, cpu, because ";
        place.run(&format!("paint --paint-device cuda {NO_MODEL}")).refused(2, &[refused, words]);
        // The next thing that is missing.
        place.run(&format!("paint --paint-device auto {NO_MODEL}")).refused(2, &["no-such-model"]);
        place.run("gpus").refused(1, &["there is no GPU to compute on: ", words.trim_start_matches("because ")]);
    }
}

#[test]
fn a_program_of_another_version_does_not_take_the_place() {
    Place::new()
        .run("gpus --asked-by 0.0.1")
        .refused(2, &["asked-by: 0.0.1 is not allowed", env!("CARGO_PKG_VERSION")]);
    Place::new().run(concat!("gpus --asked-by ", env!("CARGO_PKG_VERSION"))).refused(1, &["there is no GPU"]);
}

#[test]
fn a_gpu_that_is_not_there_and_a_device_that_is_none_are_refused() {
    let one = beside(Place::new(), &finds(1));
    one.run("paint --paint-device cuda:1").refused(2, &["paint-device: cuda:1 is not allowed", "one GPU: cuda:0"]);
    let three = beside(Place::new(), &finds(3));
    three.run("up --whisper-device cuda:3").refused(2, &["whisper-device: cuda:3", "3 GPUs: cuda:0 to cuda:2"]);
    for device in ["gpu", "cuda:", "cuda:x", "CUDA"] {
        let allowed = "auto, cpu, cuda, or cuda:N";
        one.run(&format!("paint --paint-device {device}")).refused(2, &[device, allowed]);
    }
    let settings = one.file("shanshui.toml", "paint-device = \"gpu\"\n");
    settings.run("paint").refused(2, &["paint-device", "\"gpu\" is not allowed; allowed: auto, cpu, cuda"]);
}
