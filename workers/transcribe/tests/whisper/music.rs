//! Music without a voice: a made-up tune of plucked strings, with and without drums.

use std::f32::consts::TAU;

use shanshui_transcribe::decoding::{Options, Verdict};

use super::{base, transcribe};

const RATE: f32 = 16_000.0;
/// Seconds of a beat.
const BEAT: f32 = 0.4;
/// Four chords of a beat each, as semitones from A (110 Hz): C, G, A minor, F.
const CHORDS: [[i32; 4]; 4] = [[3, 7, 10, 15], [-2, 5, 10, 14], [0, 7, 12, 15], [-4, 3, 8, 12]];

/// A plucked string (Karplus and Strong, 1983): a burst of noise that goes round in a delay line
/// of one period and loses its high notes there.
fn pluck(out: &mut [f32], semitone: i32, noise: &mut impl FnMut() -> f32) {
    let period = (RATE / (110.0 * 2f32.powf(semitone as f32 / 12.0))) as usize;
    let mut line: Vec<f32> = (0..period).map(|_| noise()).collect();
    for (n, sample) in out.iter_mut().enumerate() {
        let (at, next) = (n % period, (n + 1) % period);
        *sample += 0.15 * line[at];
        line[at] = 0.498 * (line[at] + line[next]);
    }
}

/// A drum on each beat: a falling sine, or noise.
fn strike(out: &mut [f32], deep: bool, noise: &mut impl FnMut() -> f32) {
    for (n, sample) in out.iter_mut().enumerate() {
        let time = n as f32 / RATE;
        let sound = if deep { (TAU * 60.0 * (1.0 - (-20.0 * time).exp()) / 4.0).sin() } else { noise() };
        *sample += 0.3 * sound * (-25.0 * time).exp();
    }
}

fn tune(beats: usize, drums: bool) -> Vec<f32> {
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let beat = (BEAT * RATE) as usize;
    let mut out = vec![0.0; beat * (beats + 4)];
    for at in 0..beats {
        let chord = CHORDS[at / 4 % 4];
        let rest = &mut out[at * beat..];
        if at % 4 == 0 {
            chord.iter().for_each(|note| pluck(rest, *note, &mut noise));
        }
        pluck(rest, chord[[0, 2, 1, 3][at % 4]] + 12, &mut noise);
        pluck(&mut rest[beat / 2..], chord[(at * 3) % 4] + 24, &mut noise);
        if drums {
            strike(rest, at % 2 == 0, &mut noise);
        }
    }
    out.iter().map(|sample| sample.tanh()).collect()
}

#[test]
fn s07_music_ends_without_words() {
    for (beats, drums) in [(16, false), (16, true), (60, false), (60, true)] {
        let transcript = transcribe(base(), &tune(beats, drums), &Options::default());
        assert!(matches!(transcript.verdict(), Verdict::NoSpeech(_)), "{beats} beats, drums {drums}: {transcript:?}");
    }
}
