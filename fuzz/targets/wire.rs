//! A job from outside, in all three forms; what is taken must survive being written again.
#![no_main]

use std::fmt::Debug;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use shanshui_pipeline::Job;
use shanshui_pipeline::job::{AudioJob, TextJob};
use shanshui_pipeline::wire::{self, JSON, MSGPACK};

const TYPES: [Option<&str>; 5] = [None, Some(JSON), Some(MSGPACK), Some("text/plain"), Some("audio/ogg; codecs=opus")];

fuzz_target!(|data: &[u8]| {
    let Some((first, payload)) = data.split_first() else { return };
    let content_type = TYPES[usize::from(*first) % TYPES.len()];
    if let wire::Name::Wrong(error) = wire::name(content_type, payload) {
        assert!(!error.to_string().contains(['\r', '\n']), "{error}");
    }
    again::<AudioJob>(content_type, payload);
    again::<TextJob>(content_type, payload);
});

fn again<J: Job + Debug + PartialEq>(content_type: Option<&str>, payload: &[u8]) {
    let mut job = match wire::decode::<J>(content_type, Bytes::copy_from_slice(payload)) {
        Ok(job) => job,
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 2000 && !text.contains(['\r', '\n']), "{text:?}");
            return;
        }
    };
    let (content_type, payload) = wire::encode(&job);
    let mut again: J = wire::decode(Some(content_type), payload).unwrap_or_else(|error| panic!("{error}"));
    // Fields that we do not know may change their form: JSON has no NaN and no binary.
    for job in [&mut job, &mut again] {
        job.meta_mut().extra.clear();
        job.meta_mut().picture.extra.clear();
    }
    assert_eq!(job, again);
}
