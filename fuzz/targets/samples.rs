//! Samples of any value, as a float recording may hold them: NaN, infinities, beyond full scale. What
//! the decoder makes of them goes through the gate and the log-mel.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shanshui_transcribe::audio::{Budget, decode};
use shanshui_transcribe::{gate, mel::Mel};

static MEL: LazyLock<Mel> = LazyLock::new(|| Mel::new(80));

fuzz_target!(|data: &[u8]| {
    let Ok(recording) = decode(&file(data), &Budget::default()) else { return };
    assert!(recording.samples.iter().all(|sample| sample.abs() <= 1.0));
    let _ = gate::signal(&recording.samples);
    let mel = MEL.spectrogram(&recording.samples);
    assert!(mel.window(0, 100).iter().all(|value| value.is_finite()));
});

/// A WAV file of 32-bit floats, mono, at the rate that Whisper hears.
fn file(samples: &[u8]) -> Vec<u8> {
    let size = samples.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + size).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x03\0\x01\0\x80\x3e\0\0\0\xfa\0\0\x04\0\x20\0data");
    file.extend(size.to_le_bytes());
    file.extend(samples);
    file
}
