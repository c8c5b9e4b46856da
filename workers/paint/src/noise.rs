//! Noise that depends on its address alone: the same on every machine, in every batch.
//!
//! Generator: Philox4x32-10, Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
//! 1, 2, 3", SC11, 2011. It has no state, so any element can be made in any order. The layout is a
//! promise to whoever paints a picture again with other code:
//!
//! | word | holds |
//! | --- | --- |
//! | key 0, key 1 | the seed's low and high 32 bits |
//! | counter 0 | element index divided by 4 |
//! | counter 1 | step: 0 for the noise a picture starts from, `k` for what is added after call `k` of the model, from 1 |
//! | counter 2 | picture: its index among the pictures of its job, from 0 |
//! | counter 3 | 0 |
//!
//! Elements are numbered as the latents lie in memory: channel, row, column. One block of four
//! words `w` gives the elements `4 b` to `4 b + 3` by the Box-Muller transform, in double precision:
//! `r = sqrt(-2 ln((w0 + 0.5) / 2^32))`, `a = 2 pi w1 / 2^32`, elements `r cos a` and `r sin a`, then
//! the same with `w2` and `w3`; each is then rounded to single precision. Values reach 6.77 sigma.

use std::f64::consts::TAU;

/// Where a block of noise belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoiseKey {
    /// The job's seed.
    pub seed: u64,
    /// Index of the picture in its job.
    pub picture: u32,
    /// 0 for the initial noise, else the number of the model's answers so far.
    pub step: u32,
}

impl NoiseKey {
    /// Fills `out` with independent normal numbers of mean 0 and variance 1.
    ///
    /// A longer slice begins with the numbers of a shorter one.
    pub fn fill(&self, out: &mut [f32]) {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        for (block, four) in out.chunks_mut(4).enumerate() {
            let words = philox4x32_10([block as u32, self.step, self.picture, 0], key);
            let [first, second] = [normal_pair(words[0], words[1]), normal_pair(words[2], words[3])];
            for (value, normal) in four.iter_mut().zip(first.into_iter().chain(second)) {
                *value = normal;
            }
        }
    }

    /// The first `len` numbers, as [`NoiseKey::fill`] makes them.
    #[must_use]
    pub fn normals(&self, len: usize) -> Vec<f32> {
        let mut out = vec![0.0; len];
        self.fill(&mut out);
        out
    }
}

fn normal_pair(radius: u32, angle: u32) -> [f32; 2] {
    const UNIT: f64 = 1.0 / 4_294_967_296.0;
    let radius = (-2.0 * ((f64::from(radius) + 0.5) * UNIT).ln()).sqrt();
    let (sin, cos) = (TAU * (f64::from(angle) * UNIT)).sin_cos();
    [(radius * cos) as f32, (radius * sin) as f32]
}

/// Ten rounds of Philox over four 32-bit words: a bijection of `counter` for every `key`.
#[must_use]
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut a, mut b, mut c, mut d], [mut low, mut high]) = (counter, key);
    for _ in 0..10 {
        let left = u64::from(a) * 0xD251_1F53;
        let right = u64::from(c) * 0xCD9E_8D57;
        (a, b, c, d) = ((right >> 32) as u32 ^ b ^ low, right as u32, (left >> 32) as u32 ^ d ^ high, left as u32);
        low = low.wrapping_add(0x9E37_79B9);
        high = high.wrapping_add(0xBB67_AE85);
    }
    [a, b, c, d]
}
