//! Names of jobs, and digests.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::fields::FieldError;

/// Name of a job: `[a-z0-9-]{1,64}`, safe in subjects and object keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(String);

impl JobId {
    /// What [`JobId::parse`] takes, in words.
    pub const ALLOWED: &'static str = "1 to 64 characters of a-z, 0-9 and -";

    /// Checks a name that came from outside.
    pub fn parse(field: &str, text: &str) -> Result<Self, FieldError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(FieldError::new(field, text, Self::ALLOWED))
    }

    /// The name of a job that came without one: the same at every redelivery, another one in a
    /// stream that was made anew (`created`: its creation in Unix nanoseconds).
    pub fn of_message(stream: &str, created: i128, sequence: u64) -> Self {
        let digest = Sha256::digest(format!("{stream}/{created}/{sequence}"));
        let digest = hex(&digest[..6]);
        Self(format!("{digest}-{sequence}"))
    }

    /// A new name that nobody can guess (128 random bits).
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of `bytes` (FIPS 180-4) in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
