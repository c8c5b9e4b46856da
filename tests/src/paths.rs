//! Where binaries, models and recordings lie.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Once, OnceLock};

use tempfile::TempDir;

/// How the names of these tests' folders start; the process id follows.
const SCRATCH: &str = "pipeline-";

/// The workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

/// The program under test.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Tests another program: one with stages of its own. Call it before anything else.
pub fn use_program(path: &str) {
    let used = PROGRAM.get_or_init(|| path.into());
    assert_eq!(used, Path::new(path), "the tests of one binary test one program");
}

/// The program under test: without [`use_program`] that of `SHANSHUI_PROGRAM` (a release build, an
/// installed one), else the one that cargo built for the tests of its package.
pub fn shanshui() -> &'static Path {
    PROGRAM.get_or_init(|| {
        let given = std::env::var_os("SHANSHUI_PROGRAM").map(PathBuf::from);
        let program = given.unwrap_or_else(|| profile().join("shanshui"));
        assert!(program.exists(), "{} is missing: cargo test --workspace --test it builds it", program.display());
        program
    })
}

/// Where cargo puts programs: a test is at target/<profile>/deps/<test>, a program beside `deps`.
fn profile() -> PathBuf {
    let own = std::env::current_exe().expect("a path of this program");
    let folder = own.parent().expect("a folder of this program");
    let above = folder.parent().filter(|_| folder.ends_with("deps"));
    above.unwrap_or(folder).to_owned()
}

/// The nats-server that `./dev` fetched or found.
pub fn nats_server() -> PathBuf {
    named("SHANSHUI_NATS_SERVER", ".cache/bin/nats-server")
}

/// A library that has a program see another time, to be loaded into it before all others.
pub fn faketime() -> PathBuf {
    named("SHANSHUI_FAKETIME", ".cache/bin/libfaketime.so")
}

/// A command that inherits no setting of the product.
pub fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if ["SHANSHUI_", "AWS_", "NATS_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    command
}

/// A Python with the packages of `tests/python/requirements.txt`.
pub fn python() -> PathBuf {
    named("SHANSHUI_PYTHON", ".cache/venv/bin/python")
}

/// A CTranslate2 folder with real weights of Whisper: `base` or `tiny.en`.
pub fn whisper(size: &str) -> PathBuf {
    let usual = || root().join(".cache/models").into_os_string();
    let folders = std::env::var_os("SHANSHUI_MODELS").unwrap_or_else(usual);
    let mut all = std::env::split_paths(&folders).map(|folder| folder.join(format!("whisper-{size}")));
    there(all.find(|path| path.exists()).unwrap_or_else(|| root().join(format!(".cache/models/whisper-{size}"))))
}

/// The picture model of the repository.
pub fn picture_model() -> PathBuf {
    there(root().join("models/mini"))
}

/// A recording of `tests/data/speech`.
pub fn clip(name: &str) -> PathBuf {
    there(root().join("tests/data/speech").join(name))
}

/// The bytes of a recording.
pub fn recording(name: &str) -> Vec<u8> {
    std::fs::read(clip(name)).expect("a readable recording")
}

/// A Python script of these tests.
pub fn script(name: &str) -> PathBuf {
    there(root().join("tests/python").join(name))
}

/// A folder for one test, below the target folder of cargo.
pub fn scratch() -> TempDir {
    static SWEPT: Once = Once::new();
    let place = profile().parent().expect("a target folder").join("tmp");
    SWEPT.call_once(|| {
        std::fs::create_dir_all(&place).expect("a folder for the tests");
        sweep(&place);
    });
    let prefix = format!("{SCRATCH}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(place).expect("a folder for a test")
}

/// Removes what earlier runs left: the folder of a `static` is never dropped.
fn sweep(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(SCRATCH).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another run that starts now may be sweeping as well.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn named(variable: &str, usual: &str) -> PathBuf {
    there(std::env::var_os(variable).map_or_else(|| root().join(usual), PathBuf::from))
}

fn there(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `./dev models`", path.display());
    path
}
