//! A recording of any container: probing, decoding, trimming, resampling, the gate.
//!
//! The budget is a minute instead of half an hour, so that a bomb, which the product lets run for
//! seconds, does not look like a hang here.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shanshui_transcribe::audio::{AudioError, Budget, decode};
use shanshui_transcribe::gate;

const BUDGET: Budget = Budget { max_seconds: 60.0, max_samples: 60 * 48_000 * 2 };

fuzz_target!(init: shanshui_fuzz::contain(&["symphonia", "ropus"]), |data: &[u8]| {
    match decode(data, &BUDGET) {
        Ok(recording) => {
            assert!(!recording.samples.is_empty() && recording.source.seconds <= BUDGET.max_seconds + 0.001);
            assert!(recording.samples.iter().all(|sample| sample.is_finite()));
            let _ = gate::signal(&recording.samples);
        }
        Err(error @ AudioError::Resample(_)) => panic!("{error}"),
        Err(_) => {}
    }
});
