//! Which objects of a bucket are recordings that somebody dropped there.

use anyhow::ensure;

/// Endings of what the pipeline writes, beside a recording or anywhere else.
const RESULTS: [&str; 8] = ["txt", "json", "png", "jpg", "jpeg", "webp", "srt", "vtt"];

/// One bucket, and what in it is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The bucket.
    pub bucket: String,
    /// What the key of a recording begins with.
    pub prefix: String,
    /// What the keys of the pipeline's own objects begin with.
    pub own: Vec<String>,
    /// Where recordings lie that travel by reference; the pipeline's own are names without a dot.
    pub recordings: String,
}

impl Watch {
    /// Watches `prefix` of `bucket`. `home` is what the pipeline's own keys begin with, if it works in
    /// this bucket; `results` is where results go, unless they go beside the recordings.
    ///
    /// # Errors
    /// Prefixes of which one hides the other.
    pub fn new(bucket: &str, prefix: &str, home: Option<&str>, results: Option<&str>) -> anyhow::Result<Self> {
        let own = home.into_iter().flat_map(|home| [format!("{home}jobs/"), format!("{home}.shanshui/")]);
        let own: Vec<String> = own.chain(results.map(str::to_owned)).collect();
        let hidden = own.iter().find(|own| prefix.starts_with(own.as_str()));
        ensure!(
            hidden.is_none(),
            "watch-prefix: {prefix} is not allowed; allowed: a prefix that does not begin with {}",
            hidden.map_or("", String::as_str)
        );
        let recordings = home.map(|home| format!("{home}audio/")).unwrap_or_default();
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned(), own, recordings })
    }

    /// Why an object is no recording that somebody dropped here; none if it is one. Without this, what
    /// the pipeline writes would start the next job, without end.
    pub fn passes_over(&self, key: &str) -> Option<&'static str> {
        let name = key.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let is_copy = |key: &str| {
            let rest = key.strip_prefix(&self.recordings).filter(|_| !self.recordings.is_empty());
            rest.is_some_and(|rest| !rest.contains(['/', '.']))
        };
        match key {
            key if !key.starts_with(&self.prefix) => Some("outside of the watched prefix"),
            _ if name.is_empty() => Some("a folder"),
            key if self.own.iter().any(|own| key.starts_with(own)) => Some("an object of the pipeline"),
            key if is_copy(key) => Some("a recording of the pipeline"),
            _ if name.starts_with('.') => Some("a hidden file"),
            _ if ending.is_some_and(|ending| RESULTS.contains(&ending.as_str())) => Some("named like a result"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipelines_own_objects_are_never_recordings() {
        let watch = Watch::new("b", "", Some("team/"), Some("out/")).unwrap();
        let own = [
            "team/jobs/a/0.png",
            "team/.shanshui/probe",
            "out/hello.ogg",
            "in/hello.txt",
            "in/hello-0.PNG",
            "in/",
            "in/hello.json",
            "in/.DS_Store",
            "team/audio/0123abcd",
        ];
        for key in own {
            assert!(watch.passes_over(key).is_some(), "{key}");
        }
        for key in ["in/hello.ogg", "hello", "team/audio/hello.ogg", "jobs/mine.wav", "in/hello.txt.ogg"] {
            assert_eq!(watch.passes_over(key), None, "{key}");
        }
    }

    #[test]
    fn a_prefix_that_holds_only_own_objects_is_refused() {
        assert!(Watch::new("b", "in/out/x/", Some(""), Some("in/out/")).is_err());
        assert!(Watch::new("b", "jobs/", Some(""), None).is_err());
        assert!(Watch::new("b", "in/", Some(""), Some("in/out/")).is_ok());
    }
}
