//! What people have set up for other NATS programs: the variables of the `nats` command line, and its
//! contexts.

use std::collections::BTreeMap;
use std::env::var_os;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde_json::Value as Json;
use toml::Value;

use super::file::SettingsFile;

/// Variables that nats.go's tools read, and the flags that mean the same.
const VARIABLES: [(&str, &str); 8] = [
    ("NATS_URL", "nats-url"),
    ("NATS_USER", "nats-user"),
    ("NATS_PASSWORD", "nats-password"),
    ("NATS_CREDS", "nats-creds"),
    ("NATS_NKEY", "nats-nkey"),
    ("NATS_CA", "nats-ca"),
    ("NATS_CERT", "nats-cert"),
    ("NATS_KEY", "nats-key"),
];

/// Fields of a context, and the flags that mean the same.
const FIELDS: [(&str, &str); 11] = [
    ("url", "nats-url"),
    ("user", "nats-user"),
    ("password", "nats-password"),
    ("token", "nats-token"),
    ("creds", "nats-creds"),
    ("nkey", "nats-nkey"),
    ("ca", "nats-ca"),
    ("cert", "nats-cert"),
    ("key", "nats-key"),
    ("inbox_prefix", "nats-inbox"),
    ("jetstream_domain", "nats-domain"),
];

/// Fields that change how to connect, and that we cannot follow.
const OTHERS: [&str; 7] =
    ["socks_proxy", "nsc", "user_jwt", "user_seed", "jetstream_api_prefix", "jetstream_event_prefix", "tls_first"];

/// The variables that are set, as settings.
pub(super) fn variables() -> Option<SettingsFile> {
    let set = VARIABLES.iter().filter_map(|(name, flag)| {
        let value = var_os(name).filter(|value| !value.is_empty())?.into_string().ok()?;
        Some(((*flag).to_owned(), Value::String(value)))
    });
    let values: BTreeMap<_, _> = set.collect();
    let path = PathBuf::from("the variables NATS_*");
    (!values.is_empty()).then_some(SettingsFile { path, values })
}

/// The context of this name, as settings.
///
/// # Errors
/// A context that does not exist, cannot be read, or asks for something that we cannot do.
pub(super) fn context(name: &str) -> anyhow::Result<SettingsFile> {
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        bail!("nats-context: {name:?} is not allowed; allowed: a name that `nats context ls` shows");
    }
    let path = folder()?.join("nats/context").join(format!("{name}.json"));
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("nats-context: cannot read {}", path.display()))?;
    read(&path, &text)
}

fn read(path: &Path, text: &str) -> anyhow::Result<SettingsFile> {
    let place = path.display();
    // The error's own text names line and column, and quotes nothing.
    let json: Json = serde_json::from_str(text).with_context(|| format!("{place} is not JSON"))?;
    let fields = json.as_object().ok_or_else(|| anyhow!("{place} is not an object"))?;
    if let Some(other) = OTHERS.iter().find(|name| fields.get(**name).is_some_and(|value| !is_empty(value))) {
        bail!("{place}: {other} is not supported; allowed: {}", FIELDS.map(|(name, _)| name).join(", "));
    }
    let mut values = BTreeMap::new();
    for (name, flag) in FIELDS {
        let text = fields.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        if let Some(text) = text {
            values.insert(flag.to_owned(), Value::String(at_home(text)));
        }
    }
    Ok(SettingsFile { path: path.to_owned(), values })
}

fn is_empty(value: &Json) -> bool {
    matches!(value, Json::Null | Json::Bool(false)) || value.as_str() == Some("")
}

/// Files of a context may begin with the home folder.
fn at_home(text: &str) -> String {
    match (text.strip_prefix("~/"), var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest).to_string_lossy().into_owned(),
        _ => text.to_owned(),
    }
}

fn folder() -> anyhow::Result<PathBuf> {
    let given = |name: &str| var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || given("HOME").map(|home| home.join(".config"));
    given("XDG_CONFIG_HOME").or_else(home).context("nats-context: neither XDG_CONFIG_HOME nor HOME is set")
}
