//! Reads of a PNG what the tests ask for (W3C PNG, 5.3 chunk layout and 11.3 text chunks).

/// Width and height in pixels.
pub fn size(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "not a PNG");
    (number(&png[16..]), number(&png[20..]))
}

/// The text under a keyword, of a `tEXt` chunk or an `iTXt` chunk that is not compressed.
pub fn text(png: &[u8], keyword: &str) -> Option<String> {
    let mut rest = &png[8..];
    while rest.len() >= 12 {
        let length = number(rest) as usize;
        let (kind, data) = (&rest[4..8], &rest[8..8 + length]);
        let value = data.strip_prefix(keyword.as_bytes()).and_then(|data| data.strip_prefix(b"\0"));
        let value = match (kind, value) {
            (b"tEXt", Some(value)) => Some(value),
            // Two bytes say how it is compressed, then follow two more strings that end with NUL.
            (b"iTXt", Some(value)) => value[2..].splitn(3, |byte| *byte == 0).nth(2),
            _ => None,
        };
        if let Some(value) = value {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
        rest = &rest[12 + length..];
    }
    None
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
