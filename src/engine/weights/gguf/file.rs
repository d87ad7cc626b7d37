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
/// The most weights that a model's layers have for those in formats without kernels to be kept in
/// 16 bits.
const SMALL_MODEL: u64 = 1 << 28;
/// How the names of a layer's tensors begin.
const LAYER: &str = "blk.";
/// Divisors of the rotary frequencies.
const FACTORS: &str = "rope_freqs.weight";

/// A checked GGUF file, with its further parts where it was split.
pub struct GgufFile {
    parts: Vec<Part>,
    /// Name → the part that holds the tensor.
    places: HashMap<String, usize>,
    /// The order of the rows of queries and keys, where it is not Hugging Face's.
    reordered: Option<Reordered>,
    /// Whether the layers' weights in formats without kernels are kept in 16 bits.
    widens: bool,
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
        let widens = layer_weights(&all) <= SMALL_MODEL;
        Ok(Self { parts: all, places, reordered, widens, used: BTreeSet::new(), zero: BTreeSet::new() })
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

    /// Returns what a tensor is kept in, by its GGUF name.
    ///
    /// What no kernel reads becomes Q8_0, whose products round activations to 8 bits. That raised
    /// the perplexity of the one small model tried by a percent, and 16 bits take little memory in
    /// such a model, so its layers' weights in blocks of 32 become f16, which is multiplied by f32
    /// activations.
    fn kept(&self, name: &str, entry: &Entry) -> Format {
        let widened = self.widens && entry.kind.is_small_block() && name.starts_with(LAYER);
        if widened { Format::F16 } else { entry.kind.format() }
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

/// Returns the number of weights of the layers' matrices.
fn layer_weights(parts: &[Part]) -> u64 {
    let tensors = parts.iter().flat_map(|part| &part.header.tensors);
    let matrices = tensors.filter(|(name, entry)| name.starts_with(LAYER) && entry.shape.len() > 1);
    matrices.map(|(_, entry)| entry.shape.iter().map(|size| *size as u64).product::<u64>()).sum()
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
        let name = gguf_name(name);
        self.place(&name).map_or(Format::F32, |(_, entry)| self.kept(&name, entry))
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
        let (mut formats, mut found) = (BTreeMap::new(), Vec::new());
        for (name, (_, entry)) in self.used.iter().filter_map(|name| Some((name, self.place(name)?))) {
            if entry.kind.same_bytes().is_none() {
                *formats.entry(entry.kind.name()).or_insert(0) += entry.bytes.len() as u64;
                found.push(self.kept(name, entry));
            }
        }
        let kept = [Format::F16, Format::Q8_0].into_iter().filter(|format| found.contains(format)).collect();
        Repacked { formats: formats.into_iter().collect(), kept }
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
