//! A GGUF file as a source of tensors under Hugging Face's names.

use super::blocks::{all_zero, non_finite, numbers};
use super::header::{Entry, Header, read_header};
use super::metadata::Metadata;
use super::names::gguf_name;
use crate::base::Digest;
use crate::kernels::{Format, Rows};
use crate::weights::{FileBytes, Leftover, TensorSource, WeightFiles, WeightsError};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

/// Rows that one task turns into numbers.
const TASK_ROWS: usize = 64;

/// A checked GGUF file.
pub struct GgufFile {
    file: String,
    bytes: FileBytes,
    header: Header,
    /// The GGUF names of the tensors in use.
    used: BTreeSet<String>,
    /// Those of them that are entirely zero.
    zero: BTreeSet<String>,
}

impl GgufFile {
    /// Maps and checks a file.
    ///
    /// # Errors
    /// A file that cannot be read, or breaks its format.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        Self::from_bytes(path.display().to_string(), FileBytes::map(path)?)
    }

    /// Checks a file that is already open; `file` is its name for messages.
    ///
    /// # Errors
    /// A file that breaks its format.
    pub fn from_bytes(file: String, bytes: FileBytes) -> Result<Self, WeightsError> {
        let header = read_header(&file, &bytes)?;
        Ok(Self { file, bytes, header, used: BTreeSet::new(), zero: BTreeSet::new() })
    }

    /// Returns the file's metadata.
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata { file: &self.file, bytes: &self.bytes, values: &self.header.metadata }
    }

    /// Returns the shape of a tensor, rows first, by its Hugging Face name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.tensors.get(&gguf_name(name)).map(|entry| entry.shape.as_slice())
    }

    /// Returns the place of a tensor of this shape, whose numbers and scales are all finite; from
    /// now on it counts as used.
    fn entry(&mut self, name: &str, shape: &[usize]) -> Result<(&Entry, &FileBytes), WeightsError> {
        let name = gguf_name(name);
        let Some(entry) = self.header.tensors.get(&name) else { return Err(WeightsError::Missing(name)) };
        if entry.shape != shape {
            return Err(WeightsError::Shape { name, found: entry.shape.clone(), expected: shape.to_vec() });
        }
        let checked = non_finite(entry.kind, &self.bytes[entry.bytes.clone()]);
        self.bytes.release(entry.bytes.clone());
        if let Some(bad) = checked {
            let reason = format!("the tensor `{name}` holds the value {bad}");
            return Err(WeightsError::Corrupt { file: self.file.clone(), reason });
        }
        if !name.ends_with(".bias") && all_zero(entry.kind, &self.bytes[entry.bytes.clone()]) {
            self.zero.insert(name.clone());
        }
        self.used.insert(name);
        Ok((entry, &self.bytes))
    }

    /// Whether a tensor may stay unused. `rope_freqs.weight` holds factors for the rotary
    /// frequencies, which the runners of GGUF files do not apply to `qwen3`; it is passed over
    /// where all of them are 1, so that applying them would change nothing.
    fn is_harmless(&self, name: &str, entry: &Entry) -> bool {
        let width = *entry.shape.last().unwrap_or(&1);
        name.ends_with("rope_freqs.weight")
            && numbers(entry.kind, width, &self.bytes[entry.bytes.clone()]).iter().all(|factor| *factor == 1.0)
    }
}

impl TensorSource for GgufFile {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let (entry, file) = self.entry(name, shape)?;
        let width = shape.last().copied().unwrap_or(1).max(1);
        let task_bytes = TASK_ROWS * (width / entry.kind.block()).max(1) * entry.kind.block_bytes();
        let parts: Vec<Vec<f32>> =
            file[entry.bytes.clone()].par_chunks(task_bytes).map(|bytes| numbers(entry.kind, width, bytes)).collect();
        Ok(Tensor::from_vec(parts.concat(), shape, &Device::Cpu)?)
    }

    fn matrix(&mut self, name: &str, (outputs, inputs): (usize, usize), format: Format) -> Result<Rows, WeightsError> {
        let (entry, file) = self.entry(name, &[outputs, inputs])?;
        if entry.kind.same_bytes() == Some(format) {
            let bytes = file[entry.bytes.clone()].to_vec();
            file.release(entry.bytes.clone());
            return Ok(Rows::stored(format, inputs, bytes));
        }
        let row_bytes = inputs / entry.kind.block() * entry.kind.block_bytes();
        Rows::convert(format, inputs, outputs, |rows| {
            let place = entry.bytes.start + rows.start * row_bytes..entry.bytes.start + rows.end * row_bytes;
            let numbers = numbers(entry.kind, inputs, &file[place.clone()]);
            file.release(place);
            Ok(numbers)
        })
    }

    fn claim(&mut self, name: &str, shape: &[usize]) -> Result<(), WeightsError> {
        self.entry(name, shape).map(|_| ())
    }

    fn stored_format(&self, name: &str) -> Format {
        self.header.tensors.get(&gguf_name(name)).map_or(Format::F32, |entry| entry.kind.format())
    }

    fn contains(&self, name: &str) -> bool {
        self.header.tensors.contains_key(&gguf_name(name))
    }
}

impl WeightFiles for GgufFile {
    fn digests(&self) -> Vec<Digest> {
        vec![self.bytes.digest()]
    }

    /// A GGUF file does not say whether the head is tied: it is where the file lacks one.
    fn has_own_head(&self) -> bool {
        self.contains("lm_head.weight")
    }

    fn zero_tensors(&self) -> Vec<String> {
        self.zero.iter().cloned().collect()
    }

    /// A tied head is one that the file lacks, so no leftover of that kind is excused.
    fn check_all_used(&self, _leftover: Leftover) -> Result<(), WeightsError> {
        let tensors = self.header.tensors.iter();
        let unused: BTreeSet<&String> = tensors
            .filter(|(name, entry)| !self.used.contains(*name) && !self.is_harmless(name, entry))
            .map(|(name, _)| name)
            .collect();
        match unused.first() {
            Some(first) => Err(WeightsError::Unknown { first: (*first).clone(), count: unused.len() }),
            None => Ok(()),
        }
    }
}
