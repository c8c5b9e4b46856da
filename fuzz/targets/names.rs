//! Ids, keys and names from outside: none may lead out of its folder, subject or line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use shanshui_paint::sampler::SamplerKind;
use shanshui_pipeline::job::{AudioJob, AudioSource, JobId};
use shanshui_pipeline::queue::Names;
use shanshui_pipeline::store::ObjectKey;
use shanshui_pipeline::wire::{self, JSON};
use shanshui_transcribe::whisper::find_language;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    match JobId::parse("id", &text) {
        Ok(id) => keys(&id),
        Err(error) => assert!(!error.to_string().contains(['\r', '\n'])),
    }
    stored(&text);
    let _ = find_language(&text);
    let _ = text.parse::<SamplerKind>();
});

fn keys(id: &JobId) {
    let picture = ObjectKey::Picture { job: id, index: 0, extension: "png" };
    for key in [
        ObjectKey::Audio(id),
        ObjectKey::Transcript(id),
        picture,
        ObjectKey::Receipt(id),
        ObjectKey::End { job: id, run: 1 },
    ] {
        plain(&key.path());
    }
    let names = Names::new("shanshui");
    assert_eq!(names.event(id, "done").split('.').count(), 4);
    assert_eq!(names.cancel(id.as_str()).split('.').count(), 3);
}

fn stored(key: &str) {
    let payload = json!({ "audio": { "key": key } }).to_string();
    let job = wire::decode::<AudioJob>(Some(JSON), payload.into());
    if let Ok(AudioJob { audio: AudioSource::Stored { key, .. }, .. }) = job {
        assert!(!key.starts_with('/') && !key.chars().any(char::is_control), "{key:?}");
        assert!(key.split('/').all(|part| !matches!(part, "." | "..")), "{key:?}");
    }
}

fn plain(path: &str) {
    assert!(path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte)), "{path:?}");
    assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
}
