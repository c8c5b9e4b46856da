//! A disk of a few MiB, so that it can be full.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::Process;
use super::wait::PATIENCE;

/// Ways to a mount of one's own: as root, or in a user namespace where everybody may be root.
const WAYS: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

/// A file system in memory, in a mount namespace of its own: it is gone with this value, and
/// nobody outside sees it.
pub struct Disk {
    // Its namespace lives as long as this process.
    holder: Process,
    way: &'static [&'static str],
    place: PathBuf,
}

impl Disk {
    /// A disk at `place`.
    pub fn mount(place: &Path, mib: u32) -> Self {
        std::fs::create_dir_all(place).expect("a folder for the disk");
        let way = WAYS.into_iter().find(|way| may(way)).unwrap_or_else(|| {
            panic!(
                "this test needs a disk of {mib} MiB and may not mount one: run it as root with the right to mount \
                 (in a container: CAP_SYS_ADMIN), or allow user namespaces (sysctl user.max_user_namespaces and \
                 kernel.unprivileged_userns_clone)"
            )
        });
        let mount = format!("mount -t tmpfs -o size={mib}m disk \"$0\" && echo mounted && exec sleep infinity");
        let mut command = Command::new("unshare");
        command.args(way).args(["sh", "-c", &mount]).arg(place);
        let holder = Process::spawn("disk", &mut command);
        holder.says("mounted", PATIENCE);
        Self { holder, way, place: place.to_owned() }
    }

    /// Where it is, for programs that run inside.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// A program that sees it.
    pub fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.pid().to_string(), "--mount"]);
        if self.way.contains(&"--user") {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        command
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        // That the disk is full is how dd ends; the second one takes what is less than a block.
        self.shell("for size in 64k 1k; do dd if=/dev/zero bs=$size >>\"$0/ballast\" 2>/dev/null; done; sync");
    }

    /// Takes out what filled it.
    pub fn relieve(&self) {
        self.shell("rm -f \"$0/ballast\"");
    }

    fn shell(&self, script: &str) {
        let status = self.inside(Path::new("sh")).args(["-c", script]).arg(&self.place).status();
        assert!(status.expect("nsenter starts").success(), "{script}");
    }
}

fn may(way: &[&str]) -> bool {
    let mut command = Command::new("unshare");
    command.args(way).args(["mount", "-t", "tmpfs", "probe", "/tmp"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
