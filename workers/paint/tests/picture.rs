//! Pictures as files: bytes that stay the same, pixels that come back, metadata that strangers read.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use shanshui_paint::picture::{Format, Metadata, Parameters, Picture};
use shanshui_paint::sampler::SamplerKind;

const FORMATS: [Format; 3] = [Format::Png, Format::Jpeg, Format::Webp];
const RECEIPT: &str = r#"{"job":"a-1","seeds":[42],"text":"高山流水"}"#;

/// A smooth ramp with one sharp edge.
fn picture() -> Picture {
    let (width, height) = (48, 32);
    let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x * 5, y * 7, if x > y { 200 } else { 20 }]));
    Picture { width, height, rgb: rgb.map(|value: u32| value as u8).collect() }
}

fn parameters<'a>(prompt: &'a str, negative: &'a str, model: &'a str) -> Parameters<'a> {
    Parameters {
        prompt,
        negative,
        steps: 20,
        sampler: SamplerKind::DpmPp2mKarras,
        guidance: 7.5,
        seed: 42,
        size: (48, 32),
        model_hash: "0123456789abcdef0123",
        model,
    }
}

fn encode(format: Format, parameters: &Parameters<'_>) -> Vec<u8> {
    let parameters = parameters.to_string();
    picture().encode(format, Metadata { parameters: &parameters, receipt: RECEIPT }).unwrap()
}

#[test]
fn the_parameters_are_written_as_the_web_ui_writes_them() {
    assert_eq!(
        parameters("a cat, red", "blurry", "mini").to_string(),
        concat!(
            "a cat, red\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 42, ",
            "Size: 48x32, Model hash: 0123456789, Model: mini, Version: shanshui ",
            env!("CARGO_PKG_VERSION"),
        )
    );
    let quoted = parameters("a\ncat", "", "a, \"b\": c").to_string();
    assert!(quoted.starts_with("a cat\nSteps: 20, "), "{quoted}");
    assert!(quoted.contains(r#"Model: "a, \"b\": c", Version"#), "{quoted}");
}

#[test]
fn the_same_picture_has_the_same_bytes_and_the_lossless_formats_give_its_pixels_back() {
    for format in FORMATS {
        let bytes = encode(format, &parameters("a cat", "", "mini"));
        assert_eq!(bytes, encode(format, &parameters("a cat", "", "mini")));
        let decoded = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert_eq!(decoded.dimensions(), (48, 32));
        let worst = decoded.iter().zip(&picture().rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst == 0 || format == Format::Jpeg, "{format:?} is off by {worst}");
    }
}

#[test]
fn a_latin_prompt_is_a_text_chunk_and_any_other_an_international_one() {
    for (prompt, keyword) in [("caf\u{e9}", b"tEXtparameters\0".as_slice()), ("高山", b"iTXtparameters\0".as_slice())]
    {
        let bytes = encode(Format::Png, &parameters(prompt, "", "mini"));
        let chunk = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
        assert!(chunk(keyword) && chunk(b"iTXtshanshui\0"), "{prompt}");
    }
}

#[test]
fn pixels_that_do_not_fill_the_picture_are_an_error() {
    let empty = Metadata { parameters: "", receipt: "" };
    for (width, height) in [(48, 31), (0, 32), (u32::MAX, u32::MAX)] {
        let error = Picture { width, height, ..picture() }.encode(Format::Png, empty).unwrap_err();
        assert!(error.to_string().contains(&format!("do not fill {width}x{height}")), "{error}");
    }
    let long = Metadata { parameters: &"x".repeat(40_000), receipt: "{}" };
    let error = format!("{:#}", picture().encode(Format::Jpeg, long).unwrap_err());
    assert!(error.contains("metadata: 80") && error.contains("allowed: at most 65527"), "{error}");
}

#[test]
fn formats_are_read_by_name_and_others_refused_with_the_list() {
    assert_eq!("JPG".parse::<Format>().unwrap().content_type(), "image/jpeg");
    let error = "gif".parse::<Format>().unwrap_err().to_string();
    assert_eq!(error, "picture.format: \"gif\" is not allowed; allowed: png, jpeg, webp");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The reader runs in the tests' own Python, which `./dev` makes.
#[expect(clippy::disallowed_methods, reason = "tests have no command line")]
fn python() -> PathBuf {
    let python = std::env::var("SHANSHUI_PYTHON").map_or_else(|_| root().join(".cache/venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "{} is missing: run `./dev models`, or set SHANSHUI_PYTHON", python.display());
    python
}

/// What sd-parsers and Pillow find in each file.
fn read_by_strangers(files: &[PathBuf]) -> Vec<Value> {
    let output = Command::new(python()).arg(root().join("tests/python/read_metadata.py")).args(files).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_public_reader_finds_prompt_settings_and_receipt_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let prompts =
        [("a cat: red, on a \"mat\"", "blurry, low quality"), ("高山流水, caf\u{e9} 🐼", "模糊"), ("a dog", "")];
    let cases: Vec<_> = prompts.iter().flat_map(|prompt| FORMATS.map(|format| (*prompt, format))).collect();
    let write = |(index, ((prompt, negative), format)): (usize, &((&str, &str), Format))| {
        let path = folder.path().join(format!("{index}.{}", format.extension()));
        std::fs::write(&path, encode(*format, &parameters(prompt, negative, "mini"))).unwrap();
        path
    };
    let files: Vec<PathBuf> = cases.iter().enumerate().map(write).collect();
    let found = read_by_strangers(&files);
    assert_eq!(found.len(), cases.len());
    for (((prompt, negative), format), found) in cases.into_iter().zip(found) {
        assert_eq!(found["format"], format!("{format:?}").to_uppercase(), "{found}");
        assert_eq!(found["generator"], "AUTOMATIC1111", "{found}");
        assert_eq!((&found["prompt"], &found["sampler"]), (&json!(prompt), &json!("DPM++ 2M Karras")), "{found}");
        let negative = if negative.is_empty() { Value::Null } else { negative.into() };
        assert_eq!(found["negative"], negative, "{found}");
        let settings = json!({"cfg_scale": "7.5", "seed": "42", "steps": "20"});
        assert_eq!(found["parameters"], settings, "{found}");
        assert_eq!((&found["model"], &found["model_hash"]), (&json!("mini"), &json!("0123456789")), "{found}");
        assert_eq!(found["receipt"], RECEIPT, "{found}");
    }
}

#[test]
fn a_prompt_that_imitates_the_format_does_not_hide_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imitation.png");
    let prompt = "a Negative prompt: b Negative prompt: c Steps: 1, Sampler: x, CFG scale: 1, Seed: 1";
    std::fs::write(&path, encode(Format::Png, &parameters(prompt, "", "mini"))).unwrap();
    let found = &read_by_strangers(&[path])[0];
    assert_eq!((&found["sampler"], &found["parameters"]["seed"]), (&json!("DPM++ 2M Karras"), &json!("42")), "{found}");
    assert_eq!(found["negative"], Value::Null, "{found}");
}
