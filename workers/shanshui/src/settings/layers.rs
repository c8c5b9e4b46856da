//! Lays the files under the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::file::SettingsFile;
use super::{check, surroundings};
use crate::cli::ALONE;
use crate::data::DataDir;
use crate::exit::{Exit, OrExit, Refusal};

/// Read when no other file is named.
const DEFAULT_FILE: &str = "shanshui.toml";
/// Who says where to go himself does not want the running instance.
const ADDRESSES: [&str; 2] = ["nats-url", "s3-endpoint"];

/// How the command line may end before a command runs.
pub(crate) enum Stop {
    /// Help, version or a usage error, as clap words it.
    Clap(clap::Error),
    /// A settings file is wrong.
    Refused(Refusal),
}

/// What the command line says, with every setting in place.
pub(crate) fn parse(command: Command, arguments: &[OsString]) -> Result<ArgMatches, Stop> {
    let file = settings_file(arguments).map_err(Stop::Refused)?;
    let context = nats_context(arguments).map_err(Stop::Refused)?;
    // Those named first give way to those behind them.
    let told = [file.as_ref(), context.as_ref()];
    let matches = read(command.clone(), &told, arguments)?;
    let running = running_instance(&matches, &told);
    let Some(below) = running.or_else(surroundings::variables) else { return Ok(matches) };
    let [file, context] = told;
    read(command, &[Some(&below), file, context], arguments)
}

/// The command line over the defaults of these files.
fn read(mut command: Command, files: &[Option<&SettingsFile>], arguments: &[OsString]) -> Result<ArgMatches, Stop> {
    for file in files {
        command = apply(command, *file).map_err(Stop::Refused)?;
    }
    command.try_get_matches_from(arguments).map_err(Stop::Clap)
}

/// The context of `--nats-context`, `SHANSHUI_NATS_CONTEXT` or `NATS_CONTEXT`.
fn nats_context(arguments: &[OsString]) -> Result<Option<SettingsFile>, Refusal> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = flag(arguments, "--nats-context").or_else(|| variable("SHANSHUI_NATS_CONTEXT"));
    let Some(name) = named.or_else(|| variable("NATS_CONTEXT")) else { return Ok(None) };
    surroundings::context(&name.to_string_lossy()).map(Some).or_exit(Exit::Usage)
}

/// The file of `--config`, `SHANSHUI_CONFIG` or the working directory.
///
/// It must be known before the command line can be parsed, hence the look at the raw arguments.
fn settings_file(arguments: &[OsString]) -> Result<Option<SettingsFile>, Refusal> {
    let named = flag(arguments, "--config").or_else(|| std::env::var_os("SHANSHUI_CONFIG"));
    let path = match named.filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None if Path::new(DEFAULT_FILE).is_file() => PathBuf::from(DEFAULT_FILE),
        None => return Ok(None),
    };
    SettingsFile::read(&path).map(Some).or_exit(Exit::Usage)
}

fn flag(arguments: &[OsString], name: &str) -> Option<OsString> {
    let mut rest = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    while let Some(argument) = rest.next() {
        if argument == name {
            return rest.next().cloned();
        }
        let joined = argument.to_str().and_then(|text| text.strip_prefix(name)?.strip_prefix('='));
        if let Some(value) = joined {
            return Some(value.into());
        }
    }
    None
}

/// Makes the file's values the defaults of all flags of their name.
fn apply(command: Command, file: Option<&SettingsFile>) -> Result<Command, Refusal> {
    let Some(file) = file else { return Ok(command) };
    let mut command = command;
    for (name, value) in &file.values {
        let at = format!("{}: {name}", file.path.display());
        let Some(arg) = check::find(&command, name) else {
            return Err(anyhow!("{at}: no such setting; see `shanshui help COMMAND` for the names"))
                .or_exit(Exit::Usage);
        };
        let values = check::values(arg, value).map_err(|why| anyhow!("{at}: {why}")).or_exit(Exit::Usage)?;
        command = set(command, name, &values);
    }
    Ok(command)
}

fn set(command: Command, name: &str, values: &[String]) -> Command {
    let command = command.mut_args(|arg| {
        if arg.get_long() != Some(name) {
            return arg;
        }
        // A secret must not show up in --help.
        let secret = arg.is_hide_env_values_set();
        let arg = arg.required(false).default_values(values.to_vec());
        if secret { arg.hide_default_value(true) } else { arg }
    });
    command.mut_subcommands(|sub| set(sub, name, values))
}

/// What `shanshui up` wrote down, for commands that are told no address.
fn running_instance(matches: &ArgMatches, files: &[Option<&SettingsFile>]) -> Option<SettingsFile> {
    if matches.subcommand_name().is_none_or(|command| ALONE.contains(&command)) || told(matches) {
        return None;
    }
    if files.iter().flatten().any(|file| ADDRESSES.iter().any(|name| file.text(name).is_some())) {
        return None;
    }
    let path = DataDir::at(matches.get_one::<PathBuf>("data").map(PathBuf::as_path)).ok()?.addresses();
    // A file that cannot be read is none: the flags' own defaults and errors are clearer.
    path.is_file().then(|| SettingsFile::read(&path).ok()).flatten()
}

/// Whether an address came by flag or environment.
fn told(matches: &ArgMatches) -> bool {
    // Global flags reach the innermost command, whichever level they were written at.
    if let Some((_, inner)) = matches.subcommand() {
        return told(inner);
    }
    let mut addresses = matches.ids().map(clap::Id::as_str).filter(|id| ["url", "s3_endpoint"].contains(id));
    addresses.any(|id| !matches!(matches.value_source(id), Some(ValueSource::DefaultValue) | None))
}
