//! What only `ffmpeg` reads, with the real one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use shanshui_transcribe::audio::{AudioError, Budget, DecodeError, Ffmpeg, Recording, decode_with};
use shanshui_transcribe::decoding::Options;

use crate::sentences::{FOX, OWL, TRAIN, assert_says};
use crate::{bytes, read};

fn ffmpeg() -> Ffmpeg {
    let found = Ffmpeg::find("auto").unwrap();
    found.expect("ffmpeg is missing on PATH, and these tests need it: apt-get install ffmpeg")
}

fn hear_with_it(bytes: &[u8]) -> Result<Recording, DecodeError> {
    decode_with(bytes, &Budget::default(), Some(&ffmpeg()))
}

#[test]
fn telephone_codecs_and_speex_are_heard_through_ffmpeg() {
    for (name, container, codec, sentence) in [
        ("voicemail-gsm.wav", "wave", "GSM 6.10", TRAIN),
        ("voice.3gp", "isomp4", "AMR narrow band", OWL),
        ("voice.amr", "amr", "AMR narrow band", OWL),
        ("speex.ogg", "ogg", "Speex", FOX),
    ] {
        let recording = hear_with_it(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let source = &recording.source;
        assert_eq!((source.container.as_str(), source.codec.as_str()), (container, codec));
        assert_eq!(source.decoder.as_deref(), Some("ffmpeg"));
        assert!(!source.damaged && !source.truncated, "{name}: {source:?}");
        let (transcript, _) = read(name, &recording, &Options::default());
        assert_says(name, &transcript.text, &[sentence]);
    }
}

#[test]
fn what_even_ffmpeg_cannot_read_is_refused_once_with_its_reason() {
    let broken = [b"#!AMR\n".as_slice(), &[0xff; 500]].concat();
    let DecodeError::Recording(error) = hear_with_it(&broken).unwrap_err() else { panic!("the recording is to blame") };
    assert!(matches!(&error, AudioError::Foreign { container: "amr", reason, .. } if !reason.is_empty()), "{error}");
    let text = hear_with_it(b"hello, this is a text and no sound").unwrap_err();
    assert!(matches!(text, DecodeError::Recording(AudioError::UnknownContainer)), "{text}");
}

#[test]
fn a_playlist_opens_nothing() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(&secret, bytes("voice.amr")).unwrap();
    for list in [
        format!("ffconcat version 1.0\nfile {}\n", secret.path().display()),
        format!("ffconcat version 1.0\nfile 'file:{}'\n", secret.path().display()),
        "\n#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n".to_owned(),
    ] {
        let error = hear_with_it(list.as_bytes()).unwrap_err();
        assert!(matches!(error, DecodeError::Recording(_)), "{list}: {error}");
    }
}

#[test]
fn a_longer_recording_than_the_budget_is_refused_and_not_shortened() {
    let budget = Budget { max_seconds: 1.0, ..Budget::default() };
    let error = decode_with(&bytes("voice.amr"), &budget, Some(&ffmpeg())).unwrap_err();
    assert!(matches!(error, DecodeError::Recording(AudioError::TooLong { max: 1.0, .. })), "{error}");
}

/// A program that reads nothing, writes nothing and never ends; or asks for all memory.
fn program(folder: &std::path::Path, name: &str, script: &str) -> Ffmpeg {
    let path = folder.join(name);
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Ffmpeg::find(path.to_str().unwrap()).unwrap().unwrap()
}

#[test]
fn time_memory_and_files_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let budget = Budget { max_seconds: -580.0, ..Budget::default() };
    let endless = program(folder.path(), "endless", "#!/bin/sh\nwhile :; do :; done\n");
    let start = Instant::now();
    let error = decode_with(&bytes("voice.amr"), &budget, Some(&endless)).unwrap_err();
    assert!(start.elapsed().as_secs() < 20, "{error}");
    assert!(
        matches!(&error, DecodeError::Recording(AudioError::Foreign { reason, .. }) if reason.contains("longer")),
        "{error}"
    );

    let kept = folder.path().join("kept");
    let script = format!("#!/bin/sh\necho secret > {}\n", kept.display());
    let writer = program(folder.path(), "writer", &script);
    let error = decode_with(&bytes("voice.amr"), &Budget::default(), Some(&writer)).unwrap_err();
    assert!(!kept.exists() || fs::read(&kept).unwrap().is_empty(), "{error}");

    let limits = "#!/bin/sh\necho memory $(ulimit -v), files $(ulimit -f), variables $(env | grep -c SHANSHUI) >&2\n";
    let teller = program(folder.path(), "teller", limits);
    let error = decode_with(&bytes("voice.amr"), &Budget::default(), Some(&teller)).unwrap_err();
    assert!(error.to_string().contains("memory 1048576, files 0, variables 0"), "{error}");
    // It doubles a text until nothing is left.
    let greedy = "#!/bin/sh\nx=0123456789abcdef\nwhile :; do x=$x$x; done\n";
    let greedy = program(folder.path(), "greedy", greedy);
    let error = decode_with(&bytes("voice.amr"), &Budget::default(), Some(&greedy)).unwrap_err();
    assert!(matches!(&error, DecodeError::Recording(AudioError::Foreign { .. })), "{error}");
}

#[test]
fn a_program_that_cannot_start_is_the_workers_fault() {
    let folder = tempfile::tempdir().unwrap();
    let broken = program(folder.path(), "broken", "#!/nonexistent/interpreter\n");
    let error = decode_with(&bytes("voice.amr"), &Budget::default(), Some(&broken)).unwrap_err();
    assert!(matches!(error, DecodeError::Worker(_)), "{error}");
}

#[test]
fn the_setting_names_a_program_or_none() {
    assert_eq!(Ffmpeg::find("off").unwrap(), None);
    let error = Ffmpeg::find("/nowhere/ffmpeg").unwrap_err().to_string();
    assert_eq!(error, "ffmpeg: \"/nowhere/ffmpeg\" is not allowed; allowed: auto, off, the path of an ffmpeg");
}
