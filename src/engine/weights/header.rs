//! The header of a safetensors file and the index of a sharded one, parsed here so that duplicate
//! names, overlapping or overflowing ranges and paths that leave the folder are refused. Knows
//! nothing of candle.

use super::WeightsError;
use super::number::{Number, READABLE};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

/// The format's own bound on the header.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const LENGTH_BYTES: usize = 8;

/// One tensor in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) number: Number,
    pub(super) shape: Vec<usize>,
    /// Where its bytes are in the file.
    pub(super) bytes: Range<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// A header value: a tensor, or the free-form `__metadata__`.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawValue {
    Tensor(RawEntry),
    Other(serde::de::IgnoredAny),
}

/// A JSON object whose keys may not repeat.
struct UniqueMap<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = UniqueMap<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut entries, mut seen) = (Vec::new(), HashSet::new());
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format!("the name `{key}` occurs twice")));
                    }
                    entries.push((key, map.next_value()?));
                }
                Ok(UniqueMap(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Reads the tensors of a safetensors file. Every range is checked: it lies in the file, has the
/// size that shape and number format give, and overlaps no other.
pub(super) fn read_header(file: &str, bytes: &[u8]) -> Result<Vec<Entry>, WeightsError> {
    let corrupt = |reason: String| WeightsError::Corrupt { file: file.to_string(), reason };
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>().map(|bytes| u64::from_le_bytes(*bytes)) else {
        return Err(corrupt(format!("not a safetensors file: it has {} bytes", bytes.len())));
    };
    let room = (bytes.len() - LENGTH_BYTES) as u64;
    if length > room || length > MAX_HEADER_BYTES {
        return Err(corrupt(format!(
            "not a safetensors file: a header of {length} bytes in a file of {}",
            bytes.len()
        )));
    }
    let data_start = LENGTH_BYTES + length as usize;
    let header: UniqueMap<RawValue> = serde_json::from_slice(&bytes[LENGTH_BYTES..data_start])
        .map_err(|error| corrupt(format!("not a safetensors header: {error}")))?;

    let mut entries = Vec::with_capacity(header.0.len());
    for (name, value) in header.0 {
        match value {
            RawValue::Tensor(raw) => entries.push(checked(file, name, raw, data_start, bytes.len())?),
            RawValue::Other(_) if name == "__metadata__" => {}
            RawValue::Other(_) => {
                return Err(corrupt(format!("the tensor `{name}` lacks one of dtype, shape, data_offsets")));
            }
        }
    }
    let mut by_start: Vec<&Entry> = entries.iter().filter(|entry| !entry.bytes.is_empty()).collect();
    by_start.sort_by_key(|entry| entry.bytes.start);
    if let Some(pair) = by_start.windows(2).find(|pair| pair[0].bytes.end > pair[1].bytes.start) {
        return Err(corrupt(format!("the tensors `{}` and `{}` overlap", pair[0].name, pair[1].name)));
    }
    Ok(entries)
}

fn checked(
    file: &str,
    name: String,
    raw: RawEntry,
    data_start: usize,
    file_bytes: usize,
) -> Result<Entry, WeightsError> {
    let corrupt = |reason: String| WeightsError::Corrupt { file: file.to_string(), reason };
    let Some(number) = Number::from_name(&raw.dtype) else {
        return Err(WeightsError::Format { file: file.to_string(), name, format: raw.dtype, readable: READABLE });
    };
    let size = raw.shape.iter().try_fold(number.bytes(), |size, &dim| size.checked_mul(dim));
    let (begin, end) = raw.data_offsets;
    if end < begin || size != Some(end - begin) {
        return Err(corrupt(format!(
            "the tensor `{name}` of shape {:?} in {} cannot take the bytes {begin}..{end}",
            raw.shape, raw.dtype
        )));
    }
    match (data_start.checked_add(begin), data_start.checked_add(end)) {
        (Some(start), Some(stop)) if stop <= file_bytes => {
            Ok(Entry { name, number, shape: raw.shape, bytes: start..stop })
        }
        _ => Err(corrupt(format!("the tensor `{name}` ends after the end of the file (is the file cut short?)"))),
    }
}

#[derive(Deserialize)]
struct RawIndex {
    weight_map: UniqueMap<String>,
}

/// Reads the `weight_map` of `model.safetensors.index.json`: (tensor, shard), every shard a plain
/// file name.
pub(super) fn read_index(file: &str, bytes: &[u8]) -> Result<Vec<(String, String)>, WeightsError> {
    let corrupt = |reason: String| WeightsError::Corrupt { file: file.to_string(), reason };
    // Some editors put a byte-order mark first.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let index: RawIndex =
        serde_json::from_slice(bytes).map_err(|error| corrupt(format!("not a safetensors index: {error}")))?;
    for (name, shard) in &index.weight_map.0 {
        let plain = !shard.contains(['/', '\\', ':', '\0']) && !shard.starts_with('.');
        if !plain || !shard.ends_with(".safetensors") {
            return Err(corrupt(format!(
                "the tensor `{name}` is said to be in `{shard}`, which is not the plain name of a .safetensors file"
            )));
        }
    }
    if index.weight_map.0.is_empty() {
        return Err(corrupt("`weight_map` is empty".to_string()));
    }
    Ok(index.weight_map.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data_bytes: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data_bytes, 0);
        bytes
    }

    fn check(header: &str, data_bytes: usize, expected: &str) {
        let found = match read_header("m.safetensors", &file(header, data_bytes)) {
            Ok(entries) => format!("{:?}", entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>()),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn headers_are_checked() {
        let a = r#""a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}"#;
        check(&format!("{{{a}}}"), 24, "[\"a\"]");
        check(&format!("{{\"__metadata__\":{{\"format\":\"pt\"}},{a}}}"), 24, "[\"a\"]");
        check(
            &format!("{{{a}}}"),
            23,
            "m.safetensors: the tensor `a` ends after the end of the file (is the file cut short?)",
        );
        check(
            &format!("{{{a},{a}}}"),
            24,
            "m.safetensors: not a safetensors header: the name `a` occurs twice at line 1 column 60",
        );
        check(
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
            "b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            8,
            "m.safetensors: the tensors `a` and `b` overlap",
        );
        check(
            r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#,
            0,
            "m.safetensors: the tensor `a` of shape [4611686018427387904, 4] in F32 cannot take the bytes 0..0",
        );
        check(
            r#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#,
            8,
            "m.safetensors: the tensor `a` is stored as I64; F32, F16, BF16 and F8_E4M3 can be read",
        );
        check(r#"{"a":{"dtype":"F32"}}"#, 0, "m.safetensors: the tensor `a` lacks one of dtype, shape, data_offsets");
    }

    #[test]
    fn what_is_not_safetensors_is_said_so() {
        let message = |bytes: &[u8]| read_header("f", bytes).unwrap_err().to_string();
        assert_eq!(message(b"abc"), "f: not a safetensors file: it has 3 bytes");
        assert_eq!(
            message(b"version https://git-lfs"),
            "f: not a safetensors file: a header of 2336927755350992246 bytes in a file of 23"
        );
    }

    #[test]
    fn an_index_names_plain_files_only() {
        let check = |json: &str| read_index("i", json.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(
            check(r#"{"weight_map":{"a":"m-1.safetensors"}}"#).unwrap(),
            vec![("a".into(), "m-1.safetensors".into())]
        );
        for shard in ["../m.safetensors", "/etc/m.safetensors", "d\\\\m.safetensors", ".m.safetensors", "m.bin"] {
            let error = check(&format!(r#"{{"weight_map":{{"a":"{shard}"}}}}"#)).unwrap_err();
            assert!(error.ends_with("which is not the plain name of a .safetensors file"), "{error}");
        }
        assert!(check(r#"{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}"#).unwrap_err().contains("twice"));
        assert!(check("{}").unwrap_err().contains("weight_map"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..100) {
            let _ = read_header("f", &bytes);
            let _ = read_index("f", &bytes);
            let good = file(r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#, 24);
            let _ = read_header("f", &good[..cut.min(good.len())]);
        }
    }
}
