//! Spoken wishes: "portrait, four pictures, no people" becomes settings of the picture.
//!
//! A wish is a whole clause, at the beginning or at the end of what was said: "a portrait of my
//! grandmother" has other words in its clause and stays as it is. What is between two clauses that stay
//! is never read. Two forms go without a clause of their own: "paint four pictures of …" and, at the very
//! end, "… as an ink painting" and "… in portrait format".

mod chinese;
mod clauses;
mod english;
mod numbers;

use serde_json::{Map, Value, json};
use shanshui_pipeline::job::JobMeta;
use shanshui_pipeline::picture::PictureSpec;

use clauses::Clause;

/// The field of the text job that says what was read.
const SPOKEN: &str = "spoken";

/// One wish.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wish {
    Shape(&'static str),
    Count(u32),
    Without(String),
    Seed(u64),
    Style(String),
}

/// The wishes of an order, and how many bytes it takes.
type Order = (Vec<Wish>, usize);

/// How one language says its wishes.
struct Grammar {
    /// The wishes of a clause that holds nothing else.
    clause: fn(&str) -> Option<Vec<Wish>>,
    /// An order before what is to be painted.
    order: fn(&str) -> Option<Order>,
    /// A wish at the end of a clause that holds more: the wish, and where it begins.
    tail: fn(&str) -> Option<(Wish, usize)>,
    /// What stands before a style that is added to a text.
    comma: &'static str,
}

/// What was said, told apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// What is to be painted.
    pub text: String,
    /// The wishes, as fields of `picture`; the style is a part of the text.
    pub settings: Map<String, Value>,
    /// The words that were read as wishes, in their order.
    pub words: Vec<String>,
}

/// Tells the wishes in a text of this language (`en`, `zh`) from what is to be painted. A text of
/// another language, and one that holds nothing but wishes, stays as it is.
pub fn read(text: &str, language: &str) -> Reading {
    let untouched = || Reading { text: text.to_owned(), ..Reading::default() };
    let grammar = match language {
        "en" => &english::GRAMMAR,
        "zh" => &chinese::GRAMMAR,
        _ => return untouched(),
    };
    let clauses = clauses::of(text);
    let wishes = |clause: &Clause| (grammar.clause)(clause.body(text));
    let leading = clauses.iter().take_while(|clause| wishes(clause).is_some()).count();
    let rest = &clauses[leading..];
    let trailing = rest.iter().rev().take_while(|clause| wishes(clause).is_some()).count();
    let (kept, last) = rest.split_at(rest.len() - trailing);
    let Some(middle) = Middle::of(text, kept, grammar) else { return untouched() };
    let all = clauses[..leading].iter().map(|clause| (wishes(clause), clause.body(text)));
    let all = all.chain(middle.order).chain(middle.tail);
    let all: Vec<Read<'_>> = all.chain(last.iter().map(|clause| (wishes(clause), clause.body(text)))).collect();
    if all.iter().all(|(wishes, _)| wishes.as_ref().is_none_or(Vec::is_empty)) {
        return untouched();
    }
    Reading::of(&middle.text, all, grammar)
}

type Read<'a> = (Option<Vec<Wish>>, &'a str);

/// The clauses that stay, without what an order or a tail takes of them.
struct Middle<'a> {
    text: String,
    order: Option<Read<'a>>,
    tail: Option<Read<'a>>,
}

impl<'a> Middle<'a> {
    fn of(text: &'a str, kept: &[Clause], grammar: &Grammar) -> Option<Self> {
        let (first, last) = (kept.first()?, kept.last()?);
        let (mut from, mut to) = (first.start, last.end);
        let order = (grammar.order)(&text[from..first.end]).map(|(wishes, length)| {
            let words = text[from..from + length].trim();
            from += length;
            (Some(wishes), words)
        });
        let start = last.start.max(from);
        let tail = (grammar.tail)(&text[start..to]).map(|(wish, at)| {
            let words = text[start + at..to].trim();
            to = start + at;
            (Some(vec![wish]), words)
        });
        let stop = if tail.is_none() { last.stop(text) } else { "" };
        let body = text[from..to].trim();
        (!body.is_empty()).then(|| Self { text: format!("{body}{stop}"), order, tail })
    }
}

impl Reading {
    fn of(text: &str, all: Vec<Read<'_>>, grammar: &Grammar) -> Self {
        let (mut settings, mut words, mut styles, mut without) = (Map::new(), Vec::new(), Vec::new(), Vec::new());
        for (wishes, said) in all {
            words.push(said.trim().to_owned());
            for wish in wishes.into_iter().flatten() {
                match wish {
                    Wish::Shape(shape) => drop(settings.insert("shape".into(), shape.into())),
                    Wish::Count(count) => drop(settings.insert("count".into(), count.into())),
                    Wish::Seed(seed) => drop(settings.insert("seed".into(), seed.into())),
                    Wish::Without(what) => without.push(what),
                    Wish::Style(style) => styles.push(style),
                }
            }
        }
        if !without.is_empty() {
            settings.insert("negative".into(), without.join(", ").into());
        }
        let mut text = text.to_owned();
        for style in styles {
            text = format!("{}{}{style}", text.trim_end_matches(['.', '。', '!', '！']), grammar.comma);
        }
        Self { text, settings, words }
    }

    /// Puts the wishes, and what was read, into the next job.
    pub fn pass_on(&self, meta: &mut JobMeta) {
        self.apply(&mut meta.picture);
        let told = self.told().and_then(|told| rmpv::ext::to_value(told).ok());
        if let Some(told) = told {
            // A sender's own field of this name would make the job one with a field that comes twice.
            meta.extra.retain(|(name, _)| name.as_str() != Some(SPOKEN));
            meta.extra.push((SPOKEN.into(), told));
        }
    }

    /// Puts the wishes into the settings of a job, where the job itself says nothing.
    fn apply(&self, picture: &mut PictureSpec) {
        let number = |name: &str| self.settings.get(name).and_then(Value::as_u64);
        picture.seed = picture.seed.or_else(|| number("seed"));
        picture.count = picture.count.or_else(|| number("count").and_then(|count| u32::try_from(count).ok()));
        if let Some(negative) = self.settings.get("negative").and_then(Value::as_str)
            && picture.negative.is_empty()
        {
            picture.negative = negative.to_owned();
        }
        let sized = picture.width.is_some() || picture.height.is_some();
        let shape = self.settings.get("shape").and_then(Value::as_str).filter(|_| !sized);
        picture.shape = picture.shape.take().or_else(|| shape.map(str::to_owned));
    }

    /// The reading for events, receipt and job; nothing where no wish was read.
    pub fn told(&self) -> Option<Value> {
        (!self.words.is_empty()).then(|| json!({ "text": self.text, "settings": self.settings, "words": self.words }))
    }
}

/// The language in which a transcript is written: Whisper may have translated it.
pub fn language_of<'a>(text: &str, spoken: &'a str, translated: bool) -> &'a str {
    let is_han = |c: char| ('\u{3400}'..='\u{9fff}').contains(&c);
    match text.chars().any(is_han) {
        true if spoken == "zh" => "zh",
        true => "",
        false if translated => "en",
        false => spoken,
    }
}

#[cfg(test)]
mod tests;
