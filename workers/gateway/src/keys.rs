//! Who calls: API keys, of which only hashes are kept.

use std::path::Path;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use shanshui_pipeline::names;
use subtle::ConstantTimeEq;

/// Whoever a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name of the key; empty where nobody is asked for one.
    pub(crate) name: String,
    /// The only lane of its jobs; none: any lane.
    pub(crate) lane: Option<String>,
}

struct Key {
    caller: Caller,
    hash: [u8; 32],
}

/// The keys; none: everybody is served.
pub(crate) struct Keys(Option<Vec<Key>>);

impl Keys {
    /// The keys in a file.
    ///
    /// # Errors
    /// Names the file and the line, never what is in it.
    pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else { return Ok(Self(None)) };
        let text =
            std::fs::read_to_string(file).with_context(|| format!("api-keys: cannot read {}", file.display()))?;
        let lines = text.lines().map(str::trim).zip(1..);
        let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        let keys: Option<Vec<Key>> =
            lines.map(|(line, number)| key(line).ok_or(number)).collect::<Result<Vec<_>, i32>>().map(Some).map_err(
                |number| {
                    let allowed = "NAME:SHA256, or NAME:SHA256:LANE, with 64 hexadecimal digits";
                    anyhow::anyhow!(
                        "api-keys: {}, line {number}: (hidden) is not allowed; allowed: {allowed}",
                        file.display()
                    )
                },
            )?;
        ensure!(keys.as_ref().is_some_and(|keys| !keys.is_empty()), "api-keys: {} has no key", file.display());
        Ok(Self(keys))
    }

    /// Whether callers need a key.
    pub(crate) fn are_needed(&self) -> bool {
        self.0.is_some()
    }

    /// Whose key it is. Every hash is compared, each in constant time.
    pub(crate) fn caller(&self, given: Option<&str>) -> Option<Caller> {
        let Some(keys) = &self.0 else { return Some(Caller { name: String::new(), lane: None }) };
        let hash: [u8; 32] = Sha256::digest(given?.as_bytes()).into();
        let mut found = None;
        for key in keys {
            if bool::from(key.hash.ct_eq(&hash)) {
                found = Some(key.caller.clone());
            }
        }
        found
    }
}

fn key(line: &str) -> Option<Key> {
    let mut parts = line.split(':');
    let (name, digits, lane) = (parts.next()?, parts.next()?, parts.next());
    let lane_fits = lane.is_none_or(names::is_lane);
    let caller = Caller { name: name.to_owned(), lane: lane.map(str::to_owned) };
    let fits = names::is_lane(name) && lane_fits && parts.next().is_none();
    fits.then_some(Key { caller, hash: bytes(digits)? })
}

fn bytes(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use shanshui_pipeline::id::sha256_hex;

    use super::*;

    fn keys(text: &str) -> anyhow::Result<Keys> {
        let file =
            std::env::temp_dir().join(format!("shanshui-keys-{}-{}", std::process::id(), sha256_hex(text.as_bytes())));
        std::fs::write(&file, text).unwrap();
        let keys = Keys::read(Some(&file));
        std::fs::remove_file(&file).unwrap();
        keys
    }

    #[test]
    fn a_key_is_known_by_its_hash_alone_and_carries_its_lane() {
        let hash = sha256_hex(b"sesame");
        let keys = keys(&format!("# who\nanna:{hash}:gold\n\nben:{}\n", sha256_hex(b"other"))).unwrap();
        let anna = Caller { name: "anna".into(), lane: Some("gold".into()) };
        assert_eq!(keys.caller(Some("sesame")), Some(anna));
        assert_eq!(keys.caller(Some("other")).unwrap().lane, None);
        for wrong in [None, Some(""), Some("Sesame"), Some(hash.as_str())] {
            assert_eq!(keys.caller(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_line_that_is_none_is_named_and_not_repeated() {
        for wrong in ["anna:1234", "anna", &format!("a b:{}", "0".repeat(64)), &format!("a:{}:x:y", "0".repeat(64))] {
            let said = keys(&format!("# one\n{wrong}\n")).err().unwrap().to_string();
            assert!(said.contains("line 2: (hidden)") && !said.contains("1234"), "{said}");
        }
        assert!(keys("# nothing\n").is_err());
    }
}
