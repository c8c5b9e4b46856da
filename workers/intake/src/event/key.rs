//! Keys of objects, as events write them.

use percent_encoding::percent_decode_str;

use super::short;

/// Longest key that S3 allows, in bytes.
const MAX_KEY: usize = 1024;

/// A key that was encoded as a form, once: `+` is a space.
pub(super) fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|key| key.into_owned())
}

/// Refuses keys that could lead a store of folders out of its bucket, and such as nobody can read.
pub(super) fn check(key: &str) -> Result<(), String> {
    let steps_out = key.split('/').any(|part| matches!(part, "." | ".."));
    let wrong = match key {
        "" => "an empty key".to_owned(),
        key if key.len() > MAX_KEY => format!("a key of {} bytes; allowed: {MAX_KEY}", key.len()),
        key if key.starts_with('/') || steps_out => format!("key {} leads out of its folder", short(key)),
        key if key.chars().any(char::is_control) => format!("key {} has control characters", short(key)),
        _ => return Ok(()),
    };
    Err(wrong)
}
