//! Weights from safetensors files, mapped rather than read: only tensors that are asked for cost memory.

use std::{fmt::Display, path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use shanshui_kernels::{Kernels, floats::Precision};

use super::names::file_names;
use super::weight_file::{Place, WeightFile};
use crate::lora::Merge;

/// The weight files of one part of a model (`unet`, `vae`, `text_encoder`), mapped into memory.
pub struct WeightFiles {
    part: &'static str,
    files: Vec<Arc<WeightFile>>,
    /// From the names of diffusers to those of the files, where they differ.
    naming: Option<Naming>,
    /// What makes tensors, where there are no files.
    maker: Option<Maker>,
}

/// Makes a tensor of a name and a shape.
pub type Maker = Box<dyn Fn(&str, &[usize]) -> candle_core::Result<Tensor> + Send + Sync>;

/// Where a tensor that diffusers names so lies in a file of another layout.
pub type Naming = Box<dyn Fn(&str) -> Place + Send + Sync>;

/// A view of some [`WeightFiles`] under a prefix, which hands out tensors of checked shape.
#[derive(Clone)]
pub struct Weights<'a> {
    files: &'a WeightFiles,
    prefix: String,
    dtype: DType,
    device: &'a Device,
    loras: &'a [Merge],
    kernels: Option<(Kernels, Precision)>,
}

impl<'a> Weights<'a> {
    /// Views `files` from their root; tensors are cast to `dtype` and moved to `device`. On a CPU, weights
    /// in f32 or bf16 are for our own kernels, whose activations are f32.
    pub fn new(files: &'a WeightFiles, dtype: DType, device: &'a Device) -> Self {
        let precision = match dtype {
            _ if !device.is_cpu() => None,
            DType::F32 => Some(Precision::F32),
            DType::BF16 => Some(Precision::Bf16),
            _ => None,
        };
        let kernels = precision.and_then(|precision| Some((Kernels::choose().ok()?, precision)));
        let dtype = if kernels.is_some() { DType::F32 } else { dtype };
        Self { files, prefix: String::new(), dtype, device, loras: &[], kernels }
    }

    /// The same for a layer that is not to be rounded to bf16.
    pub fn exact(&self) -> Self {
        let kernels = self.kernels.map(|(kernels, _)| (kernels, Precision::F32));
        Self { kernels, dtype: wide(self.dtype), ..self.clone() }
    }

    /// The type of what goes from layer to layer.
    pub fn activations(&self) -> DType {
        self.dtype
    }

    /// What computes with these weights, and what they are rounded to for it; none where candle does.
    pub fn kernels(&self) -> Option<(Kernels, Precision)> {
        self.kernels
    }

    /// The same with `loras` added to every tensor that they are for.
    pub fn merged_with(self, loras: &'a [Merge]) -> Self {
        Self { loras, ..self }
    }

    /// The same files below `name`.
    pub fn at(&self, name: impl Display) -> Self {
        Self { prefix: self.path(name), ..self.clone() }
    }

    /// Whether a tensor of this name exists.
    pub fn has(&self, name: impl Display) -> bool {
        self.files.find(&self.files.place(&self.path(name))).is_some()
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// Names the tensor when it is missing, has another shape, or is not of floating point.
    pub fn tensor(&self, name: impl Display, shape: &[usize]) -> Result<Tensor> {
        self.one_of(name, &[shape])
    }

    /// The matrix `name` of shape (rows, columns), which may be stored as a 1×1 convolution.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn matrix(&self, name: impl Display, rows: usize, columns: usize) -> Result<Tensor> {
        let tensor = self.one_of(name, &[&[rows, columns], &[rows, columns, 1, 1]])?;
        Ok(tensor.reshape((rows, columns))?)
    }

    fn one_of(&self, name: impl Display, shapes: &[&[usize]]) -> Result<Tensor> {
        let path = self.path(name);
        if let Some(make) = &self.files.maker {
            return Ok(make(&path, shapes[0])?.to_dtype(self.dtype)?.to_device(self.device)?);
        }
        let (part, place) = (self.files.part, self.files.place(&path));
        let Some(file) = self.files.find(&place) else {
            let named = if place.name == path { path } else { format!("{path} (here {})", place.name) };
            bail!("{part}: tensor {named} is missing")
        };
        let load = || {
            let mut tensor = file.load(&place, shapes)?;
            for lora in self.loras {
                tensor = lora.add_to(tensor, part, &path)?;
            }
            // Cast before the copy to the device: the card never holds a tensor twice.
            anyhow::Ok(tensor.to_dtype(self.dtype)?.to_device(self.device)?)
        };
        load().with_context(|| format!("{}: tensor {}", file.label(), place.name))
    }

    fn path(&self, name: impl Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }
}

/// The type in which a layer computes that is not to be rounded to half of one.
pub fn wide(dtype: DType) -> DType {
    if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { dtype }
}

/// The type of what goes through networks whose weights have a type.
pub fn activations(dtype: DType, device: &Device) -> DType {
    if device.is_cpu() && dtype == DType::BF16 { DType::F32 } else { dtype }
}

impl WeightFiles {
    /// Opens the weights of `part` below `root`: `STEM.safetensors`, its shards, or the fp16 variant.
    ///
    /// # Errors
    /// When there is none, when there are only pickles, or when a file is truncated or malformed.
    pub fn open(root: &Path, part: &'static str, stem: &str) -> Result<Self> {
        let folder = root.join(part);
        let names = file_names(&folder, stem).with_context(|| part.to_owned())?;
        let open = |name: String| WeightFile::open(&folder.join(&name), format!("{part}/{name}")).map(Arc::new);
        Ok(Self { part, files: names.into_iter().map(open).collect::<Result<_>>()?, naming: None, maker: None })
    }

    /// A part of a file in which the tensors have other names.
    pub fn within(file: Arc<WeightFile>, part: &'static str, naming: Naming) -> Self {
        Self { part, files: vec![file], naming: Some(naming), maker: None }
    }

    /// Tensors that are made and not read: a network of some shape can be timed without its weights.
    pub fn made(part: &'static str, maker: Maker) -> Self {
        Self { part, files: Vec::new(), naming: None, maker: Some(maker) }
    }

    /// The files.
    pub fn files(&self) -> &[Arc<WeightFile>] {
        &self.files
    }

    fn place(&self, path: &str) -> Place {
        self.naming.as_ref().map_or_else(|| Place::whole(path), |naming| naming(path))
    }

    fn find(&self, place: &Place) -> Option<&WeightFile> {
        self.files.iter().map(AsRef::as_ref).find(|file| file.shape(&place.name).is_some())
    }
}
