//! Headers of every container that claim far more than is there.

/// What each is, and its bytes.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        // The tag of pdeljanov/Symphonia#485, 33 bytes: a text frame of an encoding that is none.
        (
            "an ID3 tag with an unknown encoding",
            id3(b"TXXX\0\0\0\x0d\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ),
        ("an ID3 picture of 256 MB", id3(b"APIC\x7f\x7f\x7f\x7f\0\0\0image/png\0\0\0\0")),
        ("a FLAC picture of 16 MB", [&b"fLaC\x06\xff\xff\xff"[..], &[0xff; 64]].concat()),
        ("a FLAC comment of 4 GB", [&b"fLaC\x04\0\0\x40\xff\xff\xff\xff"[..], &[0xff; 64]].concat()),
        ("a FLAC seek table of 16 MB", [&b"fLaC\x03\xff\xff\xfe"[..], &[0xff; 64]].concat()),
        ("an MP4 with 4 G sample sizes", mp4(b"stsz", &[&[0; 8][..], &[0xff; 4]].concat())),
        ("an MP4 with 4 G empty samples", mp4(b"stsz", &[&[0; 4][..], &[0, 0, 0, 1], &[0xff; 4]].concat())),
        ("an MP4 with 4 G chunk offsets", mp4(b"stco", &[&[0; 4][..], &[0xff; 4]].concat())),
        ("an MP4 with 4 G time entries", mp4(b"stts", &[&[0; 4][..], &[0xff; 4]].concat())),
        ("an MP4 with 4 G descriptions", mp4(b"stsd", &[&[0; 4][..], &[0xff; 4]].concat())),
        ("an MP4 box of 16 EB", [&b"\0\0\0\x10ftypM4A \0\0\0\0\0\0\0\x01moov"[..], &[0x7f; 24]].concat()),
        (
            "a Matroska element of 72 PB",
            [&b"\x1aE\xdf\xa3\x84\x42\x82\x81w\x18S\x80g\x01\xff\xff\xff\xff\xff\xff\xfe"[..], &[0xa3; 64]].concat(),
        ),
        ("a CAF chunk of 9 EB", [&b"caff\0\x01\0\0desc\x7f"[..], &[0xff; 64]].concat()),
        ("a CAF table of 9 EB packets", caf(&[0x7f; 24])),
        (
            "an AIFF of 4 GB",
            [&b"FORM\xff\xff\xff\xffAIFFCOMM\0\0\0\x12\xff\xff\xff\xff\xff\xff\xff\xff"[..], &[0xff; 40]].concat(),
        ),
        ("a WAV list of 4 GB", b"RIFF\xff\xff\xff\xffWAVELIST\xff\xff\xff\xffINFOICMT\xff\xff\xff\xffx".to_vec()),
        (
            "an Ogg Vorbis comment of 4 GB",
            [&b"OggS\0\x02\0\0\0\0\0\0\0\0once\0\0\0\0\0\0\0\0\x01\x40\x03vorbis\xff\xff\xff\xff"[..], &[0xff; 53]]
                .concat(),
        ),
    ]
}

/// ID3v2.4: a tag whose size fits, before frames of MP3 that never come.
fn id3(frame: &[u8]) -> Vec<u8> {
    [b"ID3\x04\0\0\0\0\0", &[frame.len() as u8][..], frame].concat()
}

/// One table of a sound track.
fn mp4(kind: &[u8; 4], table: &[u8]) -> Vec<u8> {
    let wrap = |kind: &[u8; 4], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes(), &kind[..], body].concat();
    let tables = wrap(b"stbl", &wrap(kind, table));
    let head = wrap(b"mdhd", &[&[0; 12][..], &[0, 0, 0x3e, 0x80], &[0; 8]].concat());
    let media = [head, wrap(b"hdlr", &[&[0; 8][..], b"soun", &[0; 13]].concat()), wrap(b"minf", &tables)].concat();
    let track = [wrap(b"tkhd", &[1; 84]), wrap(b"mdia", &media)].concat();
    let movie = [wrap(b"mvhd", &[0; 100]), wrap(b"trak", &track)].concat();
    [wrap(b"ftyp", b"M4A \0\0\0\0"), wrap(b"moov", &movie)].concat()
}

/// Sound of a codec with packets, and the head of their table.
fn caf(table: &[u8]) -> Vec<u8> {
    let rate = 16_000_f64.to_be_bytes();
    let description = [&rate[..], b"aac \0\0\0\0\0\0\0\0\0\0\x04\0\0\0\0\x01\0\0\0\0"].concat();
    let chunk = |kind: &[u8; 4], body: &[u8]| [&kind[..], &(body.len() as u64).to_be_bytes(), body].concat();
    [b"caff\0\x01\0\0".to_vec(), chunk(b"desc", &description), chunk(b"pakt", table), chunk(b"data", &[0; 16])].concat()
}
