use crate::program::Place;

#[test]
fn help_lists_every_command_the_exit_codes_and_the_order_of_settings() {
    let commands = [
        "up",
        "transcribe",
        "paint",
        "say",
        "draw",
        "jobs",
        "dead",
        "gateway",
        "topology",
        "top",
        "plan",
        "probe",
        "streams",
        "gpus",
        "models",
    ];
    let run = Place::new().run("--help");
    run.said(&commands);
    let place = |command: &str| run.out.find(&format!("\n  {command}")).unwrap();
    assert!(place("up") < place("transcribe") && place("transcribe") < place("paint") && place("paint") < place("say"));
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
        ("topology", ["--declared", "--json", "--nats-url"]),
        ("top", ["--once", "--every", "--json"]),
        ("plan", ["--jobs-per-hour", "--burst", "Erlang"]),
        ("probe", ["--deadline", "--text", "SHANSHUI_LANE"]),
        ("gateway", ["--api-keys", "--max-body-mib", "SHANSHUI_GATEWAY"]),
        ("draw", ["--guidance", "--until", "--json"]),
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

#[test]
fn the_stages_are_told_in_their_order_without_a_server() {
    let run = Place::new().run("topology --declared --json");
    let told: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let steps: Vec<_> =
        told["steps"].as_array().unwrap().iter().map(|step| [&step["stage"], &step["stream"]]).collect();
    assert_eq!(steps, [["transcribe", "AUDIO"], ["paint", "TEXT"]]);
    assert_eq!(told["steps"][1]["consumers"][0], "paint");
    let said = ["transcribe: takes shanshui.audio.<lane> from stream AUDIO, makes transcript", "paint: takes"];
    Place::new().run("topology --declared").said(&said);
    Place::new().run("topology --declared --prefix other").said(&["other.audio.<lane> from stream other_AUDIO"]);
}
