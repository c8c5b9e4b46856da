//! Names of codecs that no demuxer here knows, as the container spells them.

use super::edit_list::{boxes, find};

/// The codec of the first audio track that is not read, if there is one at all.
pub(super) fn unknown_codec(file: &[u8], container: &str) -> Option<String> {
    match container {
        "isomp4" => sound_entry(file).map(|entry| entry_name(&entry)),
        "matroska" => matroska_codec(file),
        _ => None,
    }
}

/// The sample description of the first track whose handler is `soun` (ISO/IEC 14496-12, 8.5.2).
fn sound_entry(file: &[u8]) -> Option<[u8; 4]> {
    let movie = find(file, b"moov")?;
    boxes(movie).filter(|(kind, _)| *kind == b"trak").find_map(|(_, track)| {
        let media = find(track, b"mdia")?;
        find(media, b"hdlr")?.get(8..)?.starts_with(b"soun").then_some(())?;
        let descriptions = find(find(find(media, b"minf")?, b"stbl")?, b"stsd")?;
        Some(*descriptions.get(12..)?.first_chunk::<4>()?)
    })
}

/// Names behind the codes of the registration authority (mp4ra.org).
fn entry_name(entry: &[u8; 4]) -> String {
    let name = match entry {
        b"samr" => "AMR narrow band",
        b"sawb" | b"sawp" => "AMR wide band",
        b"sqcp" => "QCELP",
        b"sevc" => "EVRC",
        b"agsm" => "GSM 6.10",
        b"QDM2" | b"QDMC" => "QDesign Music",
        b"dtsc" | b"dtsh" | b"dtsl" | b"dtse" => "DTS",
        b"ac-4" => "AC-4",
        b"mlpa" => "Dolby TrueHD",
        b"wma " => "Windows Media Audio",
        b"enca" => "encrypted sound (DRM)",
        other => return other.escape_ascii().to_string(),
    };
    name.to_owned()
}

/// A `CodecID` of an audio track begins with `A_` (RFC 9559, section 5.1.4.1.21).
fn matroska_codec(file: &[u8]) -> Option<String> {
    const CODEC_ID: u8 = 0x86;
    let head = &file[..file.len().min(1 << 16)];
    let at = head.windows(4).position(|window| window[0] == CODEC_ID && window[2..] == *b"A_")?;
    let length = usize::from(head[at + 1] & 0x7f);
    head.get(at + 2..at + 2 + length).map(|name| String::from_utf8_lossy(name).into_owned())
}
