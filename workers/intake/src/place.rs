//! Where the results of a recording lie.

/// A recording's folder and name, where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    folder: String,
    name: String,
    /// Whether the name has lost its ending.
    short: bool,
}

impl Place {
    /// Beside the recording.
    pub(crate) fn beside(key: &str) -> Self {
        let (folder, name) = key.rsplit_once('/').map_or(("", key), |(folder, name)| (folder, name));
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        Self { folder, name: name.to_owned(), short: true }
    }

    /// Below `results`, in the same folders as the recording below `watched`.
    pub(crate) fn below(results: &str, watched: &str, key: &str) -> Self {
        let rest = key.strip_prefix(watched).unwrap_or(key);
        Self::beside(&format!("{results}{}", rest.trim_start_matches('/')))
    }

    /// The same with the whole name: `hello.ogg.txt` where `hello.txt` is somebody else's.
    pub(crate) fn whole(self) -> Self {
        Self { short: false, ..self }
    }

    /// The key of one result.
    pub(crate) fn file(&self, ending: &str) -> String {
        let stem = match self.name.rsplit_once('.') {
            Some((stem, _)) if self.short && !stem.is_empty() => stem,
            _ => &self.name,
        };
        format!("{}{stem}{ending}", self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn results_have_the_name_of_their_recording() {
        let beside = Place::beside("in/a.b/hello.ogg");
        assert_eq!(beside.file("-0.png"), "in/a.b/hello-0.png");
        assert_eq!(beside.whole().file(".txt"), "in/a.b/hello.ogg.txt");
        assert_eq!(Place::beside("hello").file(".txt"), "hello.txt");
        assert_eq!(Place::beside("a/.ogg").file(".txt"), "a/.ogg.txt");
        assert_eq!(Place::below("out/", "in/", "in/a/高山.wav").file(".json"), "out/a/高山.json");
        assert_eq!(Place::below("out/", "in", "in/a.wav").file(".json"), "out/a.json");
    }
}
