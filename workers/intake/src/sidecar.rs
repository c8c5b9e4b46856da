//! Settings that lie beside a recording: `hello.json` for `hello.ogg`.

use serde_json::{Map, Value};
use shanshui_pipeline::{Code, Failure, Store};

/// Largest sidecar, in bytes.
const MAX_BYTES: u64 = 64 << 10;
/// Fields that are not its sender's to set.
const OURS: [&str; 4] = ["id", "audio", "text", "made"];

/// What lies beside a recording.
pub(crate) enum Sidecar {
    /// Nothing, or what the pipeline wrote there itself.
    Absent,
    /// These fields of the job.
    Fields(Map<String, Value>),
    /// It cannot be used, for this reason.
    Wrong(String),
}

/// Reads the object at `key`.
pub(crate) async fn read(watched: &Store, key: &str) -> Result<Sidecar, Failure> {
    match watched.get(key, MAX_BYTES).await {
        Ok(bytes) => Ok(parse(key, &bytes)),
        Err(failure) if failure.code() == Code::NotFound => Ok(Sidecar::Absent),
        Err(failure) if failure.code() == Code::TooLarge => Ok(Sidecar::Wrong(failure.to_string())),
        Err(failure) => Err(failure),
    }
}

fn parse(key: &str, bytes: &[u8]) -> Sidecar {
    let name = key.rsplit('/').next().unwrap_or_default();
    let fields = match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Sidecar::Wrong(format!("{name} is no JSON object")),
        Err(error) => return Sidecar::Wrong(format!("{name} is no JSON: {error}")),
    };
    // A receipt of an earlier recording of this name.
    if fields.contains_key("objects") && fields.contains_key("stages") {
        return Sidecar::Absent;
    }
    match OURS.into_iter().find(|field| fields.contains_key(*field)) {
        Some(field) => Sidecar::Wrong(format!("{name}: {field} is not allowed; allowed: settings of a job")),
        None => Sidecar::Fields(fields),
    }
}

/// `over` on top of `fields`; objects inside are joined field by field.
pub(crate) fn joined(mut fields: Map<String, Value>, over: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in over {
        let value = match (fields.remove(&name), value) {
            (Some(Value::Object(below)), Value::Object(above)) => Value::Object(joined(below, above)),
            (_, value) => value,
        };
        fields.insert(name, value);
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_settings_are_taken_and_a_receipt_is_none() {
        assert!(matches!(parse("in/a.json", br#"{"picture":{"count":1}}"#), Sidecar::Fields(_)));
        assert!(matches!(parse("in/a.json", br#"{"objects":[],"stages":{},"id":"x"}"#), Sidecar::Absent));
        for wrong in ["[1]", "{", r#"{"audio":{"key":"audio/other"}}"#, r#"{"id":"mine"}"#] {
            let Sidecar::Wrong(why) = parse("in/a.json", wrong.as_bytes()) else { panic!("{wrong}") };
            assert!(why.starts_with("a.json"), "{why}");
        }
    }

    #[test]
    fn fields_of_a_sidecar_count_more_one_by_one() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let below = object(json!({ "until": "picture", "picture": { "count": 1, "steps": 4 } }));
        let above = object(json!({ "until": "transcript", "picture": { "count": 3 } }));
        let all = json!({ "until": "transcript", "picture": { "count": 3, "steps": 4 } });
        assert_eq!(Value::Object(joined(below, above)), all);
    }
}
