use shanshui_pipeline::job::TextJob;
use shanshui_pipeline::wire;

use super::*;

const TABLE: &str = include_str!("sentences.tsv");

#[test]
fn sixty_sentences_are_read_as_they_are_meant() {
    let rows: Vec<Vec<&str>> = TABLE.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    let plain = rows.iter().filter(|row| row[4].is_empty()).count();
    assert!(rows.len() >= 60 && 3 * plain >= rows.len(), "{} sentences, {plain} without a wish", rows.len());
    for row in rows {
        let [language, said, text, settings, words] = row[..] else { panic!("{row:?}") };
        let read = read(said, language);
        let words: Vec<&str> = words.split('|').filter(|words| !words.is_empty()).collect();
        assert_eq!(read.text, text, "{said}");
        assert_eq!(Value::Object(read.settings), serde_json::from_str::<Value>(settings).unwrap(), "{said}");
        assert_eq!(read.words, words, "{said}");
    }
}

#[test]
fn another_language_and_no_words_at_all_stay_as_they_are() {
    for (text, language) in [("Un chat, portrait.", "fr"), ("", "en"), ("  ", "zh"), ("...", "en"), ("，。", "zh")] {
        assert_eq!(read(text, language), Reading { text: text.into(), ..Reading::default() });
    }
}

#[test]
fn what_the_job_says_counts_more_than_what_was_spoken() {
    let reading = read("A cat, portrait, four pictures, no people, seed seven.", "en");
    let mut picture = PictureSpec { count: Some(1), width: Some(64), ..PictureSpec::default() };
    reading.apply(&mut picture);
    assert_eq!((picture.count, picture.seed, &*picture.negative), (Some(1), Some(7), "people"));
    assert_eq!(picture.shape, None, "a width is more than a shape");
    let mut picture = PictureSpec::default();
    reading.apply(&mut picture);
    assert_eq!(picture.shape.as_deref(), Some("portrait"));
}

#[test]
fn a_senders_own_field_does_not_make_the_next_job_unreadable() {
    let mut meta = JobMeta { extra: vec![("spoken".into(), "by me".into())], ..JobMeta::default() };
    read("A cat, portrait.", "en").pass_on(&mut meta);
    let next = TextJob { text: "A cat".into(), meta };
    let again = wire::decode::<TextJob>(None, wire::encode(&next).1).unwrap();
    assert_eq!(again.meta.picture.shape.as_deref(), Some("portrait"));
    assert_eq!(again.meta.extra.len(), 1, "{:?}", again.meta.extra);
}

#[test]
fn the_language_of_a_text_is_that_in_which_it_is_written() {
    assert_eq!(language_of("一只猫", "zh", false), "zh");
    assert_eq!(language_of("A cat", "zh", true), "en");
    assert_eq!(language_of("Un chat", "fr", false), "fr");
}
