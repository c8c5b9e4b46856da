//! The tensors of a Whisper folder, memory-mapped, under one naming whatever the format.

use std::{
    collections::HashMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use half::{bf16, f16};
use shanshui_model::{MappedFile, instead, sha256};

use super::{ctranslate2, safetensors};

/// A Whisper checkpoint: read-only mapped files and where each tensor lies in them.
///
/// Tensors carry the names of the Hugging Face checkpoints without their `model.` prefix
/// (`encoder.layers.0.self_attn.q_proj.weight`). The files must not change while mapped.
#[derive(Debug)]
pub struct Weights {
    files: Vec<MappedFile>,
    tensors: HashMap<String, Stored>,
    heads: HashMap<String, usize>,
    sha256: OnceLock<String>,
}

/// Why a folder of weights was refused.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The folder holds no file of a known name.
    #[error("weights: {0} holds no model.safetensors, model.safetensors.index.json or model.bin")]
    Absent(PathBuf),
    /// A format that is not read here, because reading it can run code or is not Whisper's; or what
    /// a broken download left.
    #[error("weights: {file}: {found}")]
    Unsupported {
        /// The file that was looked at.
        file: PathBuf,
        /// What it seems to be.
        found: String,
    },
    /// The file contradicts itself or ends too early.
    #[error("weights: {file} is damaged: {reason}")]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// What does not hold.
        reason: String,
    },
    /// A tensor that every Whisper has is not there.
    #[error("weights: tensor {0} is missing")]
    Missing(String),
    /// A tensor does not fit to the others, or to the configuration.
    #[error("weights: tensor {name} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape that the rest of the model calls for.
        expected: Vec<usize>,
    },
    /// The file could not be read at all.
    #[error("weights: cannot read {file}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Weights {
    /// Opens the checkpoint of a folder: safetensors (one file or shards) or CTranslate2.
    ///
    /// # Errors
    /// [`WeightsError`] if there is none, or it is damaged or of another format.
    pub fn open(folder: &Path) -> Result<Self, WeightsError> {
        if folder.join(safetensors::INDEX).is_file() || folder.join(safetensors::SINGLE).is_file() {
            return safetensors::open(folder);
        }
        if folder.join(ctranslate2::FILE).is_file() {
            return ctranslate2::open(&folder.join(ctranslate2::FILE));
        }
        Err(unsupported(folder).unwrap_or_else(|| WeightsError::Absent(folder.to_owned())))
    }

    /// The SHA-256, in hexadecimal, of the weight files one after the other (of the file, if it
    /// is one). Computed at the first call.
    pub fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| sha256(&self.files))
    }

    /// Name and SHA-256 of each file.
    pub(super) fn hashes(&self) -> Vec<(String, String)> {
        let name = |file: &MappedFile| file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        match self.files.as_slice() {
            [only] => vec![(name(only), self.sha256().to_owned())],
            files => files.iter().map(|file| (name(file), sha256([file]))).collect(),
        }
    }

    /// The shape of a tensor, if it is there.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// The number of attention heads that the file itself states for `encoder` or `decoder`.
    pub(super) fn heads(&self, side: &str) -> Option<usize> {
        self.heads.get(side).copied()
    }

    /// Appends the values of a tensor of the given shape, as f32.
    pub(super) fn append(&self, name: &str, expected: &[usize], out: &mut Vec<f32>) -> Result<(), WeightsError> {
        let stored = self.stored(name, expected)?;
        stored.append(self.bytes(stored), 0, out);
        Ok(())
    }

    /// Reads a tensor of the given shape row by row, that is along its first axis, as f32.
    pub(super) fn rows(
        &self,
        name: &str,
        expected: &[usize],
        mut each: impl FnMut(&[f32]),
    ) -> Result<(), WeightsError> {
        let stored = self.stored(name, expected)?;
        let columns: usize = expected.iter().skip(1).product();
        let mut values = Vec::with_capacity(columns);
        for (row, bytes) in self.bytes(stored).chunks_exact((columns * stored.numbers.width()).max(1)).enumerate() {
            values.clear();
            stored.append(bytes, row, &mut values);
            each(&values);
        }
        Ok(())
    }

    fn bytes(&self, stored: &Stored) -> &[u8] {
        &self.files[stored.file][stored.bytes.clone()]
    }

    fn stored(&self, name: &str, expected: &[usize]) -> Result<&Stored, WeightsError> {
        let stored = self.tensors.get(name).ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
        if stored.shape != expected {
            return Err(WeightsError::Shape {
                name: name.to_owned(),
                found: stored.shape.clone(),
                expected: expected.to_vec(),
            });
        }
        Ok(stored)
    }

    pub(super) fn new(files: Vec<MappedFile>, tensors: HashMap<String, Stored>, heads: HashMap<String, usize>) -> Self {
        Self { files, tensors, heads, sha256: OnceLock::new() }
    }
}

/// Formats that are read.
const ALLOWED: &str = "safetensors and CTranslate2 (model.bin)";

/// Maps a file that is of one of these formats.
pub(super) fn map(path: &Path) -> Result<MappedFile, WeightsError> {
    let unreadable = |source| WeightsError::Unreadable { file: path.to_owned(), source };
    let file = MappedFile::open(path).map_err(unreadable)?;
    match instead(&file, ALLOWED) {
        Some(found) => Err(WeightsError::Unsupported { file: path.to_owned(), found }),
        None => Ok(file),
    }
}

/// The file contradicts itself.
pub(super) fn corrupt(file: &MappedFile, reason: impl Into<String>) -> WeightsError {
    WeightsError::Corrupt { file: file.path().to_owned(), reason: reason.into() }
}

/// How numbers lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    F32,
    F16,
    Bf16,
    /// To be divided by the scale of its row.
    I8,
}

impl Numbers {
    pub(super) fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 => 1,
        }
    }
}

/// Where a tensor lies; whoever makes one has checked that `bytes` is inside the file and that
/// it holds as many numbers as `shape` says.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) file: usize,
    pub(super) bytes: Range<usize>,
    pub(super) numbers: Numbers,
    pub(super) shape: Vec<usize>,
    /// One divisor per row, for [`Numbers::I8`] only.
    pub(super) scale: Vec<f32>,
}

impl Stored {
    /// Appends the values of whole rows, of which the first has this number.
    fn append(&self, bytes: &[u8], first_row: usize, out: &mut Vec<f32>) {
        match self.numbers {
            Numbers::F32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
            Numbers::F16 => out.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32())),
            Numbers::Bf16 => out.extend(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32())),
            Numbers::I8 => {
                let columns = (self.bytes.len() / self.scale.len().max(1)).max(1);
                for (row, scale) in bytes.chunks(columns).zip(&self.scale[first_row..]) {
                    out.extend(row.iter().map(|b| f32::from(b.cast_signed()) / scale));
                }
            }
        }
    }
}

fn unsupported(folder: &Path) -> Option<WeightsError> {
    folder.read_dir().ok()?.flatten().find_map(|entry| {
        let file = entry.path();
        let found = match file.extension()?.to_str()? {
            "pt" | "pth" | "ckpt" => "a Python pickle",
            "gguf" => "GGUF",
            "onnx" => "ONNX",
            "bin" if file.file_name()?.to_str()?.starts_with("ggml") => "ggml (whisper.cpp)",
            "bin" if file.file_name()?.to_str()?.starts_with("pytorch_model") => "a Python pickle",
            _ => return None,
        };
        let found = format!("it is {found}; allowed: {ALLOWED}");
        Some(WeightsError::Unsupported { file, found })
    })
}
