//! Reads the fields of a decoded object one by one, so that every error names the field, its
//! value and what is allowed, whatever the encoding was.

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use rmpv::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Base64 as people have it (RFC 4648 §4 and §5): with padding and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Models, samplers and stages are looked up by name; longer ones cannot exist.
pub(crate) const MAX_NAME: usize = 128;
/// MessagePack's extension type of a timestamp.
const TIMESTAMP: i8 = -1;

/// Characters of an offending value that an error repeats; the rest could be megabytes.
const SHOWN: usize = 60;

/// Most fields of one object: each known one is looked for among all.
const MAX_FIELDS: usize = 1000;

/// A value that a job may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value} is not allowed; allowed: {allowed}")]
pub struct FieldError {
    /// Path of the field, as `picture.steps`.
    pub field: String,
    /// The value as it came, cut short.
    pub value: String,
    /// What would be right.
    pub allowed: String,
}

impl FieldError {
    /// An error about `field`, with its name, which may be the sender's own, and `value` made safe for
    /// one line of a log.
    pub fn new(field: &str, value: impl Display, allowed: impl Display) -> Self {
        Self { field: shown(field), value: shown(&value.to_string()), allowed: allowed.to_string() }
    }

    /// An error about a field that must be there and is not.
    pub fn missing(field: &str, allowed: impl Display) -> Self {
        Self::new(field, "(missing)", allowed)
    }
}

fn shown(value: &str) -> String {
    let mut short: String = value.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if value.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

/// The fields of one object that nobody has taken yet.
#[derive(Debug)]
pub struct Fields {
    path: String,
    entries: Vec<(String, Value)>,
}

impl Fields {
    /// The fields of `value`, which lies at `path` (empty for the job itself).
    pub fn new(path: &str, value: Value) -> Result<Self, FieldError> {
        let name = if path.is_empty() { "job" } else { path };
        let Value::Map(pairs) = value else {
            return Err(FieldError::new(name, value, "an object"));
        };
        if pairs.len() > MAX_FIELDS {
            return Err(FieldError::new(
                name,
                format!("{} fields", pairs.len()),
                format!("at most {MAX_FIELDS} fields"),
            ));
        }
        let (mut entries, mut known) = (Vec::with_capacity(pairs.len()), HashSet::with_capacity(pairs.len()));
        for (key, value) in pairs {
            let Some(key) = key.as_str() else {
                return Err(FieldError::new(name, key, "an object whose keys are strings"));
            };
            if !known.insert(key.to_owned()) {
                return Err(FieldError::new(&join(path, key), "(twice)", "each field once"));
            }
            entries.push((key.to_owned(), value));
        }
        Ok(Self { path: path.to_owned(), entries })
    }

    /// Full path of the field `name`.
    pub fn path(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// The raw value of `name`; null counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.entries.iter().position(|(key, _)| key == name)?;
        Some(self.entries.swap_remove(at).1).filter(|value| !value.is_nil())
    }

    /// A string.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, FieldError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(FieldError::new(&self.path(name), value, "a string of valid Unicode")),
        }
    }

    /// A string that `parse` turns into a value; `allowed` says which ones it takes.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, FieldError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let parsed = parse(&text).ok_or_else(|| FieldError::new(&self.path(name), &text, allowed))?;
        Ok(Some(parsed))
    }

    /// True or false.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, FieldError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_bool() {
            Some(boolean) => Ok(Some(boolean)),
            None => Err(FieldError::new(&self.path(name), value, "true or false")),
        }
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, FieldError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let whole = value.as_u64().or_else(|| whole(value.as_f64()?));
        match whole.filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let allowed = format!("a whole number from {} to {}", range.start(), range.end());
                Err(FieldError::new(&self.path(name), value, allowed))
            }
        }
    }

    /// A finite number within `range`.
    pub fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, FieldError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let allowed = format!("a number from {} to {}", range.start(), range.end());
                Err(FieldError::new(&self.path(name), value, allowed))
            }
        }
    }

    /// Bytes: binary in MessagePack, base64 in JSON. Line breaks, the URL-safe alphabet, missing
    /// padding and a `data:` address in front are all read.
    pub fn bytes(&mut self, name: &str) -> Result<Option<Bytes>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Binary(bytes)) => Ok(Some(bytes.into())),
            Some(Value::String(text)) if text.is_str() => {
                let decoded = base64(text.as_str().unwrap_or_default());
                let error = || FieldError::new(&self.path(name), &text, "binary, or base64");
                decoded.map(|bytes| Some(bytes.into())).ok_or_else(error)
            }
            Some(other) => Err(FieldError::new(&self.path(name), other, "binary or base64")),
        }
    }

    /// The name of a model, a sampler or a stage.
    pub fn name(&mut self, name: &str) -> Result<Option<String>, FieldError> {
        let fits = |text: &str| (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control);
        self.parsed(name, "a name of 1 to 128 printable characters", |text| fits(text).then(|| text.to_owned()))
    }

    /// A time: RFC 3339 text, or MessagePack's timestamp.
    pub fn time(&mut self, name: &str) -> Result<Option<OffsetDateTime>, FieldError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let time = match &value {
            Value::Ext(TIMESTAMP, bytes) => timestamp(bytes),
            other => other.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok()),
        };
        let allowed = "a time as 2027-01-01T00:00:00Z (RFC 3339), or a MessagePack timestamp";
        let found = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        time.map(Some).ok_or_else(|| FieldError::new(&self.path(name), found, allowed))
    }

    /// A nested object.
    pub fn object(&mut self, name: &str) -> Result<Option<Fields>, FieldError> {
        let path = self.path(name);
        self.take(name).map(|value| Fields::new(&path, value)).transpose()
    }

    /// What nobody asked for: kept and passed on, never an error.
    pub fn rest(self) -> Vec<(Value, Value)> {
        self.entries.into_iter().map(|(key, value)| (key.into(), value)).collect()
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text = match text.strip_prefix("data:") {
        Some(address) => address.split_once(";base64,")?.1,
        None => text,
    };
    let plain = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    });
    BASE64.decode(plain.collect::<Vec<u8>>()).ok()
}

/// The three forms of the MessagePack specification: 32, 64 and 96 bits, big-endian.
fn timestamp(bytes: &[u8]) -> Option<OffsetDateTime> {
    let (seconds, nanoseconds) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            ((both & ((1 << 34) - 1)) as i64, (both >> 34) as u32)
        }
        12 => {
            let (nanoseconds, seconds) = bytes.split_at(4);
            (i64::from_be_bytes(seconds.try_into().ok()?), u32::from_be_bytes(nanoseconds.try_into().ok()?))
        }
        _ => return None,
    };
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.replace_nanosecond(nanoseconds).ok()
}

/// JSON writers of some languages know only floating point: 20.0 is as good as 20.
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
