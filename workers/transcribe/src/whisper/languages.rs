//! The languages that Whisper was trained on, as its token names spell them.

use anyhow::Context;

/// One language that Whisper reads.
#[derive(Debug, PartialEq, Eq)]
pub struct Language {
    /// As in the token `<|zh|>`: mostly ISO 639-1.
    pub code: &'static str,
    /// In English, lower case.
    pub name: &'static str,
}

/// Finds a language by code (`zh`, `zh-CN`, `ZH`) or English name (`Chinese`).
///
/// # Errors
/// Names the value and what is allowed if Whisper does not know it.
pub fn find(value: &str) -> anyhow::Result<&'static Language> {
    let wanted = value.trim().to_lowercase();
    let primary = wanted.split(['-', '_']).next().unwrap_or_default();
    let alias = |name: &str| ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, code)| *code);
    let by = |name: &str| {
        let code = alias(name);
        LANGUAGES.iter().find(|language| language.code == name || language.name == name || Some(language.code) == code)
    };
    by(&wanted).or_else(|| by(primary)).with_context(|| {
        let codes: Vec<_> = LANGUAGES.iter().map(|language| language.code).collect();
        let shown: String = value.chars().take(40).collect();
        format!("language: {shown:?} is unknown; allowed are {}, or their English names", codes.join(", "))
    })
}

/// Names of ISO 639, locales and everyday use for languages that have another code here.
const ALIASES: &[(&str, &str)] = &[
    ("iw", "he"),
    ("in", "id"),
    ("jv", "jw"),
    ("nb", "no"),
    ("fil", "tl"),
    ("cmn", "zh"),
    ("mandarin", "zh"),
    ("castilian", "es"),
    ("valencian", "ca"),
    ("flemish", "nl"),
    ("farsi", "fa"),
    ("burmese", "my"),
    ("filipino", "tl"),
    ("haitian", "ht"),
    ("letzeburgesch", "lb"),
    ("moldavian", "ro"),
    ("moldovan", "ro"),
    ("panjabi", "pa"),
    ("pushto", "ps"),
    ("sinhalese", "si"),
];

const fn language(code: &'static str, name: &'static str) -> Language {
    Language { code, name }
}

/// All of them; Cantonese came with large-v3.
pub const LANGUAGES: &[Language] = &[
    language("en", "english"),
    language("zh", "chinese"),
    language("de", "german"),
    language("es", "spanish"),
    language("ru", "russian"),
    language("ko", "korean"),
    language("fr", "french"),
    language("ja", "japanese"),
    language("pt", "portuguese"),
    language("tr", "turkish"),
    language("pl", "polish"),
    language("ca", "catalan"),
    language("nl", "dutch"),
    language("ar", "arabic"),
    language("sv", "swedish"),
    language("it", "italian"),
    language("id", "indonesian"),
    language("hi", "hindi"),
    language("fi", "finnish"),
    language("vi", "vietnamese"),
    language("he", "hebrew"),
    language("uk", "ukrainian"),
    language("el", "greek"),
    language("ms", "malay"),
    language("cs", "czech"),
    language("ro", "romanian"),
    language("da", "danish"),
    language("hu", "hungarian"),
    language("ta", "tamil"),
    language("no", "norwegian"),
    language("th", "thai"),
    language("ur", "urdu"),
    language("hr", "croatian"),
    language("bg", "bulgarian"),
    language("lt", "lithuanian"),
    language("la", "latin"),
    language("mi", "maori"),
    language("ml", "malayalam"),
    language("cy", "welsh"),
    language("sk", "slovak"),
    language("te", "telugu"),
    language("fa", "persian"),
    language("lv", "latvian"),
    language("bn", "bengali"),
    language("sr", "serbian"),
    language("az", "azerbaijani"),
    language("sl", "slovenian"),
    language("kn", "kannada"),
    language("et", "estonian"),
    language("mk", "macedonian"),
    language("br", "breton"),
    language("eu", "basque"),
    language("is", "icelandic"),
    language("hy", "armenian"),
    language("ne", "nepali"),
    language("mn", "mongolian"),
    language("bs", "bosnian"),
    language("kk", "kazakh"),
    language("sq", "albanian"),
    language("sw", "swahili"),
    language("gl", "galician"),
    language("mr", "marathi"),
    language("pa", "punjabi"),
    language("si", "sinhala"),
    language("km", "khmer"),
    language("sn", "shona"),
    language("yo", "yoruba"),
    language("so", "somali"),
    language("af", "afrikaans"),
    language("oc", "occitan"),
    language("ka", "georgian"),
    language("be", "belarusian"),
    language("tg", "tajik"),
    language("sd", "sindhi"),
    language("gu", "gujarati"),
    language("am", "amharic"),
    language("yi", "yiddish"),
    language("lo", "lao"),
    language("uz", "uzbek"),
    language("fo", "faroese"),
    language("ht", "haitian creole"),
    language("ps", "pashto"),
    language("tk", "turkmen"),
    language("nn", "nynorsk"),
    language("mt", "maltese"),
    language("sa", "sanskrit"),
    language("lb", "luxembourgish"),
    language("my", "myanmar"),
    language("bo", "tibetan"),
    language("tl", "tagalog"),
    language("mg", "malagasy"),
    language("as", "assamese"),
    language("tt", "tatar"),
    language("haw", "hawaiian"),
    language("ln", "lingala"),
    language("ha", "hausa"),
    language("ba", "bashkir"),
    language("jw", "javanese"),
    language("su", "sundanese"),
    language("yue", "cantonese"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_found_by_code_locale_name_and_alias() {
        for (value, code) in [
            ("en", "en"),
            ("ZH", "zh"),
            ("zh-CN", "zh"),
            ("English", "en"),
            ("haitian creole", "ht"),
            ("mandarin", "zh"),
            ("nb_NO", "no"),
        ] {
            assert_eq!(find(value).unwrap().code, code, "{value}");
        }
        assert_eq!(LANGUAGES.len(), 100);
    }

    #[test]
    fn an_unknown_language_is_named_with_what_is_allowed() {
        let error = find("klingon").unwrap_err().to_string();
        assert!(error.contains("\"klingon\"") && error.contains("en, zh, de"), "{error}");
    }
}
