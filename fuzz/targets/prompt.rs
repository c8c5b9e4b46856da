//! A text to paint: cleaning, and the tokens of the model in this repository.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shanshui_paint::diffusers::Configs;
use shanshui_paint::prompt::syntax::{Piece, Syntax};
use shanshui_paint::prompt::{Prompt, Texts};
use shanshui_paint::tokenizer::Tokenizer;

/// As many as the product's default allows.
const CHARS: usize = 2000;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/mini");
    let configs = Configs::read(&folder).expect("a model");
    Tokenizer::read(&folder, &configs.text).expect("its tokenizer")
});

fuzz_target!(|data: &[u8]| {
    let raw = String::from_utf8_lossy(data);
    let prompt = Prompt::clean(&raw, CHARS);
    assert!(prompt.text.chars().count() <= CHARS);
    assert!(!prompt.text.chars().any(char::is_control), "{:?}", prompt.text);
    assert_eq!(Prompt::clean(&prompt.text, CHARS).text, prompt.text, "cleaning twice");
    let chunks = TOKENIZER.chunks(&[&prompt.text, ""]).expect("an answer to any text").ids;
    let length = chunks[1][0].len();
    assert!(length <= 77 && chunks.iter().flatten().all(|chunk| chunk.len() == length));
    let texts = Texts::clean([&raw, ""], Syntax::A1111, CHARS);
    let weighted = TOKENIZER.weighted_chunks(&[Piece::parse(&texts.prompt), Vec::new()]);
    let weighted = weighted.expect("an answer to any text").ids;
    assert!(weighted.iter().flatten().all(|chunk| chunk.len() == length));
    assert_eq!(weighted[0].len(), weighted[1].len());
});
