//! An `ffmpeg` of the operator's, for what is not read here.
//!
//! It gets the recording on its standard input and gives WAV on its standard output. It may open
//! nothing else (`-protocol_whitelist pipe`), has no environment, and is bounded in time, memory
//! and output.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use super::parts::index_first;
use super::{AudioError, Budget, DecodeError, Recording, SAMPLE_RATE, decode};
use crate::gate::Verdict;

/// Address space in bytes.
const MEMORY: u64 = 1 << 30;
/// Seconds for a recording of no length; longer ones get a twentieth of their own length more.
const SECONDS: f64 = 30.0;
/// Bytes of what it complains about that are kept.
const COMPLAINT: usize = 2000;
/// Audio tracks that are tried where the first holds no speech.
const TRACKS: usize = 4;
/// Channels at most in what comes back.
const CHANNELS: f64 = 8.0;

/// An `ffmpeg` that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ffmpeg {
    path: PathBuf,
}

/// What it left.
struct Left {
    output: Vec<u8>,
    complaint: String,
    success: bool,
    late: bool,
}

impl Ffmpeg {
    /// Finds what the setting names: `auto` one on `PATH`, if there is any, `off` none, all else a
    /// path.
    ///
    /// # Errors
    /// When there is no program at the path.
    pub fn find(setting: &str) -> anyhow::Result<Option<Self>> {
        let program = |path: PathBuf| path.is_file().then_some(Self { path });
        match setting {
            "off" => Ok(None),
            "auto" => {
                let folders = std::env::var_os("PATH").unwrap_or_default();
                Ok(std::env::split_paths(&folders).find_map(|folder| program(folder.join("ffmpeg"))))
            }
            path => {
                let found = program(path.into());
                let reason = || format!("ffmpeg: {path:?} is not allowed; allowed: auto, off, the path of an ffmpeg");
                found.with_context(reason).map(Some)
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has it decoded, the first track that holds speech or the first of all.
    pub(super) fn decode(&self, bytes: &[u8], codec: &str, budget: &Budget) -> Result<Recording, DecodeError> {
        let mut first = self.track(bytes, 0, budget)?;
        for track in 1..TRACKS {
            if first.sound.verdict == Verdict::Speech {
                break;
            }
            match self.track(bytes, track, budget) {
                Ok(other) if other.sound.verdict == Verdict::Speech => first = other,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        // A telephone sends descriptions of silence between the words; ffmpeg complains of each.
        first.source.damaged &= !codec.starts_with("AMR");
        Ok(first)
    }

    fn track(&self, bytes: &[u8], track: usize, budget: &Budget) -> Result<Recording, DecodeError> {
        let left = self.run(bytes, track, budget).map_err(DecodeError::Worker)?;
        let foreign = |reason: String| AudioError::Foreign { container: "", codec: String::new(), reason };
        if left.late {
            return Err(foreign(format!("it took longer than {:.0} seconds", limit(budget).as_secs_f64())).into());
        }
        let mut recording = match decode(&left.output, budget) {
            Ok(recording) => recording,
            Err(error @ (AudioError::TooLong { .. } | AudioError::TooManySamples { .. })) => return Err(error.into()),
            Err(_) if left.complaint.is_empty() => return Err(foreign("it found no sound".into()).into()),
            Err(_) => return Err(foreign(left.complaint).into()),
        };
        recording.source.track = track + 1;
        recording.source.tracks = recording.source.tracks.max(track + 1);
        recording.source.damaged = !left.success || !left.complaint.is_empty();
        recording.source.truncated = false;
        Ok(recording)
    }

    fn run(&self, bytes: &[u8], track: usize, budget: &Budget) -> anyhow::Result<Left> {
        let started = self.command(track, budget).spawn();
        let mut child = started.with_context(|| format!("cannot start {}", self.path.display()))?;
        let (Some(input), Some(output), Some(complaint)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            anyhow::bail!("{} has no pipes", self.path.display());
        };
        let most = ((budget.max_seconds + 2.0) * f64::from(SAMPLE_RATE) * 2.0 * CHANNELS) as u64;
        thread::scope(|scope| {
            scope.spawn(move || feed(input, bytes));
            let output = scope.spawn(move || read(output, most));
            let complaint = scope.spawn(move || read_complaint(complaint));
            let (success, late) = wait(&mut child, limit(budget))?;
            let output = output.join().unwrap_or_default();
            Ok(Left { output, complaint: complaint.join().unwrap_or_default(), success, late })
        })
    }

    fn command(&self, track: usize, budget: &Budget) -> Command {
        let mut command = Command::new(&self.path);
        let longest = format!("{:.3}", budget.max_seconds + 1.0);
        let map = format!("0:a:{track}");
        let rate = SAMPLE_RATE.to_string();
        command.args(["-hide_banner", "-nostdin", "-v", "error", "-threads", "1", "-protocol_whitelist", "pipe"]);
        command.args(["-i", "pipe:0", "-map", &map, "-t", &longest, "-threads", "1", "-ar", &rate]);
        command.args(["-c:a", "pcm_s16le", "-map_metadata", "-1", "-f", "wav", "pipe:1"]);
        command.env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        bound(&mut command, limit(budget));
        command
    }
}

fn limit(budget: &Budget) -> Duration {
    Duration::from_secs_f64(SECONDS + budget.max_seconds / 20.0)
}

/// Limits that hold from before the program's first instruction, and its death with the thread that
/// waits for it.
#[expect(unsafe_code, reason = "between fork and exec only calls of the kernel are made, which is safe there")]
fn bound(command: &mut Command, time: Duration) {
    let seconds = time.as_secs() + 1;
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            setrlimit(Resource::As, limit(MEMORY))?;
            setrlimit(Resource::Cpu, limit(seconds))?;
            setrlimit(Resource::Fsize, limit(0))?;
            setrlimit(Resource::Core, limit(0))?;
            Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
        });
    }
}

/// An MP4 whose index lies at the end is given index first: a pipe cannot go back. A program that
/// has had enough closes the pipe, which is no error.
fn feed(mut input: impl Write, bytes: &[u8]) {
    let _ = match index_first(bytes) {
        Some((index, [start, data, rest])) => {
            [start, index.as_slice(), data, rest].iter().try_for_each(|piece| input.write_all(piece))
        }
        None => input.write_all(bytes),
    };
}

/// Beyond the limit the pipe is closed, which ends the program.
fn read(output: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = output.take(most).read_to_end(&mut bytes);
    bytes
}

/// The last complaint on one line; all are read, or the program would wait for ever.
fn read_complaint(mut output: impl Read) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(COMPLAINT);
        kept.drain(..surplus);
    }
    let text = String::from_utf8_lossy(&kept);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// Whether it ended well, and whether it had to be ended.
fn wait(child: &mut Child, time: Duration) -> anyhow::Result<(bool, bool)> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for ffmpeg")? {
            return Ok((status.success(), false));
        }
        if start.elapsed() > time {
            child.kill().context("cannot end ffmpeg")?;
            child.wait().context("cannot wait for ffmpeg")?;
            return Ok((false, true));
        }
        thread::sleep(Duration::from_millis(5));
    }
}
