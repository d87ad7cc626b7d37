//! The head of a GGUF file: counts, metadata, and where the tensors are. Everything is checked
//! against the file's length before it is believed; nothing is allocated by a number that the file
//! gives.

use super::kind::{Kind, READABLE};
use super::metadata::{Metadata, Value, read_value};
use super::reader::{Fault, Reader};
use crate::weights::WeightsError;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

const MAGIC: &[u8; 4] = b"GGUF";
/// A Qwen3-32B has 707 tensors, and its files some forty keys.
const MAX_TENSORS: u64 = 1 << 16;
const MAX_KEYS: u64 = 1 << 12;
/// The format's own bounds.
const MAX_KEY_BYTES: usize = 65_535;
const MAX_NAME_BYTES: usize = 64;
const MAX_DIMS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// One tensor in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Rows first, as everywhere but in GGUF files.
    pub(super) shape: Vec<usize>,
    /// Where its bytes are in the file.
    pub(super) bytes: Range<usize>,
}

/// What the head of a file says.
pub(super) struct Header {
    pub(super) metadata: HashMap<String, Value>,
    pub(super) tensors: HashMap<String, Entry>,
}

/// A tensor before its place is checked.
struct RawEntry {
    kind: u32,
    /// The width of a row first.
    dims: Vec<u64>,
    offset: u64,
}

/// Reads and checks the head of a file.
pub(super) fn read_header(file: &str, bytes: &[u8]) -> Result<Header, WeightsError> {
    let corrupt = |reason: String| WeightsError::Corrupt { file: file.to_string(), reason };
    let mut reader = Reader::new(bytes);
    let (tensor_count, key_count) = read_counts(&mut reader, bytes).map_err(corrupt)?;
    let metadata = read_metadata(&mut reader, key_count).map_err(corrupt)?;
    let view = Metadata { file, bytes, values: &metadata };
    let alignment = view.whole("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() {
        return Err(corrupt(format!("the key `general.alignment`: {alignment} is not a power of two")));
    }
    let raw = read_infos(&mut reader, tensor_count).map_err(corrupt)?;
    let data_start = (reader.at() as u64).checked_next_multiple_of(alignment);
    let mut tensors = HashMap::with_capacity(raw.len());
    for (name, raw) in raw {
        let entry = checked(file, &name, &raw, data_start, alignment, bytes.len())?;
        tensors.insert(name, entry);
    }
    match overlap(&tensors) {
        Some((one, other)) => Err(corrupt(format!("the tensors `{one}` and `{other}` overlap"))),
        None => Ok(Header { metadata, tensors }),
    }
}

/// Magic and version, then the numbers of tensors and keys.
fn read_counts(reader: &mut Reader<'_>, bytes: &[u8]) -> Result<(u64, u64), Fault> {
    let magic = reader.skip(4).map_err(|_| format!("not a GGUF file: it has {} bytes", bytes.len()))?;
    if bytes[magic] != MAGIC[..] {
        return Err("not a GGUF file: it does not begin with `GGUF`".to_string());
    }
    let in_counts = |fault: Fault| format!("the head of the file: {fault}");
    match reader.u32().map_err(in_counts)? {
        2 | 3 => {}
        version if matches!(version.swap_bytes(), 1..=3) => {
            return Err("a big-endian GGUF file; little-endian ones can be read".to_string());
        }
        version => return Err(format!("version {version} of GGUF; versions 2 and 3 can be read")),
    }
    let tensors = reader.u64().map_err(in_counts)?;
    if tensors > MAX_TENSORS {
        return Err(format!("{tensors} tensors; at most {MAX_TENSORS} are allowed"));
    }
    let keys = reader.u64().map_err(in_counts)?;
    if keys > MAX_KEYS {
        return Err(format!("{keys} metadata keys; at most {MAX_KEYS} are allowed"));
    }
    Ok((tensors, keys))
}

fn read_metadata(reader: &mut Reader<'_>, count: u64) -> Result<HashMap<String, Value>, Fault> {
    let mut values = HashMap::new();
    for index in 1..=count {
        let place = reader.text(MAX_KEY_BYTES).map_err(|fault| format!("the name of metadata key {index}: {fault}"))?;
        let key = reader.at_place(place).to_string();
        let value = read_value(reader).map_err(|fault| format!("the key `{key}`: {fault}"))?;
        if values.contains_key(&key) {
            return Err(format!("the key `{key}` occurs twice"));
        }
        values.insert(key, value);
    }
    Ok(values)
}

fn read_infos(reader: &mut Reader<'_>, count: u64) -> Result<BTreeMap<String, RawEntry>, Fault> {
    let mut infos = BTreeMap::new();
    for index in 1..=count {
        let place = reader.text(MAX_NAME_BYTES).map_err(|fault| format!("the name of tensor {index}: {fault}"))?;
        let name = reader.at_place(place).to_string();
        let info = read_info(reader).map_err(|fault| format!("the tensor `{name}`: {fault}"))?;
        if infos.contains_key(&name) {
            return Err(format!("the tensor `{name}` occurs twice"));
        }
        infos.insert(name, info);
    }
    Ok(infos)
}

fn read_info(reader: &mut Reader<'_>) -> Result<RawEntry, Fault> {
    let count = reader.u32()?;
    if !(1..=MAX_DIMS).contains(&count) {
        return Err(format!("{count} dimensions; between 1 and {MAX_DIMS} are allowed"));
    }
    let dims = (0..count).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
    Ok(RawEntry { kind: reader.u32()?, dims, offset: reader.u64()? })
}

fn checked(
    file: &str,
    name: &str,
    raw: &RawEntry,
    data_start: Option<u64>,
    alignment: u64,
    file_bytes: usize,
) -> Result<Entry, WeightsError> {
    let corrupt = |reason: String| {
        Err(WeightsError::Corrupt { file: file.to_string(), reason: format!("the tensor `{name}`: {reason}") })
    };
    let kind = Kind::from_id(raw.kind).map_err(|format| WeightsError::Format {
        file: file.to_string(),
        name: name.to_string(),
        format,
        readable: READABLE,
    })?;
    let width = raw.dims[0];
    let numbers = raw.dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim));
    let blocks = numbers.map(|numbers| numbers / kind.block() as u64);
    let Some(size) = blocks.and_then(|blocks| blocks.checked_mul(kind.block_bytes() as u64)) else {
        return corrupt(format!("the shape {:?} has more numbers than can be counted", raw.dims));
    };
    if size == 0 || !width.is_multiple_of(kind.block() as u64) {
        let block = kind.block();
        return corrupt(format!("the shape {:?} is not made of rows of whole blocks of {block} numbers", raw.dims));
    }
    if !raw.offset.is_multiple_of(alignment) {
        return corrupt(format!("its offset {} is not a multiple of the alignment {alignment}", raw.offset));
    }
    let start = data_start.and_then(|start| start.checked_add(raw.offset));
    let end = start.and_then(|start| start.checked_add(size));
    match (start, end) {
        (Some(start), Some(end)) if end <= file_bytes as u64 => {
            // In the file, so every number here fits.
            let shape = raw.dims.iter().rev().map(|&dim| dim as usize).collect();
            Ok(Entry { kind, shape, bytes: start as usize..end as usize })
        }
        _ => corrupt("it ends after the end of the file (is the file cut short?)".to_string()),
    }
}

/// Two tensors that share bytes.
fn overlap(tensors: &HashMap<String, Entry>) -> Option<(&str, &str)> {
    let mut by_start: Vec<(&String, &Entry)> = tensors.iter().collect();
    by_start.sort_by_key(|(name, entry)| (entry.bytes.start, name.as_str()));
    let pair = by_start.windows(2).find(|pair| pair[0].1.bytes.end > pair[1].1.bytes.start)?;
    Some((pair[0].0, pair[1].0))
}
