//! One safetensors file, mapped into memory.

use std::{fs::File, path::Path};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use safetensors::{SafeTensors, tensor::Metadata};
use sha2::{Digest, Sha256};

use super::instead::{START, instead};

/// Published headers stay below 1 MB; the JSON parser must not be fed what a hostile length says.
const MAX_HEADER_BYTES: u64 = 10 << 20;

/// A file of named tensors.
pub struct WeightFile {
    label: String,
    map: Mmap,
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

    fn map(path: &Path) -> Result<(Mmap, usize, Metadata)> {
        let file = File::open(path)?;
        #[expect(unsafe_code, reason = "mapping; a model's files are not rewritten while a worker runs")]
        let map = unsafe { Mmap::map(&file) }?;
        if let Some(what) = instead(&map[..map.len().min(START)]) {
            bail!("{what}");
        }
        let length = map.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).context("shorter than its header")?;
        ensure!(length <= MAX_HEADER_BYTES, "header of {length} bytes, allowed are {MAX_HEADER_BYTES}");
        let (header_bytes, header) = SafeTensors::read_metadata(&map).with_context(|| broken(&map, length))?;
        Ok((map, size_of::<u64>() + header_bytes, header))
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
        Sha256::digest(&self.map).iter().map(|byte| format!("{byte:02x}")).collect()
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
