//! How wishes are said in English.

use super::{Grammar, Order, Wish, numbers};

pub(super) const GRAMMAR: Grammar = Grammar { clause, order, tail, comma: ", " };

/// Shapes that may stand alone, with the words for them.
const ALONE: [(&str, &str); 4] =
    [("portrait", "portrait"), ("wide", "wide"), ("widescreen", "wide"), ("square", "square")];
/// Shapes that are only meant with `format` or the like behind them: alone they are things.
const WITH_FORMAT: [(&str, &str); 5] = [
    ("landscape", "landscape"),
    ("horizontal", "landscape"),
    ("vertical", "portrait"),
    ("upright", "portrait"),
    ("panoramic", "wide"),
];
const FORMATS: [&str; 5] = ["format", "orientation", "mode", "aspect", "shape"];
const PICTURES: [&str; 8] = ["pictures", "picture", "images", "image", "paintings", "painting", "drawings", "versions"];
const VERBS: [&str; 6] = ["paint", "draw", "make", "show", "give", "create"];
/// What a picture can do without.
const THINGS: [&str; 18] = [
    "people",
    "persons",
    "humans",
    "faces",
    "text",
    "words",
    "letters",
    "writing",
    "watermark",
    "frame",
    "border",
    "animals",
    "cars",
    "buildings",
    "houses",
    "clouds",
    "trees",
    "birds",
];
/// The longest first: one may begin another.
const STYLES: [&str; 18] = [
    "chinese ink painting",
    "ink wash painting",
    "ink painting",
    "watercolor painting",
    "watercolour painting",
    "watercolor",
    "watercolour",
    "oil painting",
    "pencil drawing",
    "pencil sketch",
    "charcoal drawing",
    "line drawing",
    "woodcut",
    "photograph",
    "photo",
    "cartoon",
    "pixel art",
    "sketch",
];

/// Reads words one after the other.
#[derive(Clone)]
struct Words<'a> {
    all: &'a [&'a str],
    at: usize,
}

impl<'a> Words<'a> {
    fn rest(&self) -> &'a [&'a str] {
        &self.all[self.at..]
    }

    fn one_of(&mut self, known: &[&str]) -> Option<&'a str> {
        let word = *self.rest().first()?;
        known.contains(&word).then(|| self.at += 1)?;
        Some(word)
    }

    fn phrase(&mut self, phrase: &str) -> bool {
        let words: Vec<&str> = phrase.split(' ').collect();
        let found = self.rest().starts_with(&words);
        self.at += if found { words.len() } else { 0 };
        found
    }

    /// Does all of `read` or nothing.
    fn attempt<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mut copy = self.clone();
        let found = read(&mut copy)?;
        *self = copy;
        Some(found)
    }

    fn number(&mut self) -> Option<u64> {
        let (number, taken) = numbers::english(self.rest())?;
        self.at += taken;
        Some(number)
    }

    fn is_at_end(&self) -> bool {
        self.at == self.all.len()
    }
}

fn clause(text: &str) -> Option<Vec<Wish>> {
    let lower = text.to_lowercase().replace('-', " ");
    let all: Vec<&str> = lower.split_whitespace().collect();
    let mut words = Words { all: &all, at: 0 };
    let mut wishes = Vec::new();
    while !words.is_at_end() {
        if words.one_of(&["please", "and"]).is_some() {
            continue;
        }
        wishes.extend(wish(&mut words)?);
    }
    // Somebody who says please says nothing else by it.
    (!all.is_empty()).then_some(wishes)
}

fn wish(words: &mut Words<'_>) -> Option<Vec<Wish>> {
    words
        .attempt(|words| shape(words).map(|shape| vec![shape]))
        .or_else(|| words.attempt(pictures))
        .or_else(|| words.attempt(without))
        .or_else(|| words.attempt(|words| seed(words).map(|seed| vec![seed])))
        .or_else(|| words.attempt(|words| styled(words).map(|style| vec![style])))
}

/// "portrait", "in portrait format", "make it wide".
fn shape(words: &mut Words<'_>) -> Option<Wish> {
    // A man "in a portrait" is no wish, one "in a portrait format" is.
    let thing = words.phrase("in a");
    let led = ["make it", "in"].into_iter().any(|start| words.phrase(start));
    let known: Vec<&str> = ALONE.iter().chain(&WITH_FORMAT).map(|(word, _)| *word).collect();
    let word = words.one_of(&known)?;
    let format = words.one_of(&FORMATS).is_some();
    let alone = ALONE.iter().find(|(known, _)| *known == word && (format || !thing));
    let other = WITH_FORMAT.iter().find(|(known, _)| *known == word && (format || led));
    alone.or(other).map(|(_, shape)| Wish::Shape(shape))
}

/// "four pictures", "make four wide pictures".
fn pictures(words: &mut Words<'_>) -> Option<Vec<Wish>> {
    if words.one_of(&VERBS).is_some() {
        words.one_of(&["me", "us"]);
    }
    let mut wishes = Vec::new();
    let count = words.number()?;
    wishes.extend(words.one_of(&ALONE.map(|(word, _)| word)).and_then(named));
    words.one_of(&PICTURES)?;
    let count = u32::try_from(count).ok().filter(|count| (1..=64).contains(count))?;
    wishes.insert(0, Wish::Count(count));
    Some(wishes)
}

fn named(word: &str) -> Option<Wish> {
    ALONE.iter().find(|(known, _)| *known == word).map(|(_, shape)| Wish::Shape(shape))
}

/// "no people", "without people or text".
fn without(words: &mut Words<'_>) -> Option<Vec<Wish>> {
    let start = ["without any", "without", "no"].into_iter().any(|start| words.phrase(start));
    let mut wishes = vec![Wish::Without(start.then(|| words.one_of(&THINGS))??.to_owned())];
    loop {
        let more = words.attempt(|words| {
            words.one_of(&["and", "or"])?;
            words.one_of(&["no", "without"]);
            words.one_of(&THINGS)
        });
        match more {
            Some(thing) => wishes.push(Wish::Without(thing.to_owned())),
            None => return Some(wishes),
        }
    }
}

/// "seed forty-two", "use seed number 7".
fn seed(words: &mut Words<'_>) -> Option<Wish> {
    ["use the", "with the", "use", "with", "the"].into_iter().any(|start| words.phrase(start));
    words.one_of(&["seed"])?;
    words.one_of(&["number", "is"]);
    words.number().map(Wish::Seed)
}

/// "as an ink painting", "in the style of a woodcut".
fn styled(words: &mut Words<'_>) -> Option<Wish> {
    let starts = ["in the style of", "as", "like"];
    starts.into_iter().any(|start| words.phrase(start)).then_some(())?;
    words.one_of(&["a", "an"]);
    let style = STYLES.into_iter().find(|style| words.phrase(style))?;
    Some(Wish::Style(style.to_owned()))
}

/// "paint four wide pictures of": the rest is what they show.
fn order(text: &str) -> Option<Order> {
    let at = text.to_ascii_lowercase().find(" of ")?;
    let lower = text[..at].to_ascii_lowercase();
    let mut all: Vec<&str> = lower.split_whitespace().collect();
    if all.first() == Some(&"please") {
        all.remove(0);
    }
    let (verb, article) = (VERBS.contains(all.first()?), all.iter().position(|word| ["a", "an"].contains(word)));
    if !verb {
        return None;
    }
    let end = at + " of ".len();
    let mut words = Words { all: &all, at: 0 };
    if let Some(wishes) = words.attempt(pictures).filter(|_| words.is_at_end()) {
        return Some((wishes, end));
    }
    // "paint me a wide picture of": one, and its shape.
    let shape = article.and_then(|at| match all.get(at + 1..)? {
        [shape, picture] if PICTURES.contains(picture) => named(shape),
        _ => None,
    });
    shape.map(|shape| (vec![shape], end))
}

/// "a village in the hills as an ink painting", "a cat in portrait format". Whisper leaves out many a
/// full stop before these.
fn tail(text: &str) -> Option<(Wish, usize)> {
    // ASCII alone changes its case here, so the places stay.
    let lower = text.to_ascii_lowercase();
    [" in the style of ", " as ", " in "].into_iter().find_map(|start| {
        let at = lower.rfind(start)?;
        let end: Vec<&str> = lower[at..].split_whitespace().collect();
        let mut words = Words { all: &end, at: 0 };
        let format = |words: &mut Words<'_>| shape(words).filter(|_| FORMATS.contains(&words.all[words.at - 1]));
        let wish = words.attempt(styled).or_else(|| words.attempt(format))?;
        words.is_at_end().then_some((wish, at))
    })
}
