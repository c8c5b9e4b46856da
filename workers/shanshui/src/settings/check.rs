//! Refuses a value of a file before it becomes a default: unknown names and wrong types.

use std::any::TypeId;

use clap::{Arg, ArgAction, Command};
use toml::Value;

/// Flags that make no sense in a file.
const NEVER: [&str; 3] = ["config", "help", "version"];

/// The flag that `name` sets, on any command; the first one found, for they agree.
pub(super) fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    if NEVER.contains(&name) {
        return None;
    }
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(name));
    own.or_else(|| command.get_subcommands().find_map(|sub| find(sub, name)))
}

/// The values for the flag as clap reads them from a command line.
///
/// # Errors
/// In words, when the type or the value does not fit.
pub(super) fn values(arg: &Arg, value: &Value) -> Result<Vec<String>, String> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        let Value::Boolean(flag) = value else { return Err(wrong(value, "true or false")) };
        return Ok(vec![flag.to_string()]);
    }
    let several = matches!(arg.get_action(), ArgAction::Append) || arg.get_value_delimiter().is_some();
    let checked = match value {
        Value::Array(items) if several => items.iter().map(|item| scalar(arg, item)).collect(),
        value => scalar(arg, value).map(|value| vec![value]),
    };
    // What an error would repeat may be a password, and an address may hold one.
    let secret = arg.is_hide_env_values_set() || value.to_string().contains('@');
    if secret { checked.map_err(|_| "(hidden) is not allowed; allowed: a string".to_owned()) } else { checked }
}

fn scalar(arg: &Arg, value: &Value) -> Result<String, String> {
    let text = match (value, is_number(arg)) {
        (Value::Integer(number), true) => number.to_string(),
        (Value::Float(number), true) => number.to_string(),
        (_, true) => return Err(wrong(value, "a number")),
        (Value::Boolean(flag), false) if arg.get_value_parser().type_id() == TypeId::of::<bool>() => flag.to_string(),
        (Value::String(text), false) => text.clone(),
        (Value::Datetime(time), false) => time.to_string(),
        (_, false) => return Err(wrong(value, "a string")),
    };
    accepts(arg, &text).map_err(|why| wrong(value, why))?;
    Ok(text)
}

/// Asks the flag's own parser, on a command that has no other flag.
fn accepts(arg: &Arg, text: &str) -> Result<(), String> {
    let alone = Arg::new("value").long("value").value_parser(arg.get_value_parser().clone());
    let command = Command::new("check").no_binary_name(true).arg(alone);
    match command.try_get_matches_from([format!("--value={text}")]) {
        Ok(_) => Ok(()),
        Err(error) => Err(reason(&error)),
    }
}

fn reason(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue};
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(allowed)) => allowed.join(", "),
        _ => "what --help says".to_owned(),
    }
}

fn is_number(arg: &Arg) -> bool {
    let kind = arg.get_value_parser().type_id();
    let numbers = [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<i64>(),
        TypeId::of::<f32>(),
        TypeId::of::<f64>(),
    ];
    numbers.iter().any(|number| kind == *number)
}

fn wrong(value: &Value, allowed: impl std::fmt::Display) -> String {
    format!("{value} is not allowed; allowed: {allowed}")
}
