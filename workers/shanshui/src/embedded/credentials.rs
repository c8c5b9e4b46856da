//! Keys of the embedded object store: made once, kept to the user.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use shanshui_pipeline::job::JobId;

use crate::data::write_secret;

/// What a client of the embedded store must know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Credentials {
    /// Access key.
    pub(crate) access_key: String,
    /// Secret key.
    pub(crate) secret_key: String,
}

impl Credentials {
    /// Those in the file, or new ones, which are then in the file.
    pub(crate) fn at(path: &Path) -> anyhow::Result<Self> {
        if path.exists() {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let found: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
            ensure!(!found.secret_key.is_empty(), "{}: the secret key is empty", path.display());
            return Ok(found);
        }
        // Names of jobs are 128 random bits, which is what a key wants.
        let random = || JobId::random().as_str().to_owned();
        let made = Self { access_key: random(), secret_key: random() };
        write_secret(path, &toml::to_string(&made)?)?;
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::Credentials;

    #[test]
    fn keys_are_made_once_and_only_the_user_may_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.toml");
        let first = Credentials::at(&path).unwrap();
        let again = Credentials::at(&path).unwrap();
        assert_eq!((&first.access_key, &first.secret_key), (&again.access_key, &again.secret_key));
        assert_ne!(first.access_key, first.secret_key);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
