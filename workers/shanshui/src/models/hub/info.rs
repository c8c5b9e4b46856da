//! What a repository holds at one revision, as the hub's API tells it.

use anyhow::{Context, Result, anyhow, ensure};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use super::Client;
use super::answer::Trouble;
use super::client::patiently;

/// A repository at one commit.
#[derive(Debug)]
pub(crate) struct Repository {
    /// `OWNER/NAME`.
    pub(crate) name: String,
    /// Commit, 40 hexadecimal digits.
    pub(crate) commit: String,
    /// As its card states it.
    pub(crate) licence: Option<String>,
    /// What the hub read in its configs.
    pub(crate) config: Value,
    /// All its files.
    pub(crate) files: Vec<RemoteFile>,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    /// Path in the repository.
    pub(crate) path: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// What its bytes must be.
    pub(crate) proof: Proof,
}

/// How the hub knows a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// SHA-256 of a large file.
    Sha256(String),
    /// Git's name of a small one.
    GitBlob(String),
}

/// Answers to this question have some kilobytes; those of very large repositories some megabytes.
const MAX_ANSWER: u64 = 64 << 20;

#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    config: Value,
    #[serde(rename = "cardData", default)]
    card: Value,
    #[serde(default)]
    tags: Vec<String>,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Repository {
    /// Asks the hub for a repository at a revision: a commit, a branch or a tag.
    ///
    /// # Errors
    /// What the hub says, or that it does not answer.
    pub(crate) fn ask(client: &Client, name: &str, revision: &str) -> Result<Self> {
        let url = format!("{}/api/models/{}/revision/{}?blobs=true", client.base(), path(name), part(revision));
        let text = patiently(|_| {
            let mut answer = client.get(&url, 0)?;
            let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
            text.map_err(|error| Trouble::Passing(anyhow!("the hub's answer broke off: {error}"), None))
        });
        let text = text.with_context(|| format!("cannot look up {name}@{revision} at {}", client.base()))?;
        let answer: Answer = serde_json::from_slice(&text)
            .with_context(|| format!("{}: this is not the answer of a hub", client.base()))?;
        answer.repository(name)
    }

    /// Address of a file.
    pub(crate) fn url(&self, client: &Client, file: &str) -> String {
        format!("{}/{}/resolve/{}/{}", client.base(), path(&self.name), self.commit, path(file))
    }
}

impl Answer {
    fn repository(self, name: &str) -> Result<Repository> {
        let commit = self.sha.to_ascii_lowercase();
        let hex = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        ensure!(hex, "the hub names {:?} as commit of {name}", self.sha);
        let licence = licence(&self.card, &self.tags);
        let files = self.siblings.into_iter().filter_map(Sibling::file).collect();
        Ok(Repository { name: name.to_owned(), commit, licence, config: self.config, files })
    }
}

impl Sibling {
    /// None for one whose size or hash the hub does not tell: it cannot be verified.
    fn file(self) -> Option<RemoteFile> {
        let (bytes, proof) = match self.lfs {
            Some(lfs) => (lfs.size, Proof::Sha256(lfs.sha256.to_ascii_lowercase())),
            None => (self.size?, Proof::GitBlob(self.blob_id?.to_ascii_lowercase())),
        };
        Some(RemoteFile { path: self.rfilename, bytes, proof })
    }
}

/// The licence of a card: `license`, or `license_name` where that says `other`; else of the tags.
fn licence(card: &Value, tags: &[String]) -> Option<String> {
    let field = |name: &str| match &card[name] {
        Value::Array(several) => several.first().and_then(Value::as_str),
        one => one.as_str(),
    };
    let stated = field("license").filter(|licence| *licence != "other");
    let tagged = || tags.iter().find_map(|tag| tag.strip_prefix("license:"));
    let licence = stated.or_else(|| field("license_name")).or_else(tagged);
    licence.map(|text| text.chars().filter(|c| !c.is_control()).take(100).collect())
}

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn part(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

fn path(text: &str) -> String {
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_licence_is_that_of_the_card_or_of_the_tags() {
        assert_eq!(licence(&json!({ "license": "mit" }), &[]).unwrap(), "mit");
        let named = json!({ "license": "other", "license_name": "stability-community" });
        assert_eq!(licence(&named, &[]).unwrap(), "stability-community");
        assert_eq!(licence(&json!({ "license": ["a", "b"] }), &[]).unwrap(), "a");
        assert_eq!(licence(&Value::Null, &["x".into(), "license:openrail++".into()]).unwrap(), "openrail++");
        assert_eq!(licence(&Value::Null, &[]), None);
    }

    #[test]
    fn names_are_encoded_part_by_part() {
        assert_eq!(path("a b/ü#?.json"), "a%20b/%C3%BC%23%3F.json");
        assert_eq!(part("refs/pr/1"), "refs%2Fpr%2F1");
    }
}
