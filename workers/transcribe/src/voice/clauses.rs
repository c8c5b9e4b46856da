//! Cuts a text into clauses, and keeps where they lie.

/// One clause: bytes `start..end`, then its punctuation up to `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) start: usize,
    pub(super) end: usize,
    next: usize,
}

impl Clause {
    /// Its words.
    pub(super) fn body<'a>(&self, text: &'a str) -> &'a str {
        text[self.start..self.end].trim()
    }

    /// The punctuation that ends a sentence behind it; none for a comma.
    pub(super) fn stop<'a>(&self, text: &'a str) -> &'a str {
        let stop = text[self.end..self.next].trim();
        if stop.starts_with(['.', '!', '?', '…', '。', '！', '？']) { stop } else { "" }
    }
}

/// The clauses of a text; those without a word are left out.
pub(super) fn of(text: &str) -> Vec<Clause> {
    let (mut all, mut start, mut end) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        let after = text[at + c.len_utf8()..].chars().next();
        match (ends(c, after), end) {
            (true, None) => end = Some(at),
            (false, Some(stop)) if !c.is_whitespace() => {
                all.push(Clause { start, end: stop, next: at });
                (start, end) = (at, None);
            }
            _ => {}
        }
    }
    all.push(Clause { start, end: end.unwrap_or(text.len()), next: text.len() });
    all.retain(|clause| !clause.body(text).is_empty());
    all
}

/// Whether a character ends a clause: a point or comma inside of a number does not.
fn ends(c: char, after: Option<char>) -> bool {
    match c {
        '。' | '，' | '；' | '！' | '？' | '、' | '：' | '…' | '\n' => true,
        '.' | ',' | ';' | '!' | '?' | ':' => after.is_none_or(|next| !next.is_alphanumeric()),
        _ => false,
    }
}
