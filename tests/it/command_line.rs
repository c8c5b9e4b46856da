//! The program as a person or a script at a terminal uses it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use shanshui_tests::{
    Door, PATIENCE, Process, clean, clip, ends_well, nats_server, picture_model, png, recording, scratch, shanshui,
    until, whisper,
};

/// A running `shanshui up` with its data directory.
struct Up {
    process: Process,
    folder: TempDir,
}

impl Up {
    fn start() -> Self {
        let folder = scratch();
        let process = Process::spawn("up", &mut up(folder.path()));
        process.says("ready", PATIENCE);
        Self { process, folder }
    }

    /// Runs a command that finds the running instance by its data directory.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = clean(shanshui());
        command.args(arguments).arg("--data").arg(self.folder.path()).current_dir(self.folder.path());
        command.output().expect("shanshui starts")
    }

    /// Runs a command that must end with this code, and reads its output.
    fn says(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}\n{}", self.process.log());
        out
    }

    fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let said = self.says(code, &[arguments, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"))
    }
}

fn up(data: &Path) -> Command {
    let mut command = clean(shanshui());
    command
        .args(["up", "--inbox", "inbox/", "--data"])
        .arg(data)
        .current_dir(data)
        .env("SHANSHUI_NATS_SERVER", nats_server())
        .env("SHANSHUI_WHISPER", whisper("base"))
        .env("SHANSHUI_PICTURE_MODEL", picture_model());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn up_runs_everything_and_a_sentence_is_spoken_and_a_text_drawn() {
    let up = Up::start();
    let spoken = up.json(0, &["say", clip("mountains.wav").to_str().expect("a path in Unicode"), "--out", "pictures"]);
    assert_eq!(
        spoken["transcript"].as_str().map(str::trim),
        Some("Paint high mountains and a river under a full moon.")
    );
    assert_eq!((&spoken["state"], &spoken["language"]), (&"done".into(), &"en".into()));
    let stages: Vec<_> = spoken["stages"].as_array().expect("a list").iter().map(|stage| &stage["stage"]).collect();
    assert_eq!(stages, ["transcribe", "paint"]);
    for picture in spoken["pictures"].as_array().expect("a list") {
        let path = up.folder.path().join(picture["path"].as_str().expect("a path"));
        png::size(&std::fs::read(path).expect("a saved picture"));
    }
    assert_eq!(spoken["pictures"].as_array().map(Vec::len), Some(2));
    up.says(0, &["draw", "a boat", "--count", "1", "--seed", "3", "--output", "boat.png"]);
    png::size(&std::fs::read(up.folder.path().join("boat.png")).expect("a saved picture"));
    let shown = up.json(0, &["jobs", "show", spoken["job"].as_str().expect("a name")]);
    assert_eq!(shown["state"], "done");
    let door = Door::of(&up.process);
    assert!(door.get("/").is(200).text().contains("<html"));
    let place = format!("/v1/jobs/{}", spoken["job"].as_str().expect("a name"));
    assert_eq!(door.get(&place).is(200).json()["pictures"].as_array().map(Vec::len), Some(2));
    let addresses = std::fs::read_to_string(up.folder.path().join("up.toml")).expect("the addresses");
    assert!(addresses.contains(door.address()), "{addresses}");
    // What somebody puts into the folder of the bucket comes back there.
    let inbox = up.folder.path().join("s3/shanshui/inbox");
    std::fs::create_dir_all(&inbox).expect("a folder");
    std::fs::copy(clip("cat.wav"), inbox.join(".cat")).expect("a recording");
    std::fs::rename(inbox.join(".cat"), inbox.join("cat.wav")).expect("a name");
    let deadline = std::time::Instant::now() + PATIENCE;
    while !inbox.join("cat.json").exists() {
        assert!(std::time::Instant::now() < deadline, "no receipt; up said:\n{}", up.process.log());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(std::fs::read_to_string(inbox.join("cat.txt")).expect("words").to_lowercase().contains("cat"));
    png::size(&std::fs::read(inbox.join("cat-0.png")).expect("a picture"));
    assert_eq!(up.run(&["up", "--inbox", "jobs/mine/"]).status.code(), Some(2));
    assert_eq!(up.run(&["say", clip("silence.wav").to_str().expect("a path in Unicode")]).status.code(), Some(3));
}

#[test]
fn jobs_are_taken_back_and_dead_ones_replayed() {
    let up = Up::start();
    let long = ["draw", "a river", "--steps", "100", "--count", "8", "--id", "long", "--no-wait"];
    assert_eq!(up.says(0, &long).trim(), "long");
    up.says(0, &["jobs", "cancel", "long"]);
    assert_eq!(up.run(&long[..8]).status.code(), Some(4));
    up.says(2, &["draw", "another river", "--id", "long"]);
    assert_eq!(up.json(0, &["jobs", "show", "long"])["state"], "canceled");
    up.says(1, &["jobs", "show", "unknown"]);

    up.says(1, &["draw", "a boat", "--id", "dicey", "--sampler", "dice"]);
    let dead = up.json(0, &["dead", "list"]);
    assert_eq!((&dead["job"], &dead["attempts"]), (&"dicey".into(), &1.into()));
    assert!(dead["reason"].as_str().is_some_and(|reason| reason.contains("picture.sampler")), "{dead}");
    up.says(0, &["dead", "replay", &dead["sequence"].to_string()]);
    // Behind it on the same queue: when this one is done, the replayed one has failed again.
    up.says(0, &["draw", "a tree", "--count", "1"]);
    let again = up.json(0, &["dead", "list"]);
    assert_eq!(again["job"], "dicey");
    assert_ne!(again["sequence"], dead["sequence"]);
    up.says(0, &["dead", "replay", "--all"]);
    up.says(0, &["draw", "a tree", "--count", "1"]);
    assert_eq!(up.json(0, &["dead", "list"])["job"], "dicey");
}

#[test]
fn recordings_and_texts_come_through_a_pipe_and_pictures_in_every_format() {
    let up = Up::start();
    let piped = |arguments: &[&str], input: &[u8]| {
        let mut command = clean(shanshui());
        command.args(arguments).arg("--data").arg(up.folder.path()).current_dir(up.folder.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("shanshui starts");
        child.stdin.take().expect("a pipe").write_all(input).expect("a reader");
        let output = child.wait_with_output().expect("an end");
        assert!(output.status.success(), "{arguments:?}: {}", output.status);
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let spoken = piped(&["say", "-", "--until", "transcript", "--json"], &recording("cat.wav"));
    assert_eq!(spoken["transcript"].as_str().map(str::trim), Some("a cat sitting under a yellow star."));
    let starts: [(&str, &[u8]); 3] = [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF")];
    for (format, start) in starts {
        let drawn = piped(&["draw", "-", "--count", "1", "--format", format, "--json"], b"a boat\n");
        let path = up.folder.path().join(drawn["pictures"][0]["path"].as_str().expect("a path"));
        assert!(std::fs::read(path).expect("a saved picture").starts_with(start), "{format}: {drawn}");
    }
    let slow = ["draw", "a river", "--steps", "100", "--count", "8", "--id", "slow", "--timeout", "1"];
    up.says(5, &slow);
    up.says(0, &["jobs", "cancel", "slow"]);
}

#[test]
fn wrong_flags_are_refused_before_anything_is_sent() {
    let folder = scratch();
    let refused = |arguments: &[&str], names: &[&str]| {
        let output = clean(shanshui()).args(arguments).current_dir(folder.path()).output().expect("shanshui starts");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(names.iter().all(|name| said.contains(name)), "{arguments:?}: {said}");
    };
    refused(&["draw", "a boat", "--steps", "0"], &["steps", "0"]);
    refused(&["draw", "a boat", "--width", "100"], &["width", "100", "multiple of 8"]);
    refused(&["draw", " "], &["text"]);
    refused(&["say", "nothing.wav"], &["nothing.wav"]);
    refused(&["draw", "a boat", "--nats-creds", "a", "--nats-user", "b"], &["--nats-creds"]);
    refused(&["dance"], &["dance"]);
}

#[test]
fn nobody_at_the_address_is_an_exit_code_of_its_own() {
    let mut command = clean(shanshui());
    command.args(["draw", "a boat", "--nats-url", "nats://127.0.0.1:9", "--connect-seconds", "1"]);
    let output = command.output().expect("shanshui starts");
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("127.0.0.1:9"));
}

#[tokio::test]
async fn a_second_up_on_the_same_data_says_so_and_ctrl_c_leaves_nothing_behind() {
    let up = Up::start();
    let second = Process::spawn("second up", &mut self::up(up.folder.path()));
    assert_eq!(second.ends(PATIENCE).code(), Some(7), "{}", second.log());
    assert!(second.log().contains("in use"), "{}", second.log());
    let family = descendants(up.process.pid());
    assert!(!family.is_empty(), "no nats-server below up");
    up.process.signal("INT");
    ends_well(&up.process);
    // Its watchdog over nats-server ends a moment after it.
    until("the end of the whole family", async || family.iter().all(|pid| has_ended(pid)).then_some(())).await;
    // The same data again: nothing of the first run is in the way.
    let third = Process::spawn("third up", &mut self::up(up.folder.path()));
    third.says("ready", PATIENCE);
    third.signal("INT");
    ends_well(&third);
}

#[test]
fn models_that_are_not_what_is_pinned_are_named() {
    let folder = scratch();
    let model = folder.path().join("whisper-tiny.en");
    std::fs::create_dir(&model).expect("a folder");
    for file in ["config.json", "tokenizer.json", "vocabulary.txt"] {
        std::fs::copy(whisper("tiny.en").join(file), model.join(file)).expect("a copy");
    }
    let mut weights = std::fs::read(whisper("tiny.en").join("model.bin")).expect("weights");
    let verify = |weights: &[u8]| {
        std::fs::write(model.join("model.bin"), weights).expect("a file");
        let mut command = clean(shanshui());
        command.args(["models", "verify", "whisper-tiny.en", "--models"]).arg(folder.path());
        let output = command.output().expect("shanshui starts");
        (output.status.code(), text(&output.stdout))
    };
    assert_eq!(verify(&weights).0, Some(0));
    weights[1_000_000] ^= 1;
    let (code, said) = verify(&weights);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("model.bin: sha256"), "{said}");
}

/// Whether a process is gone, or only waits for init to notice that it ended (state Z).
fn has_ended(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

/// Process ids of children and grandchildren.
fn descendants(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<String> =
        children.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let below: Vec<String> = children.iter().flat_map(|child| descendants(child.parse().unwrap_or(0))).collect();
    children.into_iter().chain(below).collect()
}
