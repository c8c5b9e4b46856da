//! What `models pull` is asked for.

use std::str::FromStr;

use shanshui_pipeline::store::is_model_name;

/// `OWNER/NAME[@REVISION][:FILE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HubName {
    /// `OWNER/NAME`.
    pub(crate) repository: String,
    /// A commit, a branch or a tag.
    pub(crate) revision: String,
    /// The one file that is wanted.
    pub(crate) file: Option<String>,
}

/// What is taken where no revision is named.
const MAIN: &str = "main";

impl HubName {
    /// Whether a name is that of a repository and not of a listed model.
    pub(crate) fn is_meant(name: &str) -> bool {
        name.contains('/')
    }

    /// The name of the model's folder: the repository's, or the file's without its ending.
    pub(crate) fn folder(&self) -> &str {
        let file = self.file.as_deref().and_then(|file| file.rsplit('/').next());
        file.map_or(&self.repository, |file| file.strip_suffix(".safetensors").unwrap_or(file))
    }
}

impl FromStr for HubName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, file) = text.split_once(':').map_or((text, None), |(place, file)| (place, Some(file)));
        let (repository, revision) = place.split_once('@').unwrap_or((place, MAIN));
        let whole = repository.contains('/') && is_model_name(repository) && !revision.is_empty();
        let plain = |file: &str| file.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !whole || !file.is_none_or(plain) {
            return Err("OWNER/NAME, OWNER/NAME@REVISION or OWNER/NAME:FILE.safetensors".to_owned());
        }
        if file.is_some_and(|file| !file.ends_with(".safetensors")) {
            return Err("one file as .safetensors only; .ckpt and .pt are pickles, which can run code when they \
                        are read, and .gguf is not supported"
                .to_owned());
        }
        let (repository, revision) = (repository.to_owned(), revision.to_owned());
        Ok(Self { repository, revision, file: file.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_a_revision_and_a_file() {
        let name: HubName = "owner/name@refs/pr/1:sub/dream.safetensors".parse().unwrap();
        assert_eq!((name.repository.as_str(), name.revision.as_str()), ("owner/name", "refs/pr/1"));
        assert_eq!((name.file.as_deref(), name.folder()), (Some("sub/dream.safetensors"), "dream"));
        let name: HubName = "owner/name".parse().unwrap();
        assert_eq!((name.revision.as_str(), name.folder()), ("main", "owner/name"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["owner", "a/b/c", "../b", "owner/name@", "owner/name:../x.safetensors", "/name", "owner/"] {
            assert!(HubName::from_str(text).is_err(), "{text}");
        }
        assert!(HubName::from_str("owner/name:model.ckpt").unwrap_err().contains("pickles"));
    }
}
