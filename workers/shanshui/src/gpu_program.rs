//! The program for GPUs. This one is built without CUDA, whose libraries are no part of most machines; the
//! same program built with CUDA lies beside it under the name with `-cuda` behind it, and takes its place where
//! there is a GPU to compute on.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use clap::ArgMatches;
use shanshui_model::{DeviceKind, gpu};

use crate::exit::{Exit, OrExit, Refusal};

/// The driver's library; no package has it but the driver's.
const DRIVER: &str = "libcuda.so.1";
/// What the loader says before the name of a library that it does not find.
const LOADER: &str = "error while loading shared libraries: ";

/// Both programs must be of the same one.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the program for GPUs is.
pub(crate) struct GpuProgram(PathBuf);

/// Lets the program for GPUs take the place of this one if the command line asks for a GPU, and there is one.
/// It gets the same arguments, environment, standard input and process number.
///
/// # Errors
/// A GPU was asked for without `auto`, and cannot be had.
pub(crate) fn hand_over(matches: &ArgMatches, arguments: &[OsString]) -> Result<(), Refusal> {
    let wanted = wanted(matches);
    // A program with CUDA never hands over, so there is no end of programs that start each other.
    if gpu::BUILT_IN || wanted.is_empty() {
        return Ok(());
    }
    let found = GpuProgram::find().and_then(|program| Ok((program.gpus()?.len(), program)));
    let (count, program) = match found {
        Ok(found) => found,
        Err(why) => return without(&wanted, why),
    };
    for (flag, device) in &wanted {
        if matches!(device, DeviceKind::Cuda(number) if *number >= count) {
            let allowed = format!("auto, cpu, or a GPU of this machine, which has {}", gpu::listed(count));
            return Err(Refusal::setting(flag, device, allowed));
        }
    }
    let error = Command::new(&program.0).args(arguments.iter().skip(1)).exec();
    Err(anyhow::anyhow!("cannot start {}: {error}", program.0.display())).or_exit(Exit::Failed)
}

/// The flags of the command that ask for a GPU.
fn wanted(matches: &ArgMatches) -> Vec<(String, DeviceKind)> {
    let Some((_, own)) = matches.subcommand() else { return Vec::new() };
    let devices = own.ids().filter_map(|id| {
        let device = own.try_get_one::<DeviceKind>(id.as_str()).ok()??;
        Some((id.as_str().replace('_', "-"), *device))
    });
    devices.filter(|(_, device)| *device != DeviceKind::Cpu).collect()
}

/// Goes on without a GPU, where that is allowed.
fn without(wanted: &[(String, DeviceKind)], why: String) -> Result<(), Refusal> {
    match wanted.iter().find(|(_, device)| *device != DeviceKind::Auto) {
        Some((flag, device)) => Err(Refusal::setting(flag, device, format!("auto, cpu, because {why}"))),
        None => {
            gpu::explain_absence(why);
            Ok(())
        }
    }
}

impl GpuProgram {
    /// Looks beside this program, then on PATH. The error says where it is not.
    pub(crate) fn find() -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let mut name = own.file_name().unwrap_or_default().to_owned();
        name.push("-cuda");
        let beside = own.with_file_name(&name);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|folder| folder.join(&name));
        let found = std::iter::once(beside.clone()).chain(on_path).find(|place| place.is_file());
        found.map(Self).ok_or_else(|| {
            format!("the program for GPUs, {}, is neither at {} nor on PATH", name.display(), beside.display())
        })
    }

    /// A line for each GPU that it can compute on, at least one. The error says what is missing.
    pub(crate) fn gpus(&self) -> Result<Vec<String>, String> {
        let asked = Command::new(&self.0).args(["gpus", "--asked-by", VERSION]).stdin(Stdio::null()).output();
        let output = asked.map_err(|error| format!("{} cannot be started: {error}", self.0.display()))?;
        if !output.status.success() {
            return Err(self.missing(&output));
        }
        let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        if lines.is_empty() { Err(format!("{} finds no GPU", self.0.display())) } else { Ok(lines) }
    }

    fn missing(&self, output: &Output) -> String {
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(Exit::Usage as i32) {
            return format!("{} is not of version {VERSION}, as this program is", self.0.display());
        }
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        let library = last.split_once(LOADER).map(|(_, rest)| rest.split(':').next().unwrap_or(rest));
        match library {
            Some(DRIVER) => format!("the NVIDIA driver is missing: there is no {DRIVER}"),
            Some(library) => format!("{library} is missing, which {} needs", self.0.display()),
            None if last.is_empty() => format!("{} ended with {}", self.0.display(), output.status),
            None => last.strip_prefix("shanshui: ").unwrap_or(last).to_owned(),
        }
    }
}
