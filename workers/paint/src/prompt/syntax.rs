//! Markup in prompts: weights, breaks and adaptations, as AUTOMATIC1111's web UI reads them.

use std::fmt;
use std::str::FromStr;

/// What a job's texts may hold beside words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// Nothing: brackets are brackets. Transcripts and sentences are read so.
    #[default]
    Plain,
    /// `(word)`, `[word]`, `(word:1.3)`, `BREAK` and `<lora:name:weight>`.
    A1111,
}

/// A run of text of one weight, or a break.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The words; none for a break.
    pub text: String,
    /// Factor of their states.
    pub weight: f64,
    /// Whether a new chunk begins here.
    pub is_break: bool,
}

/// A bracket strengthens or weakens by this.
const BRACKET: f64 = 1.1;
/// Brackets deeper than this are brackets no more: each would cost a pass over all before it.
const MAX_DEPTH: usize = 64;
/// The word that begins a new chunk.
const BREAK: &str = "BREAK";

impl Syntax {
    /// The name in jobs and receipts.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::A1111 => "a1111",
        }
    }
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Syntax {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        [Self::Plain, Self::A1111].into_iter().find(|syntax| syntax.id().eq_ignore_ascii_case(name)).ok_or(())
    }
}

impl Piece {
    fn new(text: &str, weight: f64) -> Self {
        Self { text: text.to_owned(), weight, is_break: false }
    }

    fn new_chunk() -> Self {
        Self { text: String::new(), weight: 1.0, is_break: true }
    }

    /// The pieces of a prompt, neighbours of one weight joined.
    #[must_use]
    pub fn parse(prompt: &str) -> Vec<Self> {
        let mut pieces = Vec::new();
        // Where in `pieces` the open brackets stand.
        let (mut round, mut square): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut rest = prompt;
        while !rest.is_empty() {
            let (token, after) = Token::first(rest);
            rest = after;
            match token {
                Token::Escaped(text) => pieces.push(Self::new(text, 1.0)),
                Token::Open if round.len() < MAX_DEPTH => round.push(pieces.len()),
                Token::OpenSquare if square.len() < MAX_DEPTH => square.push(pieces.len()),
                Token::Weight(_, weight) if !round.is_empty() => scale(&mut pieces, round.pop(), weight),
                Token::Close if !round.is_empty() => scale(&mut pieces, round.pop(), BRACKET),
                Token::CloseSquare if !square.is_empty() => scale(&mut pieces, square.pop(), 1.0 / BRACKET),
                token => words(token.text(), &mut pieces),
            }
        }
        // Brackets that nobody closes reach to the end.
        round.into_iter().for_each(|from| scale(&mut pieces, Some(from), BRACKET));
        square.into_iter().for_each(|from| scale(&mut pieces, Some(from), 1.0 / BRACKET));
        join(pieces)
    }
}

fn scale(pieces: &mut [Piece], from: Option<usize>, factor: f64) {
    let pieces = pieces.iter_mut().skip(from.unwrap_or(usize::MAX));
    pieces.filter(|piece| !piece.is_break).for_each(|piece| piece.weight *= factor);
}

/// Text between brackets, in which breaks may stand.
fn words(text: &str, pieces: &mut Vec<Piece>) {
    let mut rest = text;
    while let Some(at) = find_break(rest) {
        pieces.push(Piece::new(rest[..at].trim_end(), 1.0));
        pieces.push(Piece::new_chunk());
        rest = rest[at + BREAK.len()..].trim_start();
    }
    pieces.push(Piece::new(rest, 1.0));
}

/// Where `BREAK` stands as a word of its own.
fn find_break(text: &str) -> Option<usize> {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let alone =
        |at: &usize| !is_word(text[..*at].chars().next_back()) && !is_word(text[at + BREAK.len()..].chars().next());
    text.match_indices(BREAK).map(|(at, _)| at).find(alone)
}

fn join(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if !last.is_break && !piece.is_break && last.weight == piece.weight => {
                last.text.push_str(&piece.text);
            }
            _ => joined.push(piece),
        }
    }
    joined.retain(|piece| piece.is_break || !piece.text.is_empty());
    joined
}

enum Token<'a> {
    Escaped(&'a str),
    Open,
    OpenSquare,
    Close,
    CloseSquare,
    /// `:1.3)`, and the number.
    Weight(&'a str, f64),
    Text(&'a str),
}

impl<'a> Token<'a> {
    /// The first token and what follows it.
    fn first(text: &'a str) -> (Self, &'a str) {
        const SPECIAL: [char; 6] = ['\\', '(', ')', '[', ']', ':'];
        let cut = |len: usize| (&text[..len], &text[len..]);
        if let Some(escaped) = text.strip_prefix('\\') {
            let len = escaped.chars().next().filter(|c| SPECIAL[..5].contains(c)).map_or(0, char::len_utf8);
            // A backslash before anything else is dropped, as there.
            return (Self::Escaped(&escaped[..len]), &escaped[len..]);
        }
        if let Some((weight, len)) = weight_at(text) {
            return (Self::Weight(cut(len).0, weight), cut(len).1);
        }
        let one = |token| (token, &text[1..]);
        match text.chars().next() {
            Some('(') => one(Self::Open),
            Some('[') => one(Self::OpenSquare),
            Some(')') => one(Self::Close),
            Some(']') => one(Self::CloseSquare),
            Some(':') => (Self::Text(cut(1).0), cut(1).1),
            _ => {
                let len = text.find(SPECIAL).unwrap_or(text.len());
                (Self::Text(cut(len).0), cut(len).1)
            }
        }
    }

    fn text(&self) -> &'a str {
        match self {
            Self::Escaped(text) | Self::Weight(text, _) | Self::Text(text) => text,
            Self::Open => "(",
            Self::OpenSquare => "[",
            Self::Close => ")",
            Self::CloseSquare => "]",
        }
    }
}

/// `:1.3)` at the start, and its length.
fn weight_at(text: &str) -> Option<(f64, usize)> {
    let inner = text.strip_prefix(':')?;
    let end = inner.find(')')?;
    let number = inner[..end].trim();
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let weight: f64 = number.parse().ok().filter(|_| plain)?;
    Some((weight, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(prompt: &str) -> Vec<(String, f64)> {
        let round = |weight: f64| (weight * 1e4).round() / 1e4;
        let pieces = Piece::parse(prompt).into_iter();
        pieces.map(|piece| (if piece.is_break { "|".into() } else { piece.text }, round(piece.weight))).collect()
    }

    /// What the web UI makes of these.
    #[test]
    fn brackets_weights_and_escapes_are_read_as_the_web_ui_reads_them() {
        for (prompt, wanted) in [
            ("normal text", &[("normal text", 1.0)][..]),
            ("an (important) word", &[("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
            ("(unbalanced", &[("unbalanced", 1.1)]),
            (r"\(literal\]", &[("(literal]", 1.0)]),
            ("(unnecessary)(parens)", &[("unnecessaryparens", 1.1)]),
            (
                "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
                &[
                    ("a ", 1.0),
                    ("house", 1.573),
                    (" ", 1.1),
                    ("on", 1.0),
                    (" a ", 1.1),
                    ("hill", 0.55),
                    (", sun, ", 1.1),
                    ("sky", 1.4641),
                    (".", 1.1),
                ],
            ),
            ("a: b, (c:d) (e:-0.5)", &[("a: b, ", 1.0), ("c:d", 1.1), (" ", 1.0), ("e", -0.5)]),
            ("[[far]] :)", &[("far", 0.8264), (" :)", 1.0)]),
            ("", &[]),
        ] {
            let wanted: Vec<_> = wanted.iter().map(|(text, weight)| ((*text).to_owned(), *weight)).collect();
            assert_eq!(parsed(prompt), wanted, "{prompt}");
        }
    }

    #[test]
    fn a_break_is_a_word_of_its_own() {
        let wanted = [("a cat", 1.0), ("|", 1.0), ("a dog", 1.0)];
        let wanted: Vec<_> = wanted.iter().map(|(text, weight)| ((*text).to_owned(), *weight)).collect();
        assert_eq!(parsed("a cat BREAK a dog"), wanted);
        assert_eq!(parsed("BREAKFAST in a BREAK_ROOM"), [("BREAKFAST in a BREAK_ROOM".to_owned(), 1.0)]);
    }

    #[test]
    fn hostile_brackets_cost_no_more_than_their_length() {
        for prompt in ["(".repeat(2000), ")".repeat(2000), "(a:".repeat(600), "((((:9)".repeat(280), r"\".repeat(2001)]
        {
            assert!(Piece::parse(&prompt).len() <= prompt.len());
        }
    }
}
