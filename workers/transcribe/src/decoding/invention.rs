//! What Whisper writes when nobody speaks: courtesies, credits of subtitles, names of noises.
//!
//! Its training data were subtitles, whose makers sign in the silence at the end. The phrases are
//! those of "Investigation of Whisper ASR hallucinations induced by non-speech audio" (Barański et
//! al., 2025), and the credits of subtitles in other languages.

use super::{Segment, Transcript};

/// Whether a transcript tells of speech.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody said something.
    Speech,
    /// Nobody did; the reason in words for the event and the receipt.
    NoSpeech(String),
}

impl Transcript {
    /// Whether somebody spoke, by the text alone; no model is asked.
    pub fn verdict(&self) -> Verdict {
        if !self.text.is_empty() {
            return Verdict::Speech;
        }
        match self.invented.first() {
            Some(segment) => Verdict::NoSpeech(format!(
                "only {:?} was understood, which Whisper also writes where nobody speaks",
                segment.text
            )),
            None => Verdict::NoSpeech("no words were understood".to_owned()),
        }
    }
}

/// A known phrase is believed if its window is surely speech, and surely read.
const SURE_NO_SPEECH: f32 = 0.25;
const SURE_LOGPROB: f32 = -0.5;

/// Which segments of one window are nothing that anybody said. A courtesy beside other words is
/// believed, credits of subtitles are not.
pub(super) fn invented(segments: &[Segment]) -> Vec<bool> {
    let alone: Vec<bool> = segments.iter().map(|segment| is_invented(segment, true)).collect();
    if alone.iter().all(|invented| *invented) {
        return alone;
    }
    segments.iter().map(|segment| is_invented(segment, false)).collect()
}

/// Whether a whole text is a courtesy, a credit or a note about a noise.
pub(super) fn is_invention(text: &str) -> bool {
    let words = normalize(&strip_notes(text));
    words.is_empty() || PHRASES.contains(&words.as_str()) || CREDITS.iter().any(|credit| words.contains(credit))
}

/// Whether a text that goes on may still become one of those.
pub(super) fn may_be_invention(text: &str) -> bool {
    let words = normalize(&strip_notes(text));
    let begins = |all: &[&str]| all.iter().any(|one| one.starts_with(&words));
    begins(PHRASES) || begins(CREDITS) || CREDITS.iter().any(|credit| words.contains(credit))
}

/// Whether a text says nothing but words of the hint.
pub(super) fn is_echo(text: &str, hint: &str) -> bool {
    let (words, hint) = (normalize(text), normalize(hint));
    let hint: Vec<&str> = hint.split(' ').collect();
    !words.is_empty() && words.split(' ').all(|word| hint.contains(&word))
}

fn is_invented(segment: &Segment, alone: bool) -> bool {
    let words = normalize(&strip_notes(&segment.text));
    if words.is_empty() {
        return true;
    }
    let courtesy = alone && PHRASES.contains(&words.as_str());
    let known = courtesy || CREDITS.iter().any(|credit| words.contains(credit));
    known && (segment.no_speech_prob > SURE_NO_SPEECH || segment.avg_logprob < SURE_LOGPROB)
}

/// The text without `[Music]`, `(applause)`, `*sighs*` and notes of music.
fn strip_notes(text: &str) -> String {
    let mut kept = String::new();
    let mut close = None;
    for symbol in text.chars() {
        match (close, symbol) {
            (Some(end), _) => close = if symbol == end { None } else { close },
            (None, '[') => close = Some(']'),
            (None, '(') => close = Some(')'),
            (None, '（') => close = Some('）'),
            (None, '*') => close = Some('*'),
            (None, _) => kept.push(symbol),
        }
    }
    kept
}

/// Lower-case words with one space between them.
fn normalize(text: &str) -> String {
    let words = text.split(|symbol: char| !symbol.is_alphanumeric() && symbol != '\'' && symbol != '’');
    let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    words.join(" ")
}

/// Whole texts.
const PHRASES: &[&str] = &[
    "you",
    "bye",
    "bye bye",
    "so",
    "oh",
    "okay",
    "uh",
    "um",
    "hmm",
    "the",
    "i'm sorry",
    "thank you",
    "thank you very much",
    "thank you so much",
    "thank you for watching",
    "thanks for watching",
    "thank you for listening",
    "thank you thank you",
    "i'll see you in the next video",
    "see you in the next video",
    "see you next time",
    "i'll see you next time",
    "we'll see you next time",
    "please subscribe",
    "please subscribe to my channel",
    "like and subscribe",
    "music",
    "applause",
    "laughter",
    "silence",
    "blank audio",
    "foreign",
    "谢谢",
    "謝謝",
    "谢谢大家",
    "谢谢观看",
    "謝謝觀看",
    "感谢观看",
    "ご視聴ありがとうございました",
    "시청해주셔서 감사합니다",
    "merci",
    "gracias",
    "danke",
    "obrigado",
    "спасибо",
    "продолжение следует",
];

/// Parts of texts.
const CREDITS: &[&str] = &[
    "amara org",
    "subtitles by",
    "subtitled by",
    "captioning by",
    "captions by",
    "transcription by castingwords",
    "thanks for watching",
    "thank you for watching",
    "subscribe to",
    "untertitel im auftrag",
    "untertitelung",
    "untertitel von",
    "sous titres réalisés",
    "sous titrage",
    "sottotitoli",
    "subtítulos",
    "legendas pela comunidade",
    "ondertiteld door",
    "субтитры сделал",
    "субтитры создавал",
    "редактор субтитров",
    "字幕由",
    "字幕志愿者",
    "字幕制作",
    "请不吝点赞",
    "請不吝點贊",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(text: &str, no_speech_prob: f32, avg_logprob: f32) -> Segment {
        Segment {
            start: 0.0,
            end: 1.0,
            text: text.to_owned(),
            tokens: Vec::new(),
            avg_logprob,
            compression_ratio: 1.0,
            no_speech_prob,
            temperature: 0.0,
            words: Vec::new(),
        }
    }

    #[test]
    fn an_echo_says_nothing_but_words_of_the_hint() {
        let hint = "Shanshui, Guo Xi, Ma Yuan, pavilion";
        assert!(is_echo("Guo Xi, Ma Yuan.", hint));
        assert!(!is_echo("A pavilion of Guo Xi.", hint));
        assert!(!is_echo("", hint) && !is_echo("Guo Xi", ""));
    }

    #[test]
    fn notes_about_noises_are_never_speech() {
        for text in ["[Music]", " (upbeat music) ", "♪♪", "*sighs*", "...", "[BLANK_AUDIO]"] {
            assert_eq!(invented(&[segment(text, 0.0, -0.1)]), [true], "{text}");
        }
    }

    #[test]
    fn a_courtesy_counts_only_where_speech_is_sure() {
        for text in
            ["Thank you.", "Thanks for watching!", "Subtitles by the Amara.org community", "字幕由Amara.org社区提供"]
        {
            assert_eq!(invented(&[segment(text, 0.6, -0.3)]), [true], "{text}");
            assert_eq!(invented(&[segment(text, 0.1, -0.8)]), [true], "{text}");
            assert_eq!(invented(&[segment(text, 0.1, -0.2)]), [false], "{text}");
        }
    }

    #[test]
    fn a_sentence_is_kept_even_where_the_model_doubts() {
        for text in ["Thank you for the red apple.", "[Music] Paint a mountain"] {
            assert_eq!(invented(&[segment(text, 0.7, -0.9)]), [false], "{text}");
        }
    }

    #[test]
    fn what_may_become_a_courtesy_or_a_credit_is_not_shown_yet() {
        for text in [" Thank", "Thanks for", " [Music] ", "♪", "Sub", "字幕", "Thanks for watching, and", "谢谢大"]
        {
            assert!(may_be_invention(text), "{text}");
        }
        for text in [" Thanks to", "Paint", "Thank you for the", "字画"] {
            assert!(!may_be_invention(text), "{text}");
        }
    }

    #[test]
    fn beside_other_words_a_courtesy_is_kept_and_credits_are_not() {
        let texts = ["Paint a mountain.", "Thank you.", "Thanks for watching!"];
        let segments = texts.map(|text| segment(text, 0.3, -0.6));
        assert_eq!(invented(&segments), [false, false, true]);
    }
}
