//! The noise generator: published vectors, its own layout, and that it is normal.

use shanshui_paint::noise::{NoiseKey, philox4x32_10};

#[test]
fn philox_gives_the_known_answers_of_the_random123_distribution() {
    let ones = u32::MAX;
    for (counter, key, answer) in [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([ones; 4], [ones; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ] {
        assert_eq!(philox4x32_10(counter, key), answer);
    }
}

#[test]
fn the_layout_of_key_and_counter_is_as_documented() {
    let key = NoiseKey { seed: 0x299f_31d0_a409_3822, picture: 0x1319_8a2e, step: 0x85a3_08d3 };
    let normals = key.normals(12);
    for (block, four) in normals.chunks(4).enumerate() {
        let words = philox4x32_10([block as u32, 0x85a3_08d3, 0x1319_8a2e, 0], [0xa409_3822, 0x299f_31d0]);
        for (pair, words) in four.chunks(2).zip(words.chunks(2)) {
            let radius = (-2.0 * ((f64::from(words[0]) + 0.5) / 2f64.powi(32)).ln()).sqrt();
            let angle = std::f64::consts::TAU * f64::from(words[1]) / 2f64.powi(32);
            assert!((f64::from(pair[0]) - radius * angle.cos()).abs() < 1e-6);
            assert!((f64::from(pair[1]) - radius * angle.sin()).abs() < 1e-6);
        }
    }
}

/// Made once by a separate implementation in Python from the module's description.
#[test]
fn the_first_numbers_of_seed_42_never_change() {
    let normals = NoiseKey { seed: 42, picture: 1, step: 3 }.normals(5);
    for (ours, fixed) in normals.iter().zip(SEED_42) {
        assert!((ours - fixed).abs() < 1e-6, "{normals:?}");
    }
}

const SEED_42: [f32; 5] = [-0.311_337_7, -0.706_102_8, 0.509_457, -0.864_052_1, -1.924_903];

#[test]
fn a_longer_request_begins_with_the_shorter_one_at_any_length() {
    let key = NoiseKey { seed: 7, picture: 0, step: 0 };
    let long = key.normals(1003);
    for len in [0, 1, 2, 3, 4, 5, 1001] {
        assert_eq!(key.normals(len), long[..len]);
    }
}

#[test]
fn the_numbers_are_normal_and_other_addresses_give_unrelated_ones() {
    let key = NoiseKey { seed: 1, picture: 0, step: 0 };
    let base = key.normals(65_536);
    let n = base.len() as f64;
    let moment = |power: i32| base.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / n;
    // Five standard errors of each moment's estimate.
    assert!(moment(1).abs() < 5.0 * (1.0 / n).sqrt());
    assert!((moment(2) - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
    assert!(moment(3).abs() < 5.0 * (15.0 / n).sqrt());
    assert!((moment(4) - 3.0).abs() < 5.0 * (96.0 / n).sqrt());
    for other in [
        NoiseKey { seed: 2, ..key },
        NoiseKey { seed: 1 | 1 << 32, ..key },
        NoiseKey { picture: 1, ..key },
        NoiseKey { step: 1, ..key },
    ] {
        let product: f64 = base.iter().zip(other.normals(base.len())).map(|(a, b)| f64::from(a * b)).sum();
        assert!((product / n).abs() < 5.0 / n.sqrt(), "{other:?} is correlated");
    }
}
