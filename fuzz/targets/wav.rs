//! WAV headers of any meaning around any samples: rates, channels, widths, sizes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shanshui_transcribe::audio::{AudioError, Budget, decode};

const BUDGET: Budget = Budget { max_seconds: 60.0, max_samples: 60 * 48_000 * 2 };

fuzz_target!(init: shanshui_fuzz::contain(&["symphonia"]), |data: &[u8]| {
    let Some((head, samples)) = data.split_at_checked(20) else { return };
    match decode(&file(head, samples), &BUDGET) {
        Ok(recording) => assert!(recording.samples.iter().all(|sample| sample.abs() <= 2.0)),
        Err(error @ AudioError::Resample(_)) => panic!("{error}"),
        Err(_) => {}
    }
});

/// `head`: the 16 bytes of the format chunk, then the declared size of the data.
fn file(head: &[u8], samples: &[u8]) -> Vec<u8> {
    let mut file = b"RIFF".to_vec();
    file.extend((36 + samples.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend(&head[..16]);
    file.extend(b"data");
    file.extend(&head[16..]);
    file.extend(samples);
    file
}
