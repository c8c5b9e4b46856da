use crate::program::Place;

/// No server is asked about a job that no worker would take.
#[test]
fn s12_a_wrong_field_of_a_job_is_refused_by_name_before_anything_is_sent() {
    let wrong = [
        ("--width 12", ["picture.width: 12 is not allowed", "a multiple of 8"]),
        ("--width 2147483648", ["picture.width: 2147483648 is not allowed", "from 8 to 4096"]),
        ("--height 0", ["picture.height: 0 is not allowed", "from 8 to 4096"]),
        ("--steps 0", ["picture.steps: 0 is not allowed", "from 1 to 1000"]),
        ("--count 65", ["picture.count: 65 is not allowed", "from 1 to 64"]),
        ("--guidance 101", ["picture.guidance", "from 0 to 100"]),
        ("--format gif", ["picture.format: gif", "png, jpeg or webp"]),
        ("--id Cat", ["id: Cat is not allowed", "a-z, 0-9 and -"]),
        ("--deadline tomorrow", ["deadline: tomorrow", "RFC 3339"]),
        ("--label tenant", ["--label", "KEY=VALUE"]),
    ];
    for (flags, parts) in wrong {
        Place::new().run(&format!("draw cat {flags}")).refused(2, &parts);
    }
}

#[test]
fn a_text_that_is_empty_is_refused() {
    Place::new().run("draw -").refused(2, &["text: (empty) is not allowed"]);
}

#[test]
fn a_recording_that_is_missing_or_empty_is_refused() {
    let place = Place::new().file("empty.wav", "");
    place.run("say gone.wav").refused(2, &["file: cannot open gone.wav"]);
    place.run("say empty.wav").refused(2, &["file: empty.wav (0 bytes) is not allowed"]);
}

#[test]
fn wishes_for_speech_are_refused_by_name() {
    let place = Place::new().file("a.wav", "RIFF");
    place.run("say a.wav --task sing").refused(2, &["task: sing is not allowed", "auto, transcribe or translate"]);
    place.run("say a.wav --until never").refused(2, &["until: never is not allowed", "transcript or picture"]);
    place.run("draw cat --until transcript").refused(2, &["until: transcript is not allowed", "or a stage: paint"]);
    place.run("say a.wav --language 4").refused(2, &["language: 4 is not allowed"]);
}

#[test]
fn a_command_says_that_it_cannot_reach_nats_and_exits_with_6() {
    let flags = "--nats-url nats://127.0.0.1:1 --connect-seconds 1";
    for command in ["draw cat", "jobs show a", "jobs cancel a", "dead list", "streams check"] {
        Place::new()
            .run(&format!("{command} {flags}"))
            .refused(6, &["cannot reach NATS at nats://127.0.0.1:1 within 1 s"]);
    }
}

#[test]
fn s10_a_name_that_no_job_can_have_is_refused() {
    Place::new().run("jobs show a/b").refused(2, &["job: a/b is not allowed"]);
}
