//! Who calls: API keys, of which only hashes are kept.

use std::path::Path;

use anyhow::{Context, ensure};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use shanshui_pipeline::id::hex;
use shanshui_pipeline::names;
use subtle::ConstantTimeEq;

/// Whoever a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name of the key; empty where nobody is asked for one.
    pub(crate) name: String,
    /// The only lane of its jobs; none: any lane.
    pub(crate) lane: Option<String>,
    secret: Secret,
}

/// The hash of a key: whoever does not have it cannot tell which names its jobs get.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("(hidden)")
    }
}

impl Caller {
    /// Whoever has a link to one picture, and reaches nothing else.
    pub(crate) fn guest() -> Self {
        Self::new("(link)", None, [0; 32])
    }

    /// Whoever speaks over Wyoming, which knows no keys.
    pub(crate) fn wyoming() -> Self {
        Self::new("(wyoming)", None, [0; 32])
    }

    fn new(name: &str, lane: Option<&str>, hash: [u8; 32]) -> Self {
        Self { name: name.to_owned(), lane: lane.map(str::to_owned), secret: Secret(hash) }
    }

    /// What this caller alone makes of a word: HMAC-SHA256 (RFC 2104) in hexadecimal.
    pub(crate) fn sealed(&self, word: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.secret.0).map(|mac| mac.chain_update(word));
        hex(&mac.expect("HMAC takes keys of any length").finalize().into_bytes())
    }
}

/// The keys; none: everybody is served.
pub(crate) struct Keys(Option<Vec<Caller>>);

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
        let mut keys: Vec<Caller> = Vec::new();
        for (line, number) in lines {
            let at = || format!("api-keys: {}, line {number}", file.display());
            let allowed = "NAME:SHA256, or NAME:SHA256:LANE, with 64 hexadecimal digits";
            let key = key(line).with_context(|| format!("{}: (hidden) is not allowed; allowed: {allowed}", at()))?;
            // What a name has sent and may send is counted under it.
            let twice = keys.iter().any(|known| known.name == key.name || known.secret == key.secret);
            ensure!(!twice, "{}: this name or this key is there already; allowed: one line for each", at());
            keys.push(key);
        }
        ensure!(!keys.is_empty(), "api-keys: {} has no key", file.display());
        Ok(Self(Some(keys)))
    }

    /// Whether callers need a key.
    pub(crate) fn are_needed(&self) -> bool {
        self.0.is_some()
    }

    /// Whose key it is. Every hash is compared, each in constant time.
    pub(crate) fn caller(&self, given: Option<&str>) -> Option<Caller> {
        let Some(keys) = &self.0 else { return Some(Caller::new("", None, [0; 32])) };
        let hash: [u8; 32] = Sha256::digest(given?.as_bytes()).into();
        let mut found = None;
        for key in keys {
            if bool::from(key.secret.0.ct_eq(&hash)) {
                found = Some(key.clone());
            }
        }
        found
    }
}

fn key(line: &str) -> Option<Caller> {
    let mut parts = line.split(':');
    let (name, digits, lane) = (parts.next()?, parts.next()?, parts.next());
    let lane_fits = lane.is_none_or(names::is_lane);
    let fits = names::is_lane(name) && lane_fits && parts.next().is_none();
    fits.then_some(Caller::new(name, lane, bytes(digits)?))
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
        let anna = keys.caller(Some("sesame")).unwrap();
        assert_eq!((anna.name.as_str(), anna.lane.as_deref()), ("anna", Some("gold")));
        assert!(!format!("{anna:?}").contains(&hash[..8]), "{anna:?}");
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

    #[test]
    fn a_name_and_a_key_have_one_line_each() {
        let [one, other] = ["1", "2"].map(|digit| digit.repeat(64));
        for wrong in [format!("anna:{one}\nanna:{other}:gold\n"), format!("anna:{one}\nben:{one}\n")] {
            assert!(keys(&wrong).err().unwrap().to_string().contains("line 2"));
        }
        assert!(keys(&format!("anna:{one}\nben:{other}\n")).is_ok());
    }

    #[test]
    fn a_name_of_a_job_is_told_by_its_key_alone() {
        // Expected: Python's hmac.new(bytes([0x0b] * 32), b"Hi There", "sha256").
        let expected = "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7";
        assert_eq!(Caller::new("a", None, [0x0b; 32]).sealed(b"Hi There"), expected);
    }
}
