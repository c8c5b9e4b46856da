//! `transcript.json` of an earlier attempt, as it lies in a bucket that others may write into.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shanshui_pipeline::job::{Common, TextJob};
use shanshui_pipeline::store::Stored;
use shanshui_pipeline::wire;
use shanshui_transcribe::record::Said;

fuzz_target!(|data: &[u8]| {
    let stored = Stored { key: "jobs/a/transcript.json".into(), sha256: String::new(), bytes: 0, existed: true };
    let Ok(said) = Said::read(data, stored) else { return };
    let job = said.into_job(Some("audio/a"), Common::default());
    let (content_type, payload) = wire::encode(&job);
    // A text that is empty or too long is refused at the next stage, never a panic.
    let _ = wire::decode::<TextJob>(Some(content_type), payload);
});
