//! The safetensors files of one model as one source of tensors.

use super::block_scales::BlockScales;
use super::header::{Entry, read_header, read_index};
use super::number::Number;
use super::{FileBytes, Repacked, TensorSource, WeightFiles, WeightsError};
use crate::base::Digest;
use crate::kernels::{Format, Rows};
use candle_core::{Device, Tensor};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const HEAD: &str = "lm_head.weight";
const TABLE: &str = "model.embed_tokens.weight";
/// Numbers of two tensors that are compared at a time.
const COMPARED: usize = 1 << 20;

/// Which tensors may stay unused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leftover {
    /// `lm_head.weight` may stay: the head is tied to the embedding.
    TiedHead,
    /// Nothing may stay.
    Nothing,
}

struct Shard {
    file: String,
    bytes: FileBytes,
}

/// The checked safetensors files of a model.
pub struct Checkpoint {
    shards: Vec<Shard>,
    /// Name → shard and place.
    entries: HashMap<String, (usize, Entry)>,
    used: BTreeSet<String>,
    /// Tensors in use that are entirely zero.
    zero: BTreeSet<String>,
}

impl Checkpoint {
    /// Whether `folder` has safetensors files under the names that [`open`](Self::open) looks for.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(SINGLE).exists() || folder.join(INDEX).exists()
    }

    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` names, in
    /// `folder`.
    ///
    /// # Errors
    /// No such file, a file that breaks its format, an index and shards that disagree.
    pub fn open(folder: &Path) -> Result<Self, WeightsError> {
        let index_path = folder.join(INDEX);
        let single_path = folder.join(SINGLE);
        if !Self::is_in(folder) {
            let reason = format!("there is neither {SINGLE} nor {INDEX}");
            return Err(WeightsError::Unreadable { file: folder.display().to_string(), reason });
        }
        if single_path.exists() {
            return Self::from_files(vec![(single_path.display().to_string(), FileBytes::map(&single_path)?)]);
        }
        let index_name = index_path.display().to_string();
        let weight_map = read_index(&index_name, &FileBytes::map(&index_path)?)?;
        let names: BTreeSet<&str> = weight_map.iter().map(|(_, shard)| shard.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let mut files = Vec::with_capacity(names.len());
        for name in &names {
            let path = folder.join(name);
            files.push((path.display().to_string(), FileBytes::map(&path)?));
        }
        let checkpoint = Self::from_files(files)?;
        for (tensor, shard) in &weight_map {
            let found = checkpoint.entries.get(tensor).map(|(shard, _)| names[*shard]);
            if found != Some(shard.as_str()) {
                let reason = format!("the tensor `{tensor}` is said to be in `{shard}`, which lacks it");
                return Err(WeightsError::Corrupt { file: index_name, reason });
            }
        }
        Ok(checkpoint)
    }

    /// Checks files that are already open: (name for messages, content).
    ///
    /// # Errors
    /// A file that breaks its format, or a tensor in two files.
    pub fn from_files(files: Vec<(String, FileBytes)>) -> Result<Self, WeightsError> {
        let mut shards = Vec::with_capacity(files.len());
        let mut entries: HashMap<String, (usize, Entry)> = HashMap::new();
        for (index, (file, bytes)) in files.into_iter().enumerate() {
            for entry in read_header(&file, &bytes)? {
                if let Some((_, other)) = entries.insert(entry.name.clone(), (index, entry)) {
                    let reason = format!("the tensor `{}` is in an earlier file already", other.name);
                    return Err(WeightsError::Corrupt { file, reason });
                }
            }
            shards.push(Shard { file, bytes });
        }
        Ok(Self { shards, entries, used: BTreeSet::new(), zero: BTreeSet::new() })
    }

    /// Returns the place of a tensor, which must have this shape; from now on it counts as used.
    fn entry(&mut self, name: &str, shape: &[usize]) -> Result<(&Shard, &Entry), WeightsError> {
        let (shard, entry) = self.entries.get(name).ok_or_else(|| WeightsError::Missing(name.to_string()))?;
        if entry.shape != shape {
            return Err(WeightsError::Shape {
                name: name.to_string(),
                found: entry.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        let shard = &self.shards[*shard];
        if self.used.insert(name.to_string())
            && !name.ends_with(".bias")
            && entry.number.all_zero(&shard.bytes[entry.bytes.clone()])
        {
            self.zero.insert(name.to_string());
        }
        Ok((shard, entry))
    }

    /// Reads the scales of a matrix of 8-bit floats; `None` for a tensor of another format.
    fn block_scales(&mut self, name: &str, shape: &[usize]) -> Result<Option<BlockScales>, WeightsError> {
        let Some((shard, entry)) = self.entries.get(name) else { return Ok(None) };
        if entry.number != Number::F8E4m3 {
            return Ok(None);
        }
        let beside = BlockScales::name(name);
        let &[rows, columns] = shape else {
            let reason = format!("the tensor `{name}` is no matrix, but stored as F8_E4M3");
            return Err(WeightsError::Corrupt { file: self.shards[*shard].file.clone(), reason });
        };
        let shape = BlockScales::shape(rows, columns);
        let scales = numbers(self.entry(&beside, &shape)?, None, 0..shape.iter().product())?;
        Ok(Some(BlockScales::new(scales, columns)))
    }

    /// Whether two tensors hold the same numbers.
    fn are_equal(&self, (shard, entry): &(usize, Entry), (other_shard, other): &(usize, Entry)) -> bool {
        if entry.shape != other.shape {
            return false;
        }
        let (one, two) = (&self.shards[*shard], &self.shards[*other_shard]);
        let size = entry.number.bytes();
        let (bytes, other_bytes) = (&one.bytes[entry.bytes.clone()], &two.bytes[other.bytes.clone()]);
        let equal = if entry.number == other.number {
            bytes == other_bytes
        } else {
            let parts = bytes.chunks(COMPARED * size).zip(other_bytes.chunks(COMPARED * other.number.bytes()));
            parts.into_iter().all(|(one, two)| entry.number.widen(one) == other.number.widen(two))
        };
        one.bytes.release(entry.bytes.clone());
        two.bytes.release(other.bytes.clone());
        equal
    }
}

/// Reads numbers `range` of a tensor, all of them finite. Their pages are given back: nobody reads
/// a tensor twice.
fn numbers(
    (shard, entry): (&Shard, &Entry),
    scales: Option<&BlockScales>,
    range: Range<usize>,
) -> Result<Vec<f32>, WeightsError> {
    let size = entry.number.bytes();
    let place = entry.bytes.start + range.start * size..entry.bytes.start + range.end * size;
    let mut numbers = entry.number.widen(&shard.bytes[place.clone()]);
    shard.bytes.release(place);
    if let Some(scales) = scales {
        scales.scale(range, &mut numbers);
    }
    if let Some(bad) = numbers.iter().find(|number| !number.is_finite()) {
        let reason = format!("the tensor `{}` holds the value {bad}", entry.name);
        return Err(WeightsError::Corrupt { file: shard.file.clone(), reason });
    }
    Ok(numbers)
}

impl TensorSource for Checkpoint {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let scales = self.block_scales(name, shape)?;
        let numbers = numbers(self.entry(name, shape)?, scales.as_ref(), 0..shape.iter().product())?;
        Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
    }

    fn matrix(&mut self, name: &str, (outputs, inputs): (usize, usize), format: Format) -> Result<Rows, WeightsError> {
        let scales = self.block_scales(name, &[outputs, inputs])?;
        let place = self.entry(name, &[outputs, inputs])?;
        Rows::convert(format, inputs, outputs, |rows| {
            numbers(place, scales.as_ref(), rows.start * inputs..rows.end * inputs)
        })
    }

    fn claim(&mut self, name: &str, shape: &[usize]) -> Result<(), WeightsError> {
        self.block_scales(name, shape)?;
        self.entry(name, shape).map(|_| ())
    }

    fn stored_format(&self, name: &str) -> Format {
        match self.entries.get(name).map(|(_, entry)| entry.number) {
            Some(Number::F16) => Format::F16,
            Some(Number::Bf16) => Format::Bf16,
            Some(Number::F8E4m3) => Format::Q8_0,
            Some(Number::F32) | None => Format::F32,
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }
}

impl WeightFiles for Checkpoint {
    fn digests(&self) -> Vec<Digest> {
        self.shards.iter().map(|shard| shard.bytes.digest()).collect()
    }

    fn has_own_head(&self) -> bool {
        let [head, table] = [HEAD, TABLE].map(|name| self.entries.get(name));
        matches!((head, table), (Some(head), Some(table)) if !self.are_equal(head, table))
    }

    fn repacked(&self) -> Repacked {
        let entries = self.used.iter().filter_map(|name| self.entries.get(name));
        let eight_bit = entries.filter(|(_, entry)| entry.number == Number::F8E4m3);
        let bytes: u64 = eight_bit.map(|(_, entry)| entry.bytes.len() as u64).sum();
        if bytes == 0 {
            return Repacked::default();
        }
        Repacked { formats: vec![("F8_E4M3", bytes)], kept: vec![Format::Q8_0] }
    }

    fn zero_tensors(&self) -> Vec<String> {
        self.zero.iter().cloned().collect()
    }

    fn check_all_used(&self, leftover: Leftover) -> Result<(), WeightsError> {
        // Older files carry the rotary frequencies, which follow from the configuration.
        let excused = |name: &str| name.ends_with(".inv_freq") || (leftover == Leftover::TiedHead && name == HEAD);
        let unused: BTreeSet<&String> =
            self.entries.keys().filter(|name| !self.used.contains(*name) && !excused(name)).collect();
        match unused.first() {
            Some(first) => Err(WeightsError::Unknown { first: (*first).clone(), count: unused.len() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{Dtype, TensorView};

    fn bytes(names: &[&str]) -> Vec<u8> {
        let data: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|n| n.to_le_bytes()).collect();
        let views = names.iter().map(|name| (*name, TensorView::new(Dtype::F32, vec![2, 3], &data).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    fn from(files: &[(&str, &[&str])]) -> Result<Checkpoint, WeightsError> {
        let files = files.iter().map(|(file, names)| (file.to_string(), FileBytes::Owned(bytes(names)))).collect();
        Checkpoint::from_files(files)
    }

    #[test]
    fn tensors_come_with_the_shape_asked_for_or_not_at_all() {
        let mut checkpoint = from(&[("one", &["a"]), ("two", &["b"])]).unwrap();
        let tensor = checkpoint.tensor("b", &[2, 3]).unwrap();
        assert_eq!(tensor.to_vec2::<f32>().unwrap(), vec![vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]]);
        let message = |result: Result<Tensor, WeightsError>| result.unwrap_err().to_string();
        assert_eq!(
            message(checkpoint.tensor("a", &[3, 2])),
            "the tensor `a` has the shape [2, 3]; the configuration calls for [3, 2]"
        );
        assert_eq!(message(checkpoint.tensor("c", &[1])), "the weights lack the tensor `c`");
    }

    #[test]
    fn leftovers_are_an_error_unless_excused() {
        let mut checkpoint = from(&[("one", &["a", "lm_head.weight", "q.bias"])]).unwrap();
        checkpoint.tensor("a", &[2, 3]).unwrap();
        assert_eq!(
            checkpoint.check_all_used(Leftover::TiedHead).unwrap_err().to_string(),
            "the weights hold 1 tensors that the configuration has no place for, first `q.bias`"
        );
        checkpoint.tensor("q.bias", &[2, 3]).unwrap();
        assert!(checkpoint.check_all_used(Leftover::TiedHead).is_ok());
        assert!(checkpoint.check_all_used(Leftover::Nothing).is_err());
    }

    #[test]
    fn a_tensor_in_two_files_is_refused() {
        let error = from(&[("one", &["a"]), ("two", &["a"])]).err().unwrap().to_string();
        assert_eq!(error, "two: the tensor `a` is in an earlier file already");
    }

    #[test]
    fn a_folder_is_read_whole_or_by_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let message = || Checkpoint::open(folder.path()).err().map(|error| error.to_string());
        assert!(message().unwrap().ends_with("there is neither model.safetensors nor model.safetensors.index.json"));
        write("x-1.safetensors", &bytes(&["a"]));
        write("x-2.safetensors", &bytes(&["b"]));
        write(INDEX, br#"{"metadata":{},"weight_map":{"a":"x-1.safetensors","b":"x-2.safetensors"}}"#);
        assert_eq!(message(), None);
        write(INDEX, br#"{"metadata":{},"weight_map":{"a":"x-2.safetensors","b":"x-2.safetensors"}}"#);
        let expected = "the tensor `a` is said to be in `x-2.safetensors`, which lacks it";
        assert!(message().unwrap().ends_with(expected));
        write(SINGLE, &bytes(&["a"]));
        assert_eq!(message(), None);
    }

    #[test]
    fn eight_bit_floats_are_scaled_by_blocks() {
        // 1, 2, -1 and 0.5 in turns, in 130 rows of 200: blocks of 128 and what is left over.
        let (rows, columns) = (130, 200);
        let data: Vec<u8> = (0..rows * columns).map(|i| [0x38, 0x40, 0xB8, 0x30][i % 4]).collect();
        let scales: Vec<u8> = [1.0f32, 10.0, 100.0, 1000.0].iter().flat_map(|scale| scale.to_le_bytes()).collect();
        let open = |scales_shape: &[usize]| {
            let matrix = TensorView::new(Dtype::F8_E4M3, vec![rows, columns], &data).unwrap();
            let scales = TensorView::new(Dtype::F32, scales_shape.to_vec(), &scales).unwrap();
            let bytes = safetensors::serialize([("a", matrix), ("a_scale_inv", scales)], None).unwrap();
            Checkpoint::from_files(vec![("one".to_string(), FileBytes::Owned(bytes))]).unwrap()
        };
        let mut checkpoint = open(&[2, 2]);
        let expected = |row: usize, column: usize| {
            let scale = [[1.0, 10.0], [100.0, 1000.0]][row / 128][column / 128];
            [1.0, 2.0, -1.0, 0.5][(row * columns + column) % 4] * scale
        };
        let found = checkpoint.tensor("a", &[rows, columns]).unwrap().to_vec2::<f32>().unwrap();
        assert!((0..rows).all(|row| (0..columns).all(|column| found[row][column] == expected(row, column))));
        assert_eq!(checkpoint.stored_format("a"), Format::Q8_0);
        let packed = checkpoint.matrix("a", (rows, columns), Format::F32).unwrap();
        assert!((0..rows).all(|row| packed.floats(row) == found[row]));
        checkpoint.check_all_used(Leftover::Nothing).unwrap();
        assert_eq!(checkpoint.repacked().formats, [("F8_E4M3", (rows * columns) as u64)]);
        let message = |shape: &[usize]| open(shape).tensor("a", &[rows, columns]).unwrap_err().to_string();
        assert_eq!(
            message(&[1, 4]),
            "the tensor `a_scale_inv` has the shape [1, 4]; the configuration calls for [2, 2]"
        );
    }
}
