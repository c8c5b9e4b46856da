//! Refuses what a config asks for and our networks do not do, by name and value.

use anyhow::{Result, ensure};
use serde_json::{Map, Value};

/// Checks every field of `config` that is not among `read`, the fields the caller interprets.
///
/// `fixed` is a JSON object: for each field that we accept without reading it, the values with which our
/// network is the same network. An unlisted field must be null or false, which in these formats
/// switches a later addition off.
///
/// # Errors
/// Names the field, its value and the values that are supported.
pub(super) fn check_supported(config: &Value, read: &[&str], fixed: &str) -> Result<()> {
    let fixed: Map<String, Value> = serde_json::from_str(fixed)?;
    let off = Value::Array(vec![Value::Null, Value::Bool(false)]);
    for (field, value) in config.as_object().into_iter().flatten() {
        if field.starts_with('_') || read.contains(&field.as_str()) {
            continue;
        }
        let allowed = fixed.get(field).unwrap_or(&off);
        let any = allowed == &Value::String("any".to_owned());
        let found = any || allowed.as_array().is_some_and(|values| values.contains(value));
        ensure!(found, "{field}: {value} is not supported, allowed are {allowed}");
    }
    Ok(())
}
