//! What goes from layer to layer: on a CPU a map of floats, channels last, elsewhere a tensor.

use std::sync::Arc;

use candle_core::{CpuStorage, DType, Device, Result, Storage, Tensor, bail};
use shanshui_kernels::floats::{Buffer, Grid};

/// A feature map.
#[derive(Clone)]
pub enum Map {
    /// On a CPU.
    Plain(Arc<Plain>),
    /// (batch, channels, height, width).
    Tensor(Tensor),
}

/// Floats, channels last.
pub struct Plain {
    pub(crate) grid: Grid,
    pub(crate) values: Buffer<f32>,
}

impl Map {
    /// A map of the tensor (batch, channels, height, width); a plain one, if that is wanted.
    ///
    /// # Errors
    /// When the device fails.
    pub fn of(tensor: &Tensor, plain: bool) -> Result<Self> {
        if !plain {
            return Ok(Self::Tensor(tensor.clone()));
        }
        let (batch, channels, height, width) = tensor.dims4()?;
        let mut map = Plain::new(Grid { batch, height, width, channels });
        let area = height * width;
        with_floats(tensor, |values| {
            for (at, plane) in values.chunks_exact(area).enumerate() {
                let (picture, channel) = (at / channels, at % channels);
                let pixels = map.values[picture * area * channels..].chunks_exact_mut(channels);
                plane.iter().zip(pixels).for_each(|(value, pixel)| pixel[channel] = *value);
            }
        })?;
        Ok(map.into())
    }

    /// The tensor (batch, channels, height, width).
    ///
    /// # Errors
    /// When the device fails.
    pub fn into_tensor(self) -> Result<Tensor> {
        let map = match self {
            Self::Tensor(tensor) => return Ok(tensor),
            Self::Plain(map) => map,
        };
        let Grid { batch, height, width, channels } = map.grid;
        let area = height * width;
        let mut planes = vec![0.0; map.grid.len()];
        for (at, plane) in planes.chunks_exact_mut(area.max(1)).enumerate() {
            let (picture, channel) = (at / channels, at % channels);
            let pixels = map.values[picture * area * channels..].chunks_exact(channels);
            plane.iter_mut().zip(pixels).for_each(|(value, pixel)| *value = pixel[channel]);
        }
        Tensor::from_vec(planes, (batch, channels, height, width), &Device::Cpu)
    }

    /// The same in another type; a plain map has one type alone.
    ///
    /// # Errors
    /// When the device fails.
    pub fn to_dtype(self, dtype: DType) -> Result<Self> {
        match self {
            Self::Tensor(tensor) => Ok(Self::Tensor(tensor.to_dtype(dtype)?)),
            plain @ Self::Plain(_) => Ok(plain),
        }
    }

    /// Height and width.
    ///
    /// # Errors
    /// When it has not four dimensions.
    pub fn sides(&self) -> Result<[usize; 2]> {
        match self {
            Self::Plain(map) => Ok([map.grid.height, map.grid.width]),
            Self::Tensor(tensor) => Ok([tensor.dim(2)?, tensor.dim(3)?]),
        }
    }

    /// The channels of one map, then those of another.
    ///
    /// # Errors
    /// When the sizes differ, or the device fails.
    pub fn join(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Tensor(first), Self::Tensor(second)) => Ok(Self::Tensor(Tensor::cat(&[first, second], 1)?)),
            (Self::Plain(first), Self::Plain(second)) => Ok(first.join(second)?.into()),
            _ => bail!("a map of each kind"),
        }
    }
}

impl From<Plain> for Map {
    fn from(map: Plain) -> Self {
        Self::Plain(Arc::new(map))
    }
}

impl Plain {
    /// Room for a map.
    pub(crate) fn new(grid: Grid) -> Self {
        Self { grid, values: Buffer::new(grid.len()) }
    }

    /// The values, and what they are.
    pub(crate) fn parts(&self) -> (&[f32], Grid) {
        (&self.values, self.grid)
    }

    fn join(&self, other: &Self) -> Result<Self> {
        let [first, second] = [self.grid.channels, other.grid.channels];
        if self.grid != (Grid { channels: first, ..other.grid }) {
            bail!("maps of {:?} and {:?} cannot be joined", self.grid, other.grid);
        }
        let mut joined = Self::new(Grid { channels: first + second, ..self.grid });
        let sources = self.values.chunks_exact(first).zip(other.values.chunks_exact(second));
        for (pixel, (a, b)) in joined.values.chunks_exact_mut(first + second).zip(sources) {
            let (left, right) = pixel.split_at_mut(first);
            left.copy_from_slice(a);
            right.copy_from_slice(b);
        }
        Ok(joined)
    }
}

/// Looks at the elements of an f32 tensor on the CPU.
///
/// # Errors
/// When it is another.
pub(crate) fn with_floats<T>(tensor: &Tensor, look: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(CpuStorage::F32(values)) => {
            let start = layout.start_offset();
            Ok(look(&values[start..start + layout.shape().elem_count()]))
        }
        _ => bail!("the layer needs a tensor of f32 on the CPU"),
    }
}
