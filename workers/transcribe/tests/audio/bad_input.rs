//! Empty, tiny, lying, cut, damaged and exploding recordings.

use shanshui_transcribe::audio::{AudioError, Budget, decode};

use crate::wav::{HONEST, Header, float_wav, wav};
use crate::{bytes, heard};

#[test]
fn s05_no_bytes_no_samples_and_unknown_bytes_have_their_own_errors() {
    assert!(matches!(heard(b""), Err(AudioError::Empty)));
    assert!(matches!(heard(&wav(&HONEST, b"")), Err(AudioError::Empty)));
    for text in [b"hello, this is a text and no sound".as_slice(), b"{\"audio\":{}}", b"\0", b"RIFF"] {
        let error = heard(text).unwrap_err();
        assert!(matches!(error, AudioError::UnknownContainer), "{error}");
        assert!(error.to_string().contains("allowed are wav, flac, mp3"), "{error}");
    }
    let error = heard(b"\x89PNG\r\n\x1a\n").unwrap_err();
    assert_eq!(error.to_string(), "audio is a PNG picture and no recording");
}

#[test]
fn s05_one_sample_and_99_ms_are_recordings() {
    assert_eq!(heard(&wav(&HONEST, &[0, 64])).unwrap().samples, [0.5]);
    let short = heard(&wav(&HONEST, &[0; 2 * 1584])).unwrap();
    assert_eq!(short.samples.len(), 1584);
    let short = heard(&float_wav(48_000, 2, &[0.1; 2])).unwrap();
    assert!(short.samples.len() <= 1, "one frame of 48 kHz is a third of ours");
}

#[test]
fn s03_headers_that_make_no_sense_are_refused() {
    let lie = |format, channels, rate, bits| Header { format, channels, rate, bits, ..HONEST };
    for (what, header) in [
        ("no channels", lie(1, 0, 16_000, 16)),
        ("65535 channels", lie(1, 65_535, 16_000, 16)),
        ("0 Hz", lie(1, 1, 0, 16)),
        ("4 GHz", lie(1, 1, 4_000_000_000, 16)),
        ("no bits", lie(1, 1, 16_000, 0)),
        ("33 bits", lie(1, 1, 16_000, 33)),
        ("float of 16 bits", lie(3, 1, 16_000, 16)),
        ("unknown codec", lie(0x1234, 1, 16_000, 16)),
    ] {
        let got = heard(&wav(&header, &[1; 1000]));
        assert!(got.is_err(), "{what}: {got:?}");
    }
    let error = heard(&wav(&lie(1, 1, 4_000_000_000, 16), &[1; 1000])).unwrap_err();
    let text = "audio.sample_rate 4000000000 Hz is out of range, allowed are 4000 to 384000 Hz";
    assert_eq!(error.to_string(), text);
}

#[test]
fn s03_headers_that_exaggerate_cost_no_more_than_the_bytes() {
    let data = [1; 1000];
    // A file that was written to a pipe looks like this, and is good.
    let got = heard(&wav(&Header { size: Some(u32::MAX - 36), ..HONEST }, &data)).unwrap();
    assert_eq!(got.samples.len(), 500);

    let header = Header { block_align: 0, ..HONEST };
    assert_eq!(heard(&wav(&header, &data)).unwrap().samples.len(), 500, "a block of 0 bytes is put right");

    let whole = wav(&HONEST, &data);
    let without_format = [&whole[..12], &whole[36..]].concat();
    assert!(heard(&without_format).is_err());
    let mut odd_chunk = [&whole[..36], b"note\x03\0\0\0abc\0", &whole[36..]].concat();
    odd_chunk[4..8].copy_from_slice(&1048_u32.to_le_bytes());
    assert_eq!(heard(&odd_chunk).unwrap().samples.len(), 500);
}

#[test]
fn s04_a_bomb_is_refused_by_its_header_and_stopped_while_decoding() {
    let bomb = bytes("audio/bomb.flac");
    let error = heard(&bomb).unwrap_err();
    assert!(matches!(error, AudioError::TooLong { seconds, max: 1800.0 } if seconds == 1801.0), "{error}");

    // The same without a declared length: bytes 21 to 25 of a FLAC file count its samples.
    let mut silent = bomb;
    silent[21] &= 0xf0;
    silent[22..26].fill(0);
    let few = Budget { max_seconds: 60.0, ..Budget::default() };
    let error = decode(&silent, &few).unwrap_err();
    assert!(matches!(error, AudioError::TooLong { seconds, .. } if seconds < 63.0), "{error}");
    let few = Budget { max_samples: 1_000_000, ..Budget::default() };
    let error = decode(&silent, &few).unwrap_err();
    assert!(matches!(error, AudioError::TooManySamples { samples, .. } if samples < 1_100_000), "{error}");
}

const ONE_OF_EACH: [&str; 12] = [
    "pcm16.wav",
    "adpcm.wav",
    "pcm16.aiff",
    "pcm16.caf",
    "mono.flac",
    "mono.mp3",
    "mono.ogg",
    "mono.m4a",
    "alac.m4a",
    "opus-silk.ogg",
    "opus.webm",
    "opus.mp4",
];

#[test]
fn s28_a_truncated_file_yields_what_was_there_or_a_plain_error() {
    for name in ONE_OF_EACH {
        let whole = bytes(&format!("audio/{name}"));
        let full = heard(&whole).unwrap().samples.len();
        let mut some = 0;
        for cut in (0..whole.len()).step_by(97) {
            match heard(&whole[..cut]) {
                // Where the header with the padding's size is at the end, the padding is heard.
                Ok(part) => some += usize::from(part.samples.len() <= full + 2000),
                Err(AudioError::Panicked { message }) => panic!("{name} cut at {cut}: {message}"),
                Err(AudioError::Resample(error)) => panic!("{name} cut at {cut}: {error}"),
                Err(_) => {}
            }
        }
        // MP4 has its index at the end, and symphonia insists on the whole of a CAF's sound.
        let needs_its_end = ["m4a", "mp4", "caf"].iter().any(|end| name.ends_with(end));
        assert!(some > 0 || needs_its_end, "{name}");
    }
}

#[test]
fn s28_damaged_and_random_bytes_never_escape_as_a_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let short = Budget { max_seconds: 30.0, ..Budget::default() };
    for name in ONE_OF_EACH {
        let whole = bytes(&format!("audio/{name}"));
        for round in 0..40 {
            let mut bad = whole.clone();
            // Damage falls into the first 200 bytes, where the headers are, or anywhere.
            let reach = if round % 2 == 0 { 200 } else { bad.len() };
            for _ in 0..4 {
                let at = random() as usize % reach.min(bad.len());
                bad[at] = random() as u8;
            }
            if let Ok(recording) = decode(&bad, &short) {
                assert!(recording.source.seconds <= 30.0 && recording.samples.iter().all(|s| s.is_finite()), "{name}");
            }
        }
    }
    for length in [1, 10, 100, 1000, 10_000, 100_000] {
        let noise: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        assert!(decode(&noise, &short).is_err(), "{length} random bytes");
    }
}
