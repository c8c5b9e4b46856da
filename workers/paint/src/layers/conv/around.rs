//! What is done around a convolution.

use std::sync::Arc;

use candle_core::Tensor;
use shanshui_kernels::{
    Kernels, floats,
    floats::{Prepare, Product},
};

use crate::layers::{
    bands::{Band, Cut, prepare},
    map::{Map, Plain, with_floats},
    norm::GroupNorm,
};

/// What is done around a convolution, in this order.
#[derive(Clone, Default)]
pub struct Around<'a> {
    /// Comes first.
    pub norm: Option<&'a GroupNorm>,
    /// Enlarges the map to this height and width.
    pub sides: Option<[usize; 2]>,
    /// (batch, outputs), added to every pixel.
    pub extra: Option<&'a Tensor>,
    /// A residual. One that nobody else holds becomes the result.
    pub add: Option<Map>,
    /// Cuts what is below zero.
    pub relu: bool,
}

impl Around<'_> {
    /// Runs a product for one band of the map after the other, with what is done before and behind it. The
    /// result has so many lines for each place of a window.
    pub(super) fn in_bands(
        self,
        kernels: Kernels,
        (x, cut): (&Plain, Cut),
        (grid, lines): (floats::Grid, usize),
        run: impl Fn((&[f32], floats::Grid), Prepare<'_>, &Band, Product<'_>, &mut [f32]),
    ) -> candle_core::Result<Plain> {
        let silu = self.norm.is_some_and(GroupNorm::silu);
        let affine = self.norm.map(|norm| norm.affine(kernels, x));
        self.product(grid, |then, out| {
            for band in cut.bands() {
                let affine = affine.as_ref().map(|affine| affine.pictures(band.pictures.clone()));
                let result = band.result(lines, grid);
                let then = band.then(then, &result, grid.channels);
                run(band.of(x.parts()), prepare(affine.as_ref(), silu), &band, then, &mut out[result]);
            }
        })
    }

    /// The same at once, for a map that is enlarged on its way in: then it has other lines than its source.
    pub(super) fn whole(
        self,
        kernels: Kernels,
        x: &Plain,
        grid: floats::Grid,
        run: impl FnOnce(Prepare<'_>, Product<'_>, &mut [f32]),
    ) -> candle_core::Result<Plain> {
        let silu = self.norm.is_some_and(GroupNorm::silu);
        let affine = self.norm.map(|norm| norm.affine(kernels, x));
        self.product(grid, |then, out| run(prepare(affine.as_ref(), silu), then, out))
    }

    /// Calls a product with what is done behind it, and with the place for its result.
    fn product(self, grid: floats::Grid, run: impl FnOnce(Product<'_>, &mut [f32])) -> candle_core::Result<Plain> {
        let residual = match self.add {
            Some(Map::Plain(map)) => Some(Arc::try_unwrap(map)),
            _ => None,
        };
        let (mut out, shared, onto) = match residual {
            Some(Ok(map)) if map.grid == grid => (map, None, true),
            Some(Ok(map)) => candle_core::bail!("a residual of {:?} for {grid:?}", map.grid),
            Some(Err(shared)) => (Plain::new(grid), Some(shared), false),
            None => (Plain::new(grid), None, false),
        };
        let add = shared.as_ref().map(|map| &map.values[..]);
        let then = Product { extra: None, add, onto, relu: self.relu };
        match self.extra {
            Some(extra) => with_floats(extra, |extra| run(Product { extra: Some(extra), ..then }, &mut out.values))?,
            None => run(then, &mut out.values),
        }
        Ok(out)
    }
}
