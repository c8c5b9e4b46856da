//! A pipeline whose queue asks everybody who he is: `deploy/nats.conf` as it is deployed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use shanshui_tests::{
    ACCESS_KEY, BUCKET, Objects, PATIENCE, Process, SECRET_KEY, clean, nats_server, picture_model, scratch, shanshui,
    whisper,
};
use tempfile::TempDir;

/// The users of `deploy/nats.conf` in the pipeline's own account.
pub(crate) const PARTS: [&str; 8] =
    ["admin", "transcribe", "paint", "reconcile", "gateway", "intake", "bucket", "erase"];
/// Those who have accounts of their own.
pub(crate) const OUTSIDERS: [&str; 3] = ["tenant-a", "tenant-b", "watch"];

/// A queue with users, a store, and no worker yet.
pub(crate) struct Guarded {
    pub(crate) server: Process,
    pub(crate) objects: Objects,
    pub(crate) url: String,
    folder: TempDir,
}

impl Guarded {
    /// With streams and bucket, made by the admin.
    pub(crate) fn start() -> Self {
        Self::on(&nats_server())
    }

    /// The same with another nats-server.
    pub(crate) fn on(program: &Path) -> Self {
        let guarded = Self::launch(program, "nats.conf", &[]);
        let applied = guarded.run("admin", &["streams", "apply"]);
        assert!(applied.status.success(), "{}", said(&applied));
        guarded
    }

    /// With a file of deploy/, further variables for it, and nothing in it.
    pub(crate) fn bare(config: &str, variables: &[(&str, &Path)]) -> Self {
        Self::launch(&nats_server(), config, variables)
    }

    fn launch(program: &Path, config: &str, variables: &[(&str, &Path)]) -> Self {
        let folder = scratch();
        let mut command = configured(Command::new(program), &deploy(config), &folder.path().join("nats"));
        command.envs(variables.iter().copied());
        let server = Process::spawn("nats-server", command.args(["--port", "-1", "--addr", "127.0.0.1"]));
        let line = server.says("Listening for client connections on", PATIENCE);
        server.says("Server is ready", PATIENCE);
        let port = line.rsplit(':').next().expect("a port in the line");
        let url = format!("nats://127.0.0.1:{port}");
        let objects = Objects::start(&folder.path().join("s3"));
        Self { server, objects, url, folder }
    }

    /// Our binary in the hands of one role.
    pub(crate) fn command(&self, role: &str, arguments: &[&str]) -> Command {
        let mut command = self.stranger(arguments);
        command
            .env("SHANSHUI_NATS_USER", role)
            .env("SHANSHUI_NATS_PASSWORD", password(role))
            .env("SHANSHUI_NATS_INBOX", format!("_INBOX_{role}"));
        command
    }

    /// Our binary in the hands of nobody.
    pub(crate) fn stranger(&self, arguments: &[&str]) -> Command {
        let mut command = clean(shanshui());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("SHANSHUI_NATS_URL", &self.url)
            .env("SHANSHUI_S3_ENDPOINT", self.objects.endpoint())
            .env("SHANSHUI_S3_BUCKET", BUCKET)
            .env("SHANSHUI_S3_ACCESS_KEY", ACCESS_KEY)
            .env("SHANSHUI_S3_SECRET_KEY", SECRET_KEY)
            .env("SHANSHUI_WHISPER", whisper("tiny.en"))
            .env("SHANSHUI_PICTURE_MODEL", picture_model());
        command
    }

    /// Runs our binary to its end.
    pub(crate) fn run(&self, role: &str, arguments: &[&str]) -> Output {
        self.command(role, arguments).output().expect("shanshui starts")
    }

    /// Runs a command that must end well; what it printed.
    pub(crate) fn does(&self, role: &str, arguments: &[&str]) -> String {
        let output = self.run(role, arguments);
        assert!(output.status.success(), "{role} {arguments:?}: {}\n{}", said(&output), self.server.log());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The worker of a stage, as the role of the same name.
    pub(crate) fn worker(&self, stage: &str) -> Process {
        let worker = Process::spawn(stage, &mut self.command(stage, &[stage]));
        worker.says("taking jobs", PATIENCE);
        worker
    }

    /// A folder for this test's files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A file of deploy/.
pub(crate) fn deploy(name: &str) -> PathBuf {
    // An absolute name stays what it is.
    shanshui_tests::root().join("deploy").join(name)
}

/// The server with a configuration and the variables that deploy/nats.conf asks for.
pub(crate) fn server(config: &Path, store: &Path) -> Command {
    configured(Command::new(nats_server()), config, store)
}

fn configured(mut command: Command, config: &Path, store: &Path) -> Command {
    command.arg("--config").arg(config).env("SHANSHUI_NATS_STORE", store);
    for role in PARTS.iter().chain(&OUTSIDERS).chain(&["sys"]) {
        let variable = role.to_uppercase().replace('-', "_");
        command.env(format!("SHANSHUI_{variable}_PASSWORD"), password(role));
    }
    command
}

/// The password of a role.
pub(crate) fn password(role: &str) -> String {
    format!("canary-of-{role}")
}

/// All that a command said.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}
