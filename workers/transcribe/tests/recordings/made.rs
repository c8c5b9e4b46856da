//! Forms that ffmpeg makes on the spot, and files that people joined with `cat`.

use std::path::Path;
use std::process::Command;

use shanshui_transcribe::audio::{Budget, Recording, decode};
use shanshui_transcribe::decoding::Options;

use crate::sentences::assert_says;
use crate::{read, root};

const MOUNTAINS: &str = "Paint high mountains and a river under a full moon.";
const CAT: &str = "A cat sitting under a yellow star.";

/// A recording of `tests/data/speech` in another form.
fn made(folder: &Path, name: &str, settings: &[&str], ending: &str) -> Vec<u8> {
    let to = folder.join(format!("{name}.{ending}"));
    let from = root().join("tests/data/speech").join(format!("{name}.wav"));
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-y", "-i"]).arg(from).args(settings).arg(&to);
    let done = ffmpeg.status().expect("ffmpeg is missing on PATH, and these tests need it: apt-get install ffmpeg");
    assert!(done.success(), "ffmpeg {settings:?} {ending}");
    std::fs::read(to).unwrap()
}

fn hear(name: &str, bytes: &[u8]) -> Recording {
    let recording = decode(bytes, &Budget::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!recording.source.truncated && !recording.source.damaged, "{name}: {:?}", recording.source);
    recording
}

/// (ending, what ffmpeg is told, container, codec)
const FORMS: [(&str, &[&str], &str, &str); 9] = [
    ("w64", &[], "wave", "pcm_s16le"),
    ("w64", &["-c:a", "pcm_f32le"], "wave", "pcm_f32le"),
    ("mp2", &["-b:a", "64k"], "mp2", "mp2"),
    ("wav", &["-c:a", "mp2", "-b:a", "64k"], "mp2", "mp2"),
    ("aiff", &[], "aiff", "pcm_s16be"),
    ("caf", &["-c:a", "pcm_s16le"], "caf", "pcm_s16le"),
    ("mka", &["-c:a", "flac"], "matroska", "flac"),
    ("m4a", &["-c:a", "alac"], "isomp4", "alac"),
    ("oga", &["-c:a", "flac"], "ogg", "flac"),
];

#[test]
fn rarer_forms_are_heard() {
    let folder = tempfile::tempdir().unwrap();
    for (ending, settings, container, codec) in FORMS {
        let recording = hear(ending, &made(folder.path(), "mountains", settings, ending));
        let source = &recording.source;
        assert_eq!((source.container.as_str(), source.codec.as_str()), (container, codec), "{ending} {settings:?}");
        let (transcript, _) = read(ending, &recording, &Options::default());
        assert_says(ending, &transcript.text, &[MOUNTAINS]);
    }
}

/// As Audacity writes it.
#[test]
fn a_second_wav_behind_a_first_with_a_chunk_of_tags_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["mountains", "cat"].map(|name| made(folder.path(), name, &["-bitexact"], "wav"));
    let tags = b"LIST\x0a\0\0\0INFOISFT\0\0id3 \x02\0\0\0\0\0";
    let recording = hear("tagged", &[&first, tags.as_slice(), &second].concat());
    assert_eq!(recording.source.parts, 2);
    let (transcript, _) = read("tagged", &recording, &Options::default());
    assert_says("tagged", &transcript.text, &[MOUNTAINS, CAT]);
}

#[test]
fn files_that_were_joined_are_heard_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    for (ending, settings) in [
        ("flac", &[][..]),
        ("wav", &[]),
        ("w64", &[]),
        ("aiff", &[]),
        ("caf", &["-c:a", "pcm_s16le"]),
        ("mka", &["-c:a", "flac"]),
        ("mp2", &["-b:a", "64k"]),
        ("mp4", &["-c:a", "aac", "-b:a", "64k"]),
        ("m4a", &["-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart"]),
    ] {
        let [first, second] = ["mountains", "cat"].map(|name| made(folder.path(), name, settings, ending));
        let recording = hear(ending, &[first, second].concat());
        let (transcript, _) = read(ending, &recording, &Options::default());
        assert_says(ending, &transcript.text, &[MOUNTAINS, CAT]);
    }
}
