use crate::program::{Place, Run};

/// Nothing listens on these ports: the error says which address was taken.
fn address(place: &Place, flags: &str) -> Run {
    place.run(&format!("jobs show a --connect-seconds 1 {flags}"))
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file_and_that_over_the_default() {
    let file = "[nats]\nurl = 'nats://127.0.0.1:2'\n";
    let place = Place::new().file("shanshui.toml", file);
    address(&place, "").refused(6, &["cannot reach NATS at nats://127.0.0.1:2 "]);
    let place = place.with("SHANSHUI_NATS_URL", "nats://127.0.0.1:3");
    address(&place, "").refused(6, &["127.0.0.1:3 "]);
    address(&place, "--nats-url nats://127.0.0.1:4").refused(6, &["127.0.0.1:4 "]);
}

#[test]
fn the_running_instance_is_used_unless_an_address_is_given() {
    let up = "nats-url = 'nats://127.0.0.1:5'\ns3-endpoint = 'http://127.0.0.1:5'\n";
    let place = Place::new().file("data/up.toml", up);
    address(&place, "--data data").refused(6, &["127.0.0.1:5 "]);
    address(&place, "--data data --nats-url nats://127.0.0.1:6").refused(6, &["127.0.0.1:6 "]);
    let place = place.file("shanshui.toml", "nats-url = 'nats://127.0.0.1:7'");
    address(&place, "--data data").refused(6, &["127.0.0.1:7 "]);
}

#[test]
fn what_was_set_up_for_other_nats_programs_is_used_below_everything_of_our_own() {
    let place = Place::new().with("NATS_URL", "nats://user:hunter2@127.0.0.1:5");
    address(&place, "").refused(6, &["cannot reach NATS at 127.0.0.1:5 "]);
    address(&place, "--nats-url nats://127.0.0.1:4").refused(6, &["127.0.0.1:4 "]);
    let place = place.file("shanshui.toml", "nats-url = 'nats://127.0.0.1:3'");
    address(&place, "").refused(6, &["127.0.0.1:3 "]);
    let place = Place::new().with("NATS_CREDS", "/nowhere/a.creds");
    address(&place, "").refused(2, &["nats-creds: cannot use /nowhere/a.creds"]);
}

#[test]
fn a_context_of_the_nats_command_line_is_read_by_name() {
    let work = r#"{ "description": "at work", "url": "nats://127.0.0.1:5", "creds": "~/a.creds", "nsc": "" }"#;
    let proxy = r#"{ "url": "nats://127.0.0.1:6", "socks_proxy": "127.0.0.1:1080" }"#;
    let bare = r#"{ "url": "nats://127.0.0.1:7", "user": "", "token": "t" }"#;
    let place = Place::new().file("home/.config/nats/context/work.json", work);
    let place = place.file("home/.config/nats/context/proxy.json", proxy);
    let place = place.file("home/.config/nats/context/bare.json", bare);
    address(&place, "--nats-context work").refused(2, &["nats-creds: cannot use", "home/a.creds"]);
    address(&place, "--nats-context=bare").refused(6, &["127.0.0.1:7 "]);
    address(&place, "--nats-context bare --nats-url nats://127.0.0.1:4").refused(6, &["127.0.0.1:4 "]);
    address(&place, "--nats-context proxy").refused(2, &["proxy.json: socks_proxy is not supported"]);
    address(&place, "--nats-context none").refused(2, &["nats-context: cannot read", "none.json"]);
    address(&place, "--nats-context ../work").refused(2, &["\"../work\" is not allowed"]);
    let place = place.file("shanshui.toml", "nats-url = 'nats://127.0.0.1:3'").with("NATS_CONTEXT", "bare");
    address(&place, "").refused(6, &["127.0.0.1:7 "]);
}

#[test]
fn the_file_of_the_config_flag_wins_over_that_of_the_environment_and_of_the_folder() {
    let url = |port: u16| format!("nats-url = 'nats://127.0.0.1:{port}'");
    let place = Place::new().file("shanshui.toml", url(1)).file("b.toml", url(2)).file("c.toml", url(3));
    let place = place.with("SHANSHUI_CONFIG", "b.toml");
    address(&place, "").refused(6, &["127.0.0.1:2 "]);
    address(&place, "--config c.toml").refused(6, &["127.0.0.1:3 "]);
    address(&place, "--config=c.toml").refused(6, &["127.0.0.1:3 "]);
}

#[test]
fn s18_help_shows_the_files_values_as_defaults_but_no_secrets() {
    let file = "[worker]\nname = 'left'\n[s3]\naccess-key = 'user-1'\nsecret-key = 'hunter2'\nallow-http = true\n";
    let run = Place::new().file("shanshui.toml", file).run("paint --help");
    run.said(&["[default: left]", "[default: user-1]"]);
    assert!(!run.out.contains("hunter2"), "{}", run.out);
}

#[test]
fn an_unknown_setting_is_refused_by_name() {
    let place = Place::new().file("shanshui.toml", "[nats]\nurk = 'x'\n");
    place.run("models list").refused(2, &["shanshui.toml: nats-urk: no such setting"]);
    let place = Place::new().file("shanshui.toml", "config = 'other.toml'\n");
    place.run("models list").refused(2, &["config: no such setting"]);
}

#[test]
fn a_setting_of_the_wrong_type_is_refused_by_name() {
    let wrong = [
        ("concurrency = 'two'", ["concurrency: \"two\" is not allowed", "a number"]),
        ("nats-url = 4222", ["nats-url: 4222 is not allowed", "a string"]),
        ("s3-allow-http = 'yes'", ["s3-allow-http: \"yes\" is not allowed", "true or false"]),
        ("attempts = 0", ["attempts: 0 is not allowed", "1..=100"]),
        ("log-format = 'xml'", ["log-format: \"xml\" is not allowed", "text, json"]),
        ("prefix = 'a.b'", ["prefix: \"a.b\" is not allowed", "one subject token"]),
        ("lane = ['a', 'b']", ["lane: [\"a\", \"b\"] is not allowed", "a string"]),
    ];
    for (file, parts) in wrong {
        Place::new().file("shanshui.toml", file).run("models list").refused(2, &parts);
    }
}

#[test]
fn a_setting_given_twice_or_in_no_toml_or_in_no_file_is_refused() {
    let twice = "nats-url = 'a'\n[nats]\nurl = 'b'\n";
    Place::new().file("shanshui.toml", twice).run("models list").refused(2, &["nats-url", "twice"]);
    Place::new().file("shanshui.toml", "nats-url: a").run("models list").refused(2, &["is not TOML", "line 1"]);
    Place::new().run("models list --config gone.toml").refused(2, &["cannot read gone.toml"]);
}

#[test]
fn settings_that_contradict_each_other_are_refused_at_start() {
    let place = Place::new();
    place.run("transcribe --stall-seconds 500 --job-seconds 100").refused(2, &["stall-seconds", "job-seconds"]);
    place.run("paint --s3-attempt-seconds 50 --s3-operation-seconds 10").refused(2, &["s3-attempt-seconds"]);
    place.run("paint --s3-endpoint http://example.org").refused(2, &["s3-endpoint", "in the clear"]);
    place.run("up --nats-port 5000 --s3-port 5000").refused(2, &["s3-port", "5000"]);
    place.run("draw cat --no-wait --timeout 3").refused(2, &["--no-wait"]);
    place.run("jobs show a --nats-user me").refused(2, &["--nats-password"]);
}
