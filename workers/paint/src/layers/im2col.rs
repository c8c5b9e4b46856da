//! Patches as columns, and columns back to pictures, for f32 on a CPU.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor};

use super::elementwise::{elements, for_rows};

/// A square window that slides over a zero-padded picture.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Side.
    pub kernel: usize,
    /// Pixels from one place to the next.
    pub stride: usize,
    /// Zeros above and to the left.
    pub before: usize,
    /// Zeros below and to the right.
    pub after: usize,
}

impl Window {
    /// Places along a side of `size` pixels.
    pub fn outputs(&self, size: usize) -> usize {
        (size + self.before + self.after).saturating_sub(self.kernel) / self.stride + 1
    }
}

/// (batch, channels, height, width) to (channels · kernel², batch · rows · width'), for some output rows.
pub(super) struct Im2Col {
    pub(super) window: Window,
    pub(super) rows: Range<usize>,
}

impl CustomOp1 for Im2Col {
    fn name(&self) -> &'static str {
        "im2col"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let picture = elements(storage, layout)?;
        let (batch, channels, height, width) = layout.shape().dims4()?;
        let (kernel, wide) = (self.window.kernel, self.window.outputs(width));
        let (depth, columns) = (channels * kernel * kernel, batch * self.rows.len() * wide);
        let mut out = vec![0.0; depth * columns];
        for_rows(&mut out, columns, |index, line| {
            let (channel, tap) = (index / (kernel * kernel), index % (kernel * kernel));
            let (down, right) = (tap / kernel, tap % kernel);
            for (item, part) in line.chunks_exact_mut(self.rows.len() * wide).enumerate() {
                let plane = &picture[(item * channels + channel) * height * width..][..height * width];
                for (row, target) in self.rows.clone().zip(part.chunks_exact_mut(wide)) {
                    let y = (row * self.window.stride + down).checked_sub(self.window.before);
                    let source = y.filter(|y| *y < height).map(|y| &plane[y * width..][..width]);
                    source.into_iter().for_each(|source| self.row(source, target, right));
                }
            }
        });
        Ok((CpuStorage::F32(out), (depth, columns).into()))
    }
}

impl Im2Col {
    /// One row of the picture as the tap `right` sees it; what lies outside stays zero.
    fn row(&self, source: &[f32], target: &mut [f32], right: usize) {
        let Window { stride, before, .. } = self.window;
        let first = before.saturating_sub(right).div_ceil(stride);
        let start = (first * stride + right).saturating_sub(before);
        if stride == 1 {
            let count = source.len().saturating_sub(start).min(target.len().saturating_sub(first));
            target[first..first + count].copy_from_slice(&source[start..start + count]);
        } else {
            let values = source.iter().skip(start).step_by(stride);
            target.iter_mut().skip(first).zip(values).for_each(|(to, from)| *to = *from);
        }
    }
}

/// Pieces of (outputs, batch · rows · width) to (batch, outputs, height, width), with a bias.
pub(super) struct AddBias {
    pub(super) batch: usize,
    pub(super) high: usize,
    pub(super) wide: usize,
}

impl AddBias {
    /// `bias` is (outputs) or (batch, outputs); pieces hold consecutive output rows.
    pub(super) fn gather(&self, pieces: &[Tensor], bias: &Tensor) -> Result<Tensor> {
        let outputs = pieces.first().map_or(Ok(0), |piece| piece.dim(0))?;
        let bias: Vec<f32> = bias.flatten_all()?.to_vec1()?;
        let mut picture = vec![0.0; self.batch * outputs * self.high * self.wide];
        let mut start = 0;
        for piece in pieces {
            let (storage, layout) = piece.storage_and_layout();
            let Storage::Cpu(storage) = &*storage else { candle_core::bail!("the layer needs a tensor on the CPU") };
            let source = elements(storage, layout)?;
            let pixels = piece.dim(1)? / self.batch;
            for_rows(&mut picture, self.high * self.wide, |index, plane| {
                let (item, output) = (index / outputs, index % outputs);
                let bias = bias[index % bias.len()];
                let line = &source[(output * self.batch + item) * pixels..][..pixels];
                plane[start..start + pixels].iter_mut().zip(line).for_each(|(to, from)| *to = from + bias);
            });
            start += pixels;
        }
        Tensor::from_vec(picture, (self.batch, outputs, self.high, self.wide), &candle_core::Device::Cpu)
    }
}
