//! Reads a settings file into the long names of flags.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use toml::{Table, Value};

/// The values of one file, by the long name of the flag.
#[derive(Debug, Default)]
pub(crate) struct SettingsFile {
    /// Where they come from.
    pub(crate) path: PathBuf,
    /// The values; lists for flags that may be given more than once.
    pub(crate) values: BTreeMap<String, Value>,
}

impl SettingsFile {
    /// Reads `path`; an error names the file and the line.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(path, &text)
    }

    /// Reads the text of a file; an error names `path` and the line.
    pub(crate) fn parse(path: &Path, text: &str) -> anyhow::Result<Self> {
        let table: Table =
            text.parse().map_err(|error| anyhow!("{} is not TOML: {}", path.display(), place(text, &error)))?;
        let mut values = BTreeMap::new();
        flatten("", table, &mut values).with_context(|| path.display().to_string())?;
        Ok(Self { path: path.to_owned(), values })
    }

    /// The value of `name` if it is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }
}

/// The line of an error and what is wrong there. The error's own text would quote the line, and
/// with it perhaps a password.
fn place(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}

/// `[nats] url` becomes `nats-url`.
fn flatten(above: &str, table: Table, into: &mut BTreeMap<String, Value>) -> anyhow::Result<()> {
    for (key, value) in table {
        let key = key.replace('_', "-");
        let name = if above.is_empty() { key } else { format!("{above}-{key}") };
        match value {
            Value::Table(table) => flatten(&name, table, into)?,
            value => {
                if into.insert(name.clone(), value).is_some() {
                    bail!("{name}: (twice) is not allowed; allowed: each setting once");
                }
            }
        }
    }
    Ok(())
}
