//! What a file is, by its first bytes.

/// Containers by who walks them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// WAV in its four forms.
    Riff,
    /// MP3, MP2, MP1.
    Mpeg,
    Ogg,
    /// WebM and Matroska.
    Ebml,
    /// MP4, M4A, 3GP, QuickTime.
    Mp4,
    Adts,
    Flac,
    /// AIFF and CAF.
    Iff,
    /// Sound that is not read here.
    Foreign {
        container: &'static str,
        codec: &'static str,
    },
    /// No sound at all, in words.
    Other(&'static str),
    Unknown,
}

/// Signatures at the start of sound that is not read here: bytes, container, codec.
const FOREIGN: &[(&[u8], &str, &str)] = &[
    (b"#!AMR-WB\n", "amr", "AMR wide band"),
    (b"#!AMR-WB_MC1.0\n", "amr", "AMR wide band"),
    (b"#!AMR\n", "amr", "AMR narrow band"),
    (b"#!AMR_MC1.0\n", "amr", "AMR narrow band"),
    (b"#!EVRC\n", "evrc", "EVRC"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf", "Windows Media Audio"),
    (b"\x0b\x77", "ac3", "AC-3"),
    (b"\x77\x0b", "ac3", "AC-3"),
    (b"\x7f\xfe\x80\x01", "dts", "DTS"),
    (b"\xfe\x7f\x01\x80", "dts", "DTS"),
    (b"FLV\x01", "flv", "Flash video"),
    (b"MAC ", "ape", "Monkey's Audio"),
    (b"MPCK", "musepack", "Musepack"),
    (b"MP+", "musepack", "Musepack"),
    (b"wvpk", "wavpack", "WavPack"),
    (b"TTA1", "tta", "True Audio"),
    (b"ajkg", "shorten", "Shorten"),
    (b".snd", "au", "Sun audio"),
    (b"Creative Voice File", "voc", "Creative Voice"),
    (b".RMF", "realmedia", "RealAudio"),
    (b".ra\xfd", "realaudio", "RealAudio"),
    (b"DSD ", "dsf", "DSD"),
    (b"FRM8", "dff", "DSD"),
    (b"RIFX", "rifx", "big-endian WAV"),
    (b"\0\0\x01\xba", "mpeg-ps", "MPEG program stream"),
    (b"NIST_1A", "sphere", "NIST SPHERE"),
];

/// Signatures of what is no recording.
const OTHER: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"MThd", "a MIDI file, which holds notes and no sound"),
    (b"<!DOCTYPE", "an HTML page"),
    (b"<!doctype", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"#EXTM3U", "a playlist"),
];

/// The GUID at the start of a W64 file.
const W64: &[u8] = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0";

pub(super) fn container(file: &[u8]) -> Container {
    let bytes = &file[id3_end(file).min(file.len())..];
    if let Some((_, what)) = OTHER.iter().find(|(signature, _)| bytes.starts_with(signature)) {
        return Container::Other(what);
    }
    if let Some((_, container, codec)) = FOREIGN.iter().find(|(signature, ..)| bytes.starts_with(signature)) {
        return Container::Foreign { container, codec };
    }
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => {
            Container::Foreign { container: "avi", codec: "AVI" }
        }
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Container::Other("a WebP picture"),
        _ if [b"RIFF", b"RF64", b"BW64"].iter().any(|mark| bytes.starts_with(*mark)) && bytes.len() > 12 => {
            Container::Riff
        }
        _ if bytes.starts_with(W64) => Container::Riff,
        [b'O', b'g', b'g', b'S', ..] => Container::Ogg,
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Container::Ebml,
        [b'f', b'L', b'a', b'C', ..] => Container::Flac,
        [b'F', b'O', b'R', b'M', ..] | [b'c', b'a', b'f', b'f', ..] => Container::Iff,
        [_, _, _, _, kind @ ..] if BOXES.iter().any(|name| kind.starts_with(*name)) => Container::Mp4,
        _ if is_transport_stream(bytes) => Container::Foreign { container: "mpeg-ts", codec: "MPEG transport stream" },
        [0xff, second, ..] if second & 0xf6 == 0xf0 => Container::Adts,
        [0xff, second, ..] if second & 0xe0 == 0xe0 => Container::Mpeg,
        // Zeros or rubbish before the first frame, behind a tag that says MP3.
        _ if file.starts_with(b"ID3") => Container::Mpeg,
        _ => Container::Unknown,
    }
}

/// Boxes that an MP4 or QuickTime file may begin with.
const BOXES: [&[u8; 4]; 9] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof"];

/// Packets of 188 bytes, each with the same first byte.
fn is_transport_stream(bytes: &[u8]) -> bool {
    bytes.len() > 3 * 188 && [0, 188, 376].iter().all(|at| bytes[*at] == 0x47)
}

/// Where the ID3v2 tags at the start end.
pub(super) fn id3_end(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(length) = id3_length(&bytes[end.min(bytes.len())..]) {
        end += length;
    }
    end
}

/// Length of the ID3v2 tag that the bytes begin with (id3.org, section 3.1): four digits of 7 bits.
pub(super) fn id3_length(bytes: &[u8]) -> Option<usize> {
    let &[b'I', b'D', b'3', _, _, flags, a, b, c, d] = bytes.first_chunk::<10>()? else { return None };
    if [a, b, c, d].iter().any(|digit| digit & 0x80 != 0) {
        return None;
    }
    let size = [a, b, c, d].iter().fold(0, |size, digit| size << 7 | usize::from(*digit));
    let footer = if flags & 0x10 != 0 { 10 } else { 0 };
    Some(10 + size + footer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_that_is_not_read_here_and_other_things_are_called_by_name() {
        assert_eq!(container(b"#!AMR\n<\x91"), Container::Foreign { container: "amr", codec: "AMR narrow band" });
        assert_eq!(container(b"\x89PNG\r\n\x1a\n"), Container::Other("a PNG picture"));
        assert_eq!(container(b"hello, this is a text"), Container::Unknown);
        assert_eq!(container(b""), Container::Unknown);
    }

    #[test]
    fn a_tag_before_the_sound_is_passed_over() {
        let tagged = [b"ID3\x04\0\0\0\0\x01\x02".as_slice(), &[0; 130], b"fLaC"].concat();
        assert_eq!(id3_end(&tagged), 140);
        assert_eq!(container(&tagged), Container::Flac);
        assert_eq!(id3_length(b"ID3\x04\0\0\0\0\x01\xff"), None, "a digit of eight bits");
    }

    #[test]
    fn mp3_and_aac_differ_in_their_layer() {
        assert_eq!(container(b"\xff\xfb\x90\x64"), Container::Mpeg);
        assert_eq!(container(b"\xff\xf1\x50\x80"), Container::Adts);
    }
}
