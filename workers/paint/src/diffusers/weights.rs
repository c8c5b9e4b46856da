//! Weights from safetensors files, mapped rather than read: only tensors that are asked for cost memory.

use std::{fmt::Display, fs::File, path::Path};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use safetensors::{SafeTensors, tensor::Metadata};
use sha2::{Digest, Sha256};

use super::instead::{START, instead};
use super::names::file_names;

/// Published headers stay below 1 MB; the JSON parser must not be fed what a hostile length says.
const MAX_HEADER_BYTES: u64 = 10 << 20;

/// The weight files of one part of a model (`unet`, `vae`, `text_encoder`), mapped into memory.
pub struct WeightFiles {
    part: String,
    files: Vec<WeightFile>,
}

struct WeightFile {
    name: String,
    map: Mmap,
    data_start: usize,
    header: Metadata,
}

/// A view of some [`WeightFiles`] under a prefix, which hands out tensors of checked shape.
#[derive(Clone)]
pub struct Weights<'a> {
    files: &'a WeightFiles,
    prefix: String,
    dtype: DType,
    device: &'a Device,
}

impl<'a> Weights<'a> {
    /// Views `files` from their root; tensors are cast to `dtype` and moved to `device`.
    pub fn new(files: &'a WeightFiles, dtype: DType, device: &'a Device) -> Self {
        Self { files, prefix: String::new(), dtype, device }
    }

    /// The same files below `name`.
    pub fn at(&self, name: impl Display) -> Self {
        Self { prefix: self.path(name), ..self.clone() }
    }

    /// Whether a tensor of this name exists.
    pub fn has(&self, name: impl Display) -> bool {
        self.files.find(&self.path(name)).is_some()
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
        let part = &self.files.part;
        let Some(file) = self.files.find(&path) else { bail!("{part}: tensor {path} is missing") };
        file.load(&path, shapes, self.dtype, self.device)
            .with_context(|| format!("{part}/{}: tensor {path}", file.name))
    }

    fn path(&self, name: impl Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }
}

impl WeightFiles {
    /// Opens the weights of `part` below `root`: `STEM.safetensors`, its shards, or the fp16 variant.
    ///
    /// # Errors
    /// When there is none, when there are only pickles, or when a file is truncated or malformed.
    pub fn open(root: &Path, part: &str, stem: &str) -> Result<Self> {
        let folder = root.join(part);
        let names = file_names(&folder, stem).with_context(|| part.to_owned())?;
        let open = |name: String| WeightFile::open(&folder, &name).with_context(|| format!("{part}/{name}"));
        let files = names.into_iter().map(open).collect::<Result<_>>()?;
        Ok(Self { part: part.to_owned(), files })
    }

    /// Path below the model's folder and sha256 in hex, of every file.
    pub fn hashes(&self) -> Vec<(String, String)> {
        let hash = |file: &WeightFile| Sha256::digest(&file.map).iter().map(|byte| format!("{byte:02x}")).collect();
        self.files.iter().map(|file| (format!("{}/{}", self.part, file.name), hash(file))).collect()
    }

    fn find(&self, path: &str) -> Option<&WeightFile> {
        self.files.iter().find(|file| file.header.info(path).is_some())
    }
}

impl WeightFile {
    fn open(folder: &Path, name: &str) -> Result<Self> {
        let file = File::open(folder.join(name))?;
        #[expect(unsafe_code, reason = "mapping; a model's files are not rewritten while a worker runs")]
        let map = unsafe { Mmap::map(&file) }?;
        if let Some(what) = instead(&map[..map.len().min(START)]) {
            bail!("{what}");
        }
        let length = map.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).context("shorter than its header")?;
        ensure!(length <= MAX_HEADER_BYTES, "header of {length} bytes, allowed are {MAX_HEADER_BYTES}");
        let read = SafeTensors::read_metadata(&map).with_context(|| broken(&map, length));
        let (header_bytes, header) = read?;
        Ok(Self { name: name.to_owned(), data_start: size_of::<u64>() + header_bytes, header, map })
    }

    fn load(&self, path: &str, shapes: &[&[usize]], dtype: DType, device: &Device) -> Result<Tensor> {
        let info = self.header.info(path).context("missing")?;
        let shape = info.shape.as_slice();
        ensure!(shapes.contains(&shape), "shape {shape:?}, the config asks for {:?}", shapes[0]);
        let stored = DType::try_from(info.dtype).ok().filter(DType::is_float);
        let stored =
            stored.with_context(|| format!("stored as {:?}, allowed are F8_E4M3, F16, BF16, F32, F64", info.dtype))?;
        let (start, end) = info.data_offsets;
        let bytes = &self.map[self.data_start + start..self.data_start + end];
        // Cast before the copy to the device: the card never holds a tensor twice.
        let tensor = Tensor::from_raw_buffer(bytes, stored, shape, &Device::Cpu)?.to_dtype(dtype)?;
        Ok(tensor.to_device(device)?)
    }
}

/// What is wrong with a file whose header is `length` bytes long.
fn broken(map: &[u8], length: u64) -> String {
    let (data_start, there) = (size_of::<u64>() as u64 + length, map.len() as u64);
    let header = map.get(size_of::<u64>()..data_start as usize);
    let header = header.and_then(|header| serde_json::from_slice::<serde_json::Value>(header).ok());
    let ends = header.as_ref().and_then(|header| header.as_object()).into_iter().flatten();
    let end = ends.filter_map(|(_, tensor)| tensor["data_offsets"][1].as_u64()).max();
    let needed = end.and_then(|end| end.checked_add(data_start)).unwrap_or(data_start);
    if there < needed {
        return format!("not a whole safetensors file: {there} of {needed} bytes are there, its download broke off");
    }
    "not a whole safetensors file".to_owned()
}
