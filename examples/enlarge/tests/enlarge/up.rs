//! Everything on one machine: `up` serves the stage, and the commands show it.

use std::process::Command;

use serde_json::Value;
use shanshui_tests::{PATIENCE, Process, clean, ends_well, nats_server, picture_model, scratch, shanshui, whisper};

#[test]
fn up_serves_the_stage_and_draw_shows_it() {
    super::take_program();
    let folder = scratch();
    let command = |arguments: &[&str]| {
        let mut command: Command = clean(shanshui());
        command.args(arguments).arg("--data").arg(folder.path()).current_dir(folder.path());
        command
    };
    let mut up = command(&["up", "--enlarge-factor", "4"]);
    up.env("SHANSHUI_NATS_SERVER", nats_server()).env("SHANSHUI_WHISPER", whisper("base"));
    let up = Process::spawn("up", up.env("SHANSHUI_PICTURE_MODEL", picture_model()));
    up.says("ready", PATIENCE);

    let drawn = ["draw", "a boat", "--steps", "2", "--count", "1", "--width", "64", "--height", "64", "--json"];
    let output = command(&drawn).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}\n{}", up.log());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stages: Vec<_> = report["stages"].as_array().unwrap().iter().map(|stage| &stage["stage"]).collect();
    assert_eq!(stages, ["paint", "enlarge"]);
    assert!(told.contains("enlarge: started by") && told.contains("done: enlarge took"), "{told}");

    let job = report["job"].as_str().unwrap();
    let saved = report["files"][0]["path"].as_str().unwrap();
    assert_eq!((&report["files"][0]["kind"], saved), (&"enlarged".into(), format!("./{job}-0-x4.png").as_str()));
    assert_eq!(image::open(folder.path().join(saved)).unwrap().width(), 256);
    let shown = command(&["jobs", "show", job]).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("enlarge: finished after") && shown.contains("enlarge: waited"), "{shown}");
    let pool = String::from_utf8_lossy(&command(&["topology"]).output().unwrap().stdout).into_owned();
    assert!(pool.contains("enlarge: takes"), "{pool}");
    let large = image::open(folder.path().join(format!("s3/shanshui/jobs/{job}/0-x4.png"))).unwrap();
    assert_eq!((large.width(), large.height()), (256, 256));
    up.signal("TERM");
    ends_well(&up);
}
