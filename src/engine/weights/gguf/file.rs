//! A GGUF file, or the parts of a split one, as a source of tensors under Hugging Face's names.

use super::blocks::{all_zero, non_finite, numbers};
use super::header::{Entry, read_header};
use super::metadata::Metadata;
use super::names::gguf_name;
use super::order::{Reordered, RowOrder};
use super::parts::{self, Part};
use crate::base::Digest;
use crate::kernels::{Format, Rows};
use crate::weights::{FileBytes, Leftover, Repacked, TensorSource, WeightFiles, WeightsError};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Rows that one task turns into numbers.
const TASK_ROWS: usize = 64;
/// Divisors of the rotary frequencies.
const FACTORS: &str = "rope_freqs.weight";

/// A checked GGUF file, with its further parts where it was split.
pub struct GgufFile {
    parts: Vec<Part>,
    /// Name → the part that holds the tensor.
    places: HashMap<String, usize>,
    /// The order of the rows of queries and keys, where it is not Hugging Face's.
    reordered: Option<Reordered>,
    /// The GGUF names of the tensors in use.
    used: BTreeSet<String>,
    /// Those of them that are entirely zero.
    zero: BTreeSet<String>,
}

/// A tensor in use.
struct Found<'a> {
    entry: &'a Entry,
    file: &'a FileBytes,
    order: Option<RowOrder>,
}

impl GgufFile {
    /// Maps and checks a file, and the further parts of the model where it is the first of several.
    ///
    /// # Errors
    /// A file that cannot be read, or breaks its format, or a part that is missing.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let first = part(path.display().to_string(), FileBytes::map(path)?)?;
        let paths = parts::paths(path, first.metadata())?;
        let mut all = vec![first];
        for path in &paths[1..] {
            all.push(part(path.display().to_string(), FileBytes::map(path)?)?);
        }
        Self::from_parts(all)
    }

    /// Checks a file that is already open; `file` is its name for messages.
    ///
    /// # Errors
    /// A file that breaks its format, or is one of several parts.
    pub fn from_bytes(file: String, bytes: FileBytes) -> Result<Self, WeightsError> {
        Self::from_parts(vec![part(file, bytes)?])
    }

    fn from_parts(all: Vec<Part>) -> Result<Self, WeightsError> {
        parts::check(&all)?;
        let mut places = HashMap::new();
        for (index, part) in all.iter().enumerate() {
            for name in part.header.tensors.keys() {
                if places.insert(name.clone(), index).is_some() {
                    let reason = format!("the tensor `{name}` is in another part already");
                    return Err(WeightsError::Corrupt { file: part.file.clone(), reason });
                }
            }
        }
        let reordered = Reordered::read(all[0].metadata())?;
        Ok(Self { parts: all, places, reordered, used: BTreeSet::new(), zero: BTreeSet::new() })
    }

    /// Returns the metadata, which the first part has.
    pub fn metadata(&self) -> Metadata<'_> {
        self.parts[0].metadata()
    }

    /// Returns the shape of a tensor, rows first, by its Hugging Face name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.place(&gguf_name(name)).map(|(_, entry)| entry.shape.as_slice())
    }

    /// Returns the divisors of the rotary frequencies that the file holds, unless all of them
    /// are 1.
    ///
    /// # Errors
    /// Divisors that are no numbers.
    pub fn rope_factors(&self) -> Result<Option<Vec<f32>>, WeightsError> {
        let Some((part, entry)) = self.place(FACTORS) else { return Ok(None) };
        let bytes = &part.bytes[entry.bytes.clone()];
        if let Some(bad) = non_finite(entry.kind, bytes) {
            let reason = format!("the tensor `{FACTORS}` holds the value {bad}");
            return Err(WeightsError::Corrupt { file: part.file.clone(), reason });
        }
        let factors = numbers(entry.kind, *entry.shape.last().unwrap_or(&1), bytes);
        Ok(Some(factors).filter(|factors| factors.iter().any(|factor| *factor != 1.0)))
    }

    /// Returns the place of a tensor by its GGUF name.
    fn place(&self, name: &str) -> Option<(&Part, &Entry)> {
        let part = &self.parts[*self.places.get(name)?];
        Some((part, &part.header.tensors[name]))
    }

    /// Returns the place of a tensor of this shape, whose numbers and scales are all finite; from
    /// now on it counts as used.
    fn entry(&mut self, name: &str, shape: &[usize]) -> Result<Found<'_>, WeightsError> {
        let name = gguf_name(name);
        let Some(&index) = self.places.get(&name) else { return Err(WeightsError::Missing(name)) };
        let Part { file, bytes, header } = &self.parts[index];
        let entry = &header.tensors[&name];
        if entry.shape != shape {
            return Err(WeightsError::Shape { name, found: entry.shape.clone(), expected: shape.to_vec() });
        }
        let corrupt = |what: String| {
            let reason = format!("the tensor `{name}`{what}");
            WeightsError::Corrupt { file: file.clone(), reason }
        };
        let checked = non_finite(entry.kind, &bytes[entry.bytes.clone()]);
        bytes.release(entry.bytes.clone());
        if let Some(bad) = checked {
            return Err(corrupt(format!(" holds the value {bad}")));
        }
        let order = match self.reordered {
            Some(reordered) => reordered.rows(&name, shape[0]).map_err(|fault| corrupt(format!(": {fault}")))?,
            None => None,
        };
        if !name.ends_with(".bias") && all_zero(entry.kind, &bytes[entry.bytes.clone()]) {
            self.zero.insert(name.clone());
        }
        self.used.insert(name);
        Ok(Found { entry, file: bytes, order })
    }

    /// Whether a tensor may stay unused. Files of Llama keep the scaling of the rotary frequencies
    /// in `rope_freqs.weight`, which the configuration reads; the runners of GGUF files do not
    /// apply it to other families, where it is passed over only if all factors are 1.
    fn is_harmless(&self, name: &str) -> bool {
        name == FACTORS && (self.reordered.is_some() || self.rope_factors().is_ok_and(|factors| factors.is_none()))
    }
}

fn part(file: String, bytes: FileBytes) -> Result<Part, WeightsError> {
    let header = read_header(&file, &bytes)?;
    Ok(Part { file, bytes, header })
}

impl Found<'_> {
    /// Returns the bytes of some rows of `row_bytes` each, in Hugging Face's order.
    fn rows(&self, rows: std::ops::Range<usize>, row_bytes: usize) -> Vec<u8> {
        let start = self.entry.bytes.start;
        let Some(order) = self.order else {
            let place = start + rows.start * row_bytes..start + rows.end * row_bytes;
            let bytes = self.file[place.clone()].to_vec();
            self.file.release(place);
            return bytes;
        };
        let mut bytes = Vec::with_capacity(rows.len() * row_bytes);
        for row in rows {
            let at = start + order.place(row) * row_bytes;
            bytes.extend_from_slice(&self.file[at..at + row_bytes]);
        }
        bytes
    }
}

impl TensorSource for GgufFile {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let found = self.entry(name, shape)?;
        let (kind, count) = (found.entry.kind, found.entry.bytes.len() / found.entry.kind.block_bytes());
        // A vector is rows of one number.
        let (rows, width) = match shape {
            [size] if kind.block() == 1 => (*size, 1),
            [rows, .., width] => (*rows, *width),
            _ => (1, count * kind.block()),
        };
        let row_bytes = found.entry.bytes.len() / rows.max(1);
        let tasks: Vec<Vec<f32>> = (0..rows.div_ceil(TASK_ROWS))
            .into_par_iter()
            .map(|task| {
                let range = task * TASK_ROWS..rows.min((task + 1) * TASK_ROWS);
                numbers(kind, width, &found.rows(range, row_bytes))
            })
            .collect();
        let mut all = tasks.concat();
        // The numbers of a vector in blocks were one row so far.
        if let (Some(order), [size]) = (found.order, shape)
            && kind.block() > 1
        {
            all = (0..*size).map(|row| all[order.place(row)]).collect();
        }
        Ok(Tensor::from_vec(all, shape, &Device::Cpu)?)
    }

    fn matrix(&mut self, name: &str, (outputs, inputs): (usize, usize), format: Format) -> Result<Rows, WeightsError> {
        let found = self.entry(name, &[outputs, inputs])?;
        let kind = found.entry.kind;
        let row_bytes = inputs / kind.block() * kind.block_bytes();
        let rows = if kind.same_bytes() == Some(format) {
            Rows::stored(format, inputs, found.rows(0..outputs, row_bytes))
        } else {
            Rows::convert(format, inputs, outputs, |rows| {
                Ok::<_, WeightsError>(numbers(kind, inputs, &found.rows(rows, row_bytes)))
            })?
        };
        found.file.release(found.entry.bytes.clone());
        Ok(rows)
    }

    fn claim(&mut self, name: &str, shape: &[usize]) -> Result<(), WeightsError> {
        self.entry(name, shape).map(|_| ())
    }

    fn stored_format(&self, name: &str) -> Format {
        self.place(&gguf_name(name)).map_or(Format::F32, |(_, entry)| entry.kind.format())
    }

    fn contains(&self, name: &str) -> bool {
        self.places.contains_key(&gguf_name(name))
    }
}

impl WeightFiles for GgufFile {
    fn digests(&self) -> Vec<Digest> {
        self.parts.iter().map(|part| part.bytes.digest()).collect()
    }

    /// A GGUF file does not say whether the head is tied: it is where the file lacks one.
    fn has_own_head(&self) -> bool {
        self.contains("lm_head.weight")
    }

    fn zero_tensors(&self) -> Vec<String> {
        self.zero.iter().cloned().collect()
    }

    fn repacked(&self) -> Repacked {
        let mut formats = BTreeMap::new();
        for (_, entry) in self.used.iter().filter_map(|name| self.place(name)) {
            if entry.kind.same_bytes().is_none() {
                *formats.entry(entry.kind.name()).or_insert(0) += entry.bytes.len() as u64;
            }
        }
        Repacked { formats: formats.into_iter().collect() }
    }

    /// A tied head is one that the file lacks, so no leftover of that kind is excused.
    fn check_all_used(&self, _leftover: Leftover) -> Result<(), WeightsError> {
        let unused: BTreeSet<&String> =
            self.places.keys().filter(|name| !self.used.contains(*name) && !self.is_harmless(name)).collect();
        match unused.first() {
            Some(first) => Err(WeightsError::Unknown { first: (*first).clone(), count: unused.len() }),
            None => Ok(()),
        }
    }
}
