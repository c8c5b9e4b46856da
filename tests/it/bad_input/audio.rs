//! Recordings that are none.

use serde_json::json;

use super::{Bad, all_are_buried};
use shanshui_tests::{Job, recording, shared};

fn raw(what: &'static str, payload: Vec<u8>, names: &'static [&'static str]) -> Bad {
    Bad::raw(what, "audio", payload, names)
}

/// A WAV header (RIFF, 16-bit PCM) that may lie, and the samples behind it.
fn wav(channels: u16, rate: u32, bits: u16, claimed: u32, samples: &[u8]) -> Vec<u8> {
    let block = channels.saturating_mul(bits / 8);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend(claimed.saturating_add(36).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(u32::from(block)).to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(claimed.to_le_bytes());
    bytes.extend(samples);
    bytes
}

#[tokio::test]
async fn s03_recordings_that_cannot_be_read_are_buried() {
    let second = vec![0; 32_000];
    let mut cut = recording("cat.wav");
    cut.truncate(30);
    all_are_buried(vec![
        raw("nothing", Vec::new(), &["audio", "0 bytes"]),
        raw("no sample", wav(1, 16_000, 16, 0, &[]), &["audio", "empty"]),
        raw("no container", b"this is not a recording of anything at all".to_vec(), &["audio"]),
        raw("a header cut short", cut, &["audio"]),
        raw("no channel", wav(0, 16_000, 16, 32_000, &second), &["audio"]),
        raw("65,535 channels", wav(65_535, 16_000, 16, 32_000, &second), &["audio"]),
        raw("no rate", wav(1, 0, 16, 32_000, &second), &["audio"]),
        raw("a rate of four gigahertz", wav(1, u32::MAX, 16, 32_000, &second), &["audio"]),
        raw("33 bits", wav(1, 16_000, 33, 32_000, &second), &["audio"]),
    ])
    .await;
}

#[tokio::test]
async fn s06_ten_hours_and_headers_that_ask_for_gigabytes_are_buried() {
    // Bytes 21 to 25 of a FLAC file count its samples, at 8 kHz here.
    let mut hours = std::fs::read(data("bomb.flac")).expect("a recording");
    let rate = u64::from(u32::from_be_bytes([0, hours[18], hours[19], hours[20]]) >> 4);
    let count = (36_000 * rate).to_be_bytes();
    hours[21] = hours[21] & 0xf0 | count[3];
    hours[22..26].copy_from_slice(&count[4..]);
    let huge = b"\0\0\0\x10ftypM4A \0\0\0\0\0\0\0\x01moov\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec();
    let tag = b"ID3\x04\0\0\0\0\0\x17TXXX\0\0\0\x0d\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec();
    all_are_buried(vec![
        raw("ten hours", hours, &["audio.seconds", "36000", "1800"]),
        raw("a box of exabytes", huge, &["audio"]),
        raw("a tag that broke a decoder", tag, &["audio"]),
    ])
    .await;
}

fn data(name: &str) -> std::path::PathBuf {
    shanshui_tests::root().join("tests/data/audio").join(name)
}

#[tokio::test]
async fn s10_jobs_that_name_no_recording_are_buried() {
    let job =
        |what, audio: serde_json::Value, names| Bad::json(what, "audio", json!({ "audio": audio }).to_string(), names);
    all_are_buried(vec![
        Bad::json("no audio", "audio", "{}", &["audio", "missing"]),
        job("neither way", json!({}), &["audio", "neither"]),
        job("both ways", json!({ "key": "audio/a", "bytes": "AAAA" }), &["audio", "one of the two"]),
        job("a way out of audio/", json!({ "key": "audio/../jobs/a/receipt.json" }), &["audio.key"]),
        job("another object", json!({ "key": "jobs/a/receipt.json" }), &["audio.key"]),
        job("an address", json!({ "key": "http://169.254.169.254/latest" }), &["audio.key"]),
        job("a hash that is none", json!({ "key": "audio/a", "sha256": "abc" }), &["audio.sha256", "abc"]),
        job("no base64", json!({ "bytes": "***" }), &["audio.bytes"]),
    ])
    .await;
}

#[tokio::test]
async fn s05_too_little_to_hear_is_no_speech_and_a_lying_length_is_forgiven() {
    let client = shared().client().await;
    let quiet = [
        ("one sample", wav(1, 16_000, 16, 2, &[1, 0])),
        ("99 ms", wav(1, 16_000, 16, 3168, &[0; 3168])),
        ("four gigabytes claimed, one second there", wav(1, 16_000, 16, u32::MAX, &[0; 32_000])),
    ];
    for (what, payload) in quiet {
        let story = client.publish_and_follow(&Job::new("little"), "audio", payload).await;
        assert_eq!(story.finals(), ["no-speech"], "{what}: {:#?}", story.told());
    }
}
