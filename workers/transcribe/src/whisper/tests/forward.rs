//! The caches and the batch change the time that a step takes, and nothing else.

use candle_core::Tensor;

use super::{floats, formats::window};

fn assert_same(a: &Tensor, b: &Tensor) {
    let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
    assert!(difference.to_scalar::<f32>().unwrap() < 1e-4);
}

#[test]
fn token_by_token_gives_the_states_of_all_tokens_at_once() {
    let whisper = floats();
    let heard = whisper.encode(&window()).unwrap();
    let tokens = [11, 13, 14, 2, 7, 7, 25];
    let all = whisper.decoder.forward(&tokens, &heard, &mut whisper.decoder.start(1).unwrap()).unwrap();
    let mut written = whisper.decoder.start(1).unwrap();
    for (at, token) in tokens.iter().enumerate() {
        let state = whisper.decoder.forward(&[*token], &heard, &mut written).unwrap();
        assert_same(&state, &all.narrow(0, at, 1).unwrap());
    }
    assert_eq!(written.length(), tokens.len());
}

#[test]
fn two_hypotheses_in_one_batch_do_not_see_each_other() {
    let whisper = floats();
    let heard = whisper.encode(&window()).unwrap();
    let (first, second) = ([11, 12, 15, 1, 2], [11, 13, 14, 9, 8]);
    let mut written = whisper.decoder.start(2).unwrap();
    whisper.decoder.forward(&[first, second].concat(), &heard, &mut written).unwrap();
    let both = whisper.decoder.forward(&[3, 4], &heard, &mut written).unwrap();
    for (row, (tokens, next)) in [(first, 3), (second, 4)].into_iter().enumerate() {
        let alone: Vec<u32> = tokens.into_iter().chain([next]).collect();
        let states = whisper.decoder.forward(&alone, &heard, &mut whisper.decoder.start(1).unwrap()).unwrap();
        assert_same(&both.narrow(0, row, 1).unwrap(), &states.narrow(0, 5, 1).unwrap());
    }
}
