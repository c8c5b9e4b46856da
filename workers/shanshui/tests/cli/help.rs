use crate::program::Place;

#[test]
fn help_lists_every_command_the_exit_codes_and_the_order_of_settings() {
    let commands = ["up", "transcribe", "paint", "say", "draw", "jobs", "dead", "streams", "models"];
    let run = Place::new().run("--help");
    run.said(&commands);
    run.said(&[
        "Exit codes:",
        "3  nobody speaks",
        "6  NATS or the object store",
        "flag, environment variable, --nats-context",
    ]);
}

#[test]
fn every_command_has_a_help_that_names_its_flags_and_their_variables() {
    let place = Place::new();
    let expected = [
        ("up", ["--nats-port", "--s3-port", "SHANSHUI_NATS_SERVER"]),
        ("transcribe", ["--whisper", "--drain-seconds", "SHANSHUI_NATS_URL"]),
        ("paint", ["--picture-model", "--attempts", "SHANSHUI_S3_ENDPOINT"]),
        ("say", ["--language", "--until", "SHANSHUI_LANE"]),
        ("draw", ["--guidance", "--sampler", "--json"]),
        ("jobs show", ["--json", "--nats-url", "SHANSHUI_NATS_CREDS"]),
        ("dead replay", ["--all", "--nats-url", "[SEQUENCE]"]),
        ("streams apply", ["--replicas", "--ack-wait-seconds", "SHANSHUI_QUEUE_BYTES"]),
        ("models pull", ["--offline", "HF_HUB_OFFLINE", "HF_ENDPOINT"]),
    ];
    for (command, parts) in expected {
        place.run(&format!("{command} --help")).said(&parts);
    }
}

#[test]
fn the_version_is_the_packages() {
    Place::new().run("--version").said(&[env!("CARGO_PKG_VERSION")]);
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let place = Place::new();
    place.run("draw cat --no-such-flag").refused(2, &["--no-such-flag"]);
    place.run("paint-me").refused(2, &["paint-me"]);
    place.run("draw cat --steps many").refused(2, &["--steps", "many"]);
    place.run("dead replay").refused(2, &["SEQUENCE"]);
}
