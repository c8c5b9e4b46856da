//! Checkpoints of CTranslate2 (`model.bin`), as every faster-whisper user has them.
//!
//! Little-endian: u32 version · specification name · u32 revision · u32 count · per variable a
//! name, u8 rank, u32 dimensions, u8 type, u32 bytes and the data · u32 count of aliases · per
//! alias two names. A name is a u16 length, which counts the NUL at its end, and the bytes.
//! Source: `ctranslate2/specs/model_spec.py` of CTranslate2 4.

use std::{collections::HashMap, ops::Range, path::Path};

use shanshui_model::MappedFile;

use super::{
    ct2_names,
    weights::{self, Numbers, Stored, Weights, WeightsError, corrupt},
};

pub(super) const FILE: &str = "model.bin";

const VERSION: u32 = 6;
const SPECIFICATION: &str = "WhisperSpec";
const MAX_RANK: u8 = 4;

pub(super) fn open(path: &Path) -> Result<Weights, WeightsError> {
    let file = weights::map(path)?;
    let variables = Reader { bytes: &file, at: 0 }.variables().map_err(|reason| corrupt(&file, reason))?;
    let mut tensors = HashMap::new();
    let mut heads = HashMap::new();
    for (name, variable) in &variables {
        if let Some(side) = name.strip_suffix("/num_heads") {
            heads.insert(side.to_owned(), variable.small_number(&file));
        }
        let Some(numbers) = variable.numbers() else {
            continue;
        };
        let scale = match numbers {
            Numbers::I8 => row_scale(name, variable, &variables, &file)?,
            _ => Vec::new(),
        };
        let Some((prefix, parts, suffix)) = ct2_names::translate(name) else {
            continue;
        };
        let whole = Whole { variable, numbers, scale };
        for (part, part_name) in parts.iter().enumerate() {
            let stored = whole.part(part, parts.len()).map_err(|reason| corrupt(&file, format!("{name}: {reason}")))?;
            tensors.insert(format!("{prefix}{part_name}{suffix}"), stored);
        }
    }
    Ok(Weights::new(vec![file], tensors, heads))
}

struct Variable {
    shape: Vec<usize>,
    dtype: u8,
    bytes: Range<usize>,
}

impl Variable {
    /// `None` for the integers that describe the model.
    fn numbers(&self) -> Option<Numbers> {
        match self.dtype {
            0 => Some(Numbers::F32),
            1 if !self.shape.is_empty() => Some(Numbers::I8),
            4 => Some(Numbers::F16),
            5 => Some(Numbers::Bf16),
            _ => None,
        }
    }

    /// A scalar of one to four bytes; 0 if it is negative or empty.
    fn small_number(&self, file: &[u8]) -> usize {
        let value = file[self.bytes.clone()]
            .iter()
            .rev()
            .try_fold(0usize, |sum, byte| sum.checked_mul(256).map(|sum| sum + usize::from(*byte)));
        value.unwrap_or(0)
    }
}

/// A variable that CTranslate2 may have stacked from several projections.
struct Whole<'a> {
    variable: &'a Variable,
    numbers: Numbers,
    scale: Vec<f32>,
}

impl Whole<'_> {
    /// The rows of one of `count` equal parts.
    fn part(&self, part: usize, count: usize) -> Result<Stored, String> {
        let mut shape = self.variable.shape.clone();
        if count > 1 {
            let rows = shape.first_mut().ok_or("a scalar cannot be split")?;
            if *rows % count != 0 {
                return Err(format!("{rows} rows cannot be split into {count} projections"));
            }
            *rows /= count;
        }
        let length = self.variable.bytes.len() / count;
        let start = self.variable.bytes.start + part * length;
        let rows = self.scale.len() / count;
        let scale = self.scale[part * rows..(part + 1) * rows].to_vec();
        Ok(Stored { file: 0, bytes: start..start + length, numbers: self.numbers, shape, scale })
    }
}

/// The divisors beside an int8 weight: value = stored / scale of its row.
fn row_scale(
    name: &str,
    weight: &Variable,
    variables: &HashMap<String, Variable>,
    file: &MappedFile,
) -> Result<Vec<f32>, WeightsError> {
    let scale_name = format!("{name}_scale");
    let scale = variables.get(&scale_name).ok_or_else(|| WeightsError::Missing(scale_name.clone()))?;
    let values: Vec<f32> = file[scale.bytes.clone()].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let rows = weight.shape.first().copied().unwrap_or(0);
    if scale.numbers() != Some(Numbers::F32) || values.len() != rows {
        return Err(corrupt(file, format!("{scale_name} does not hold one f32 for each of {rows} rows")));
    }
    if values.iter().any(|value| !value.is_finite() || *value == 0.0) {
        return Err(corrupt(file, format!("{scale_name} holds a value that nothing can be divided by")));
    }
    Ok(values)
}

/// Reads the header fields between the data; every length is checked against the file.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn variables(&mut self) -> Result<HashMap<String, Variable>, String> {
        let version = self.u32()?;
        if version != VERSION {
            return Err(format!("CTranslate2 format version is {version}, only {VERSION} is read"));
        }
        let specification = self.name()?;
        if specification != SPECIFICATION {
            return Err(format!("specification is {specification:?}, not {SPECIFICATION:?}"));
        }
        let _revision = self.u32()?;
        let count = self.u32()?;
        let mut variables = HashMap::new();
        for _ in 0..count {
            let name = self.name()?;
            let variable = self.variable().map_err(|reason| format!("{name}: {reason}"))?;
            variables.insert(name, variable);
        }
        for _ in 0..self.u32()? {
            self.name()?;
            self.name()?;
        }
        match self.bytes.len() - self.at {
            0 => Ok(variables),
            left => Err(format!("{left} bytes after its end")),
        }
    }

    fn variable(&mut self) -> Result<Variable, String> {
        let [rank] = self.take()?;
        if rank > MAX_RANK {
            return Err(format!("{rank} dimensions, at most {MAX_RANK} are allowed"));
        }
        let shape = (0..rank).map(|_| self.u32().map(|size| size as usize)).collect::<Result<Vec<_>, _>>()?;
        let [dtype] = self.take()?;
        let length = self.u32()? as usize;
        let bytes = self.at
            ..self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or("the file ends inside it")?;
        self.at = bytes.end;
        let variable = Variable { shape, dtype, bytes };
        let count = variable.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        let wanted = match variable.numbers() {
            Some(numbers) => count.and_then(|count| count.checked_mul(numbers.width())),
            None => Some(length),
        };
        match wanted == Some(length) {
            true => Ok(variable),
            false => Err(format!("{length} bytes do not make the shape {:?}", variable.shape)),
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let length = usize::from(u16::from_le_bytes(self.take()?));
        let end =
            self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or("the file ends inside a name")?;
        let name = self.bytes[self.at..end].strip_suffix(&[0]).ok_or("a name does not end with NUL")?;
        self.at = end;
        String::from_utf8(name.to_vec()).map_err(|_| "a name is not UTF-8".to_owned())
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.bytes[self.at..].first_chunk().ok_or("the file ends inside its header")?;
        self.at += N;
        Ok(*bytes)
    }
}
