//! `transcript.json` of an earlier attempt, as it lies in a bucket that others may write into.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shanshui_pipeline::job::TextJob;
use shanshui_pipeline::store::Stored;
use shanshui_pipeline::wire;
use shanshui_transcribe::record::Said;

fuzz_target!(|data: &[u8]| {
    let stored = Stored { key: "jobs/a/transcript.json".into(), sha256: String::new(), bytes: 0, existed: true };
    let Ok(said) = Said::read(data, stored) else { return };
    let wishes = said.read_wishes();
    let _ = serde_json::to_vec(&said.event(1.0, Some(&wishes)));
    let _ = said.made(Some("audio/a"), Some(&wishes));
    let job = TextJob { text: said.text, meta: Default::default() };
    let (content_type, payload) = wire::encode(&job);
    // A text that is empty or too long is refused at the next stage, never a panic.
    let _ = wire::decode::<TextJob>(Some(content_type), payload);
});
