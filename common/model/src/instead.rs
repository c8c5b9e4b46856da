//! What lies where a model's file should be: downloads go wrong in a few ways that have names.

use std::path::Path;

/// Bytes at a file's start that are enough to tell.
const START: usize = 1024;

const PICKLE: &str = "it is a pickle, which can run code when it is read";

/// Longest text that is quoted.
const QUOTED: usize = 80;

/// What a file with these bytes at its start is instead of one of the formats `allowed`, if it is
/// something known.
pub fn instead(file: &[u8], allowed: &str) -> Option<String> {
    let start = &file[..file.len().min(START)];
    if start.is_empty() {
        return Some("it is empty: its download broke off".to_owned());
    }
    for (magic, what) in [
        (&b"PK\x03\x04"[..], "it is a zip archive, as PyTorch saves pickles, which can run code when they are read"),
        (b"PK", "it is a zip archive"),
        (b"GGUF", "it is a GGUF file"),
        (b"lmgg", "it is a ggml file of whisper.cpp"),
        (b"\x80\x02", PICKLE),
        (b"\x80\x03", PICKLE),
        (b"\x80\x04", PICKLE),
        (b"\x80\x05", PICKLE),
        (b"\x1f\x8b", "it is compressed by gzip"),
    ] {
        if start.starts_with(magic) {
            return Some(format!("{what}; allowed: {allowed}"));
        }
    }
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // Cut within a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    text_instead(text.trim_start_matches('\u{feff}').trim_start())
}

fn text_instead(text: &str) -> Option<String> {
    let lower = text.get(..text.len().min(64)).unwrap_or(text).to_ascii_lowercase();
    if lower.starts_with("version https://git-lfs") {
        let size = text.lines().find_map(|line| line.strip_prefix("size ")).unwrap_or("unknown");
        return Some(format!("it is a Git LFS pointer and not the file: `git lfs pull` brings its {size} bytes"));
    }
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return Some("it is an HTML page: a login, a licence to accept or an error was saved in its place".to_owned());
    }
    if lower.starts_with("<?xml") {
        return Some("it is an XML text: a store's error was saved in its place".to_owned());
    }
    let quoted: String = text.chars().take(QUOTED).collect();
    let printable = !quoted.is_empty() && quoted.chars().all(|c| !c.is_control() || c.is_whitespace());
    printable.then(|| format!("it is a text: {:?}", quoted.trim_end()))
}

/// The same of the file at a path, when it can be read.
pub fn instead_at(path: &Path, allowed: &str) -> Option<String> {
    use std::io::Read;
    let mut start = Vec::new();
    std::fs::File::open(path).ok()?.take(START as u64).read_to_end(&mut start).ok()?;
    instead(&start, allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broken_download_left_is_called_what_it_is() {
        for (start, words) in [
            (
                "version https://git-lfs.github.com/spec/v1\noid sha256:19da\nsize 3438167540\n",
                "git lfs pull` brings its 3438167540 bytes",
            ),
            ("\u{feff}<!DOCTYPE html><html>", "HTML page"),
            ("\n<html lang=en>", "HTML page"),
            ("<?xml version=\"1.0\"?><Error><Code>AccessDenied", "XML"),
            ("Entry not found", "it is a text: \"Entry not found\""),
            ("{\"error\": \"gated\"}", "it is a text"),
            ("PK\u{3}\u{4}..", "pickles"),
            ("GGUF\u{3}", "GGUF file; allowed: safetensors"),
            ("lmgg", "ggml"),
            ("", "empty"),
        ] {
            let told = instead(start.as_bytes(), "safetensors").unwrap_or_default();
            assert!(told.contains(words), "{start:?}: {told}");
        }
        for header in [&[0x18, 0x22, 0, 0, 0, 0, 0, 0, b'{', b'"'][..], &[b'(', 0xa2, 0, 0, 0, 0, 0, 0, b'{']] {
            assert_eq!(instead(header, "safetensors"), None, "a safetensors header of so many bytes");
        }
    }
}
