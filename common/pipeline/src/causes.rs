//! Errors as people read them.

use std::error::Error;

/// An error with its causes, on one line. A cause that the text before it repeats is left out:
/// wrappers like to say what they wrap.
pub fn causes(error: &anyhow::Error) -> String {
    joined(error.chain())
}

/// As [`causes`], for an error of any library.
pub(crate) fn causes_of<'a>(error: &'a (dyn Error + 'static)) -> String {
    let next = |error: &&'a (dyn Error + 'static)| <dyn Error>::source(*error);
    joined(std::iter::successors(Some(error), next))
}

fn joined<'a>(chain: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    let text = chain.fold(String::new(), |text, cause| match cause.to_string() {
        first if text.is_empty() => first,
        cause if text.ends_with(&cause) => text,
        cause => format!("{text}: {cause}"),
    });
    one_line(&text)
}

/// Text without line breaks and other control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c == ' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::causes;

    #[test]
    fn a_cause_is_said_once_and_on_one_line() {
        let error = anyhow!("deadline has elapsed").context("timed out: deadline has elapsed").context("cannot\nread");
        assert_eq!(causes(&error), "cannot read: timed out: deadline has elapsed");
    }
}
