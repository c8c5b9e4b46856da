//! One safetensors file, mapped into memory.

use std::path::Path;

use anyhow::{Context, Error, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::Metadata;
use shanshui_model::{MappedFile, header, instead, sha256};

/// Formats that are read.
pub(super) const ALLOWED: &str = "safetensors";

/// A file of named tensors.
pub struct WeightFile {
    label: String,
    map: MappedFile,
    data_start: usize,
    header: Metadata,
}

/// Where a tensor lies in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name in the file.
    pub name: String,
    /// Which of how many equal parts of its rows.
    pub part: (usize, usize),
}

impl Place {
    /// A whole tensor.
    pub fn whole(name: impl Into<String>) -> Self {
        Self { name: name.into(), part: (0, 1) }
    }
}

impl WeightFile {
    /// Maps a file; `label` is its path in errors and receipts.
    ///
    /// # Errors
    /// When it cannot be read or is no whole safetensors file; says what it is instead.
    pub fn open(path: &Path, label: impl Into<String>) -> Result<Self> {
        let label = label.into();
        Self::map(path)
            .map(|(map, data_start, header)| Self { label: label.clone(), map, data_start, header })
            .context(label)
    }

    fn map(path: &Path) -> Result<(MappedFile, usize, Metadata)> {
        let map = MappedFile::open(path)?;
        if let Some(what) = instead(&map, ALLOWED) {
            bail!("{what}");
        }
        let (data_start, header) = header(&map).map_err(Error::msg)?;
        Ok((map, data_start, header))
    }

    /// Its path, for errors and receipts.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.info(name).map(|info| info.shape.as_slice())
    }

    /// Names of all tensors, in the order of their bytes.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// What the file says of itself.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.header.metadata().as_ref().and_then(|all| all.get(key)).map(String::as_str)
    }

    /// SHA-256 in hex.
    pub fn sha256(&self) -> String {
        sha256([&self.map])
    }

    /// A tensor in its stored type, on the CPU.
    ///
    /// # Errors
    /// When it is missing, has none of `shapes`, or is not of floating point.
    pub fn load(&self, place: &Place, shapes: &[&[usize]]) -> Result<Tensor> {
        let info = self.header.info(&place.name).context("missing")?;
        let (part, parts) = place.part;
        let mut shape = info.shape.clone();
        if let Some(rows) = shape.first_mut().filter(|rows| rows.is_multiple_of(parts)) {
            *rows /= parts;
        }
        ensure!(shapes.contains(&shape.as_slice()), "shape {shape:?}, the config asks for {:?}", shapes[0]);
        let stored = DType::try_from(info.dtype).ok().filter(DType::is_float);
        let stored =
            stored.with_context(|| format!("stored as {:?}, allowed are F8_E4M3, F16, BF16, F32, F64", info.dtype))?;
        let (start, end) = info.data_offsets;
        let size = (end - start) / parts;
        let start = self.data_start + start + part * size;
        Ok(Tensor::from_raw_buffer(&self.map[start..start + size], stored, &shape, &Device::Cpu)?)
    }
}
