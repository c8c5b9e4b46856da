//! The statistics of a group norm (Wu and He, arXiv:1803.08494).

use rayon::prelude::*;

use super::Grid;
use crate::{
    isa::{Isa, Work, dispatch},
    path::Kernels,
    quantised::Norm,
};

/// A factor and an offset for each channel of each picture.
#[derive(Debug, Clone)]
pub struct Affine {
    channels: usize,
    scale: Vec<f32>,
    offset: Vec<f32>,
}

/// Pixels whose sums are added up in f32 before they join the others in f64.
const PIXELS: usize = 32;

/// Pixels of a piece of work.
const PIECE: usize = 64 * PIXELS;

impl Affine {
    /// Those of some of the pictures.
    #[must_use]
    pub fn pictures(&self, pictures: std::ops::Range<usize>) -> Self {
        let place = pictures.start * self.channels..pictures.end * self.channels;
        let part = |values: &[f32]| values[place.clone()].to_vec();
        Self { channels: self.channels, scale: part(&self.scale), offset: part(&self.offset) }
    }

    #[inline(always)]
    pub(crate) fn of(&self, picture: usize, channels: usize) -> (&[f32], &[f32]) {
        assert_eq!(channels, self.channels, "channels of a norm");
        let place = picture * channels..(picture + 1) * channels;
        (&self.scale[place.clone()], &self.offset[place])
    }
}

impl Kernels {
    /// The group norm of a map, as a factor and an offset for each of its channels.
    ///
    /// # Panics
    /// If the sizes do not fit, or the channels do not divide into groups.
    #[must_use]
    pub fn group_norm(self, (source, grid): (&[f32], Grid), groups: usize, norm: &Norm) -> Affine {
        let channels = grid.channels;
        assert_eq!((source.len(), norm.weight.len(), channels % groups), (grid.len(), channels, 0), "a group norm");
        let picture = grid.height * grid.width * channels;
        let mut affine = Affine { channels, scale: Vec::new(), offset: Vec::new() };
        for source in source.chunks_exact(picture.max(1)) {
            let pieces = source.par_chunks(PIECE * channels);
            let sums: Vec<Vec<[f64; 2]>> =
                pieces.map(|source| dispatch(self.path(), Sums { source, channels })).collect();
            affine.push(&sums, grid, groups, norm);
        }
        affine
    }
}

impl Affine {
    /// The next picture, from the sums and the sums of squares of its pieces.
    fn push(&mut self, sums: &[Vec<[f64; 2]>], grid: Grid, groups: usize, norm: &Norm) {
        let per_group = self.channels / groups;
        let count = (grid.height * grid.width * per_group) as f64;
        for group in 0..groups {
            let channels = group * per_group..(group + 1) * per_group;
            let all = sums.iter().flat_map(|piece| &piece[channels.clone()]);
            let [sum, squares] = all.fold([0.0; 2], |[sum, squares], add| [sum + add[0], squares + add[1]]);
            let mean = sum / count;
            let variance = (squares / count - mean * mean).max(0.0);
            let inverse = (variance + f64::from(norm.epsilon)).sqrt().recip();
            for channel in channels {
                let scale = f64::from(norm.weight[channel]) * inverse;
                self.scale.push(scale as f32);
                self.offset.push((f64::from(norm.bias[channel]) - mean * scale) as f32);
            }
        }
    }
}

/// The sum and the sum of squares of each channel.
struct Sums<'a> {
    source: &'a [f32],
    channels: usize,
}

impl Work for Sums<'_> {
    type Output = Vec<[f64; 2]>;

    #[inline(always)]
    fn run<I: Isa>(self, _: I) -> Self::Output {
        let mut totals = vec![[0.0; 2]; self.channels];
        let (mut sums, mut squares) = (vec![0f32; self.channels], vec![0f32; self.channels]);
        for pixels in self.source.chunks(PIXELS * self.channels) {
            sums.fill(0.0);
            squares.fill(0.0);
            for pixel in pixels.chunks_exact(self.channels) {
                for ((value, sum), square) in pixel.iter().zip(&mut sums).zip(&mut squares) {
                    *sum += value;
                    *square = I::mul_add(*value, *value, *square);
                }
            }
            for ((total, sum), square) in totals.iter_mut().zip(&sums).zip(&squares) {
                total[0] += f64::from(*sum);
                total[1] += f64::from(*square);
            }
        }
        totals
    }
}
