//! What is said in the recordings, and whether a text says it.

pub(crate) const FOX: &str = "Please paint a small fox sleeping under a green tree in the snow.";
pub(crate) const OWL: &str = "A white owl on a wooden fence at night.";
pub(crate) const TRAIN: &str = "A long red train crossing a desert at sunset.";
pub(crate) const BRIDGE: &str = "An old stone bridge over a quiet river in the morning.";
pub(crate) const LIGHTHOUSE: &str = "Paint a lighthouse on a rocky island, with three boats in front of it.";

/// Words that base may hear differently in a whole sentence: "paying a" for "paint a", "quite" for
/// "quiet", a short word left out.
const ALLOWED: usize = 2;

/// Asserts that the text is these sentences, and nothing else.
pub(crate) fn assert_says(name: &str, text: &str, sentences: &[&str]) {
    let expected: Vec<String> = sentences.iter().flat_map(|sentence| words(sentence)).collect();
    let errors = word_errors(&words(text), &expected);
    assert!(errors <= ALLOWED * sentences.len(), "{name}: {errors} word errors in {text:?}");
}

/// Lower-case words without punctuation.
pub(crate) fn words(text: &str) -> Vec<String> {
    let words = text.split(|symbol: char| !symbol.is_alphanumeric() && symbol != '\'');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// Words to insert, delete or replace (Levenshtein).
pub(crate) fn word_errors(found: &[String], said: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=said.len()).collect();
    for (above, word) in found.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (at, expected) in said.iter().enumerate() {
            let replaced = diagonal + usize::from(word != expected);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[said.len()]
}
