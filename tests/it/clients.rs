//! Clients that nobody here wrote: each is a program of `tests/clients` with a library from a
//! package registry, and prints a line for each promise of the contract.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use shanshui_tests::{
    ACCESS_KEY, BUCKET, Job, Nats, PATIENCE, Process, SECRET_KEY, Stack, clean, picture_model, root, scratch, shanshui,
    whisper,
};

/// Jobs that a client publishes at once: enough to wait in line, few enough for two cores.
const MANY: &str = "30";

/// Longest run of one client, beside others on the same workers; each has limits of its own.
const LONG: Duration = Duration::from_secs(2400);

#[test]
fn every_promise_of_the_contract_holds_for_a_client_in_python() {
    passes("contract", client(foreign("python"), stack()).arg("tests/clients/contract").env("MANY", MANY), 120);
}

#[test]
fn both_libraries_of_javascript_publish_follow_and_cancel() {
    for library in ["nats", "nats-io"] {
        passes(library, client("node", stack()).args(["tests/clients/client.mjs", library, MANY]), 17);
    }
}

#[test]
fn a_client_in_c_publishes_and_follows() {
    let folder = scratch();
    let program = folder.path().join("client");
    built(Command::new("cc").arg(root().join("tests/clients/client.c")).arg("-o").arg(&program).arg("-lnats"));
    passes("nats.c", client(&program, stack()).args([stack().url(), &Job::new("c").id]), 3);
}

#[test]
fn a_client_in_go_publishes_and_follows() {
    let folder = scratch();
    let program = folder.path().join("client");
    let mut build = Command::new("go");
    build.arg("build").arg("-o").arg(&program).arg(root().join("tests/clients/client.go"));
    // Debian's packages, and no module from anywhere else.
    build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOFLAGS", "").env("GOPROXY", "off");
    built(build.env("GOCACHE", root().join(".cache/go")));
    passes("nats.go", client(&program, stack()).args([stack().url(), &Job::new("go").id]), 4);
}

#[test]
fn workers_come_are_killed_and_go_and_no_job_is_lost_or_doubled() {
    let folder = scratch();
    let store = folder.path().join("streams");
    let nats = Nats::with_config(&store, &monitored(&store));
    let monitor = nats.process().says("Starting http monitor on", PATIENCE);
    let monitor = monitor.rsplit(' ').next().expect("an address");
    let stack = Stack::on_queue(&nats.url(), &["--ack-wait-seconds", "5"]);
    let mut scale = client(foreign("python"), &stack);
    // The program starts the workers, as an operator does; these are their settings.
    for (name, value) in stack.command(&[]).get_envs() {
        if let Some(value) = value {
            scale.env(name, value);
        }
    }
    scale.env("SHANSHUI_PICTURE_MODEL", picture_model()).env("SHANSHUI", shanshui());
    scale.arg("tests/clients/scale.py").env("MONITOR", format!("http://{monitor}"));
    passes("scale", &mut scale, 6);
}

fn monitored(store: &Path) -> String {
    let streams = format!("jetstream {{ store_dir: \"{}\", sync_interval: always }}", store.display());
    format!("listen: \"127.0.0.1:-1\"\nhttp: \"127.0.0.1:-1\"\n{streams}\n")
}

/// One queue, one store, both workers and the reconciler, as README starts them.
pub(crate) fn stack() -> &'static Stack {
    static STACK: OnceLock<(Stack, [Process; 3])> = OnceLock::new();
    &STACK.get_or_init(crew).0
}

/// The same for those that want to be told by webhooks: any gateway with a secret tells what another one was to.
pub(crate) fn telling() -> &'static Stack {
    static STACK: OnceLock<(Stack, [Process; 3])> = OnceLock::new();
    &STACK.get_or_init(crew).0
}

fn crew() -> (Stack, [Process; 3]) {
    let stack = Stack::start();
    let mut ear = stack.worker_command("transcribe", "ear");
    let mut hand = stack.worker_command("paint", "hand");
    ear.env("SHANSHUI_WHISPER", whisper("tiny.en"));
    hand.env("SHANSHUI_PICTURE_MODEL", quick_model(stack.folder()));
    let workers = [
        Process::spawn("ear", &mut ear),
        Process::spawn("hand", &mut hand),
        Process::spawn("reconcile", &mut stack.command(&["reconcile"])),
    ];
    (stack, workers)
}

/// The picture model of the repository, which recommends two steps here: jobs that ask for no number
/// of steps take an eighth of the time.
pub(crate) fn quick_model(folder: &Path) -> PathBuf {
    let (model, quick) = (picture_model(), folder.join("mini"));
    fs::create_dir(&quick).expect("a folder for the model");
    for entry in fs::read_dir(&model).expect("the model").flatten() {
        symlink(entry.path(), quick.join(entry.file_name())).expect("a link");
    }
    let settings = fs::read_to_string(model.join("shanshui.json")).expect("recommendations");
    let fewer = settings.replace("\"steps\": 16", "\"steps\": 2");
    assert_ne!(fewer, settings, "{settings}");
    fs::remove_file(quick.join("shanshui.json")).expect("a link to the recommendations");
    fs::write(quick.join("shanshui.json"), fewer).expect("other recommendations");
    quick
}

/// A program of the environment that `./dev` has made for clients and stores of others.
pub(crate) fn foreign(program: &str) -> PathBuf {
    fetched(Path::new("foreign/bin").join(program))
}

/// A file below `.cache`.
pub(crate) fn fetched(path: impl AsRef<Path>) -> PathBuf {
    let path = root().join(".cache").join(path);
    assert!(path.exists(), "{} is missing: run `./dev models`", path.display());
    path
}

/// A client that is told where queue and store are, in the words that all of them share.
pub(crate) fn client(program: impl AsRef<OsStr>, stack: &Stack) -> Command {
    let mut command = told(program, stack.url(), &stack.objects().endpoint(), [ACCESS_KEY, SECRET_KEY]);
    command.env("NODE_MODULES", root().join(".cache/node/node_modules"));
    command
}

/// A client of this queue and this store.
pub(crate) fn told(program: impl AsRef<OsStr>, queue: &str, store: &str, [access, secret]: [&str; 2]) -> Command {
    let mut command = clean(Path::new(program.as_ref()));
    command.current_dir(root()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("NATS_URL", queue).env("S3_ENDPOINT", store).env("S3_BUCKET", BUCKET);
    command.env("AWS_ACCESS_KEY_ID", access).env("AWS_SECRET_ACCESS_KEY", secret);
    command.env("SPEECH", root().join("tests/data/speech"));
    command
}

/// Runs a client to its end: every line is a promise that holds, and there are at least so many.
pub(crate) fn passes(name: &str, command: &mut Command, least: usize) {
    let process = Process::spawn(name, command);
    let exit = process.ends(LONG);
    let log = process.log();
    let count = |verdict: &str| log.lines().filter(|line| line.starts_with(verdict)).count();
    assert!(exit.success() && count("FAIL") == 0, "{name}: {exit}; it said:\n{log}");
    assert!(count("PASS") >= least, "{name}: {least} lines were expected; it said:\n{log}");
}

fn built(compiler: &mut Command) {
    let output = compiler.output().unwrap_or_else(|error| panic!("{compiler:?} does not start: {error}"));
    assert!(output.status.success(), "{compiler:?}: {}", String::from_utf8_lossy(&output.stderr));
}
