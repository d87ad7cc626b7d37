//! Models that were split into several files, `NAME-00001-of-00003.gguf` and so on. The first part
//! has the metadata; all parts are required.

use super::header::Header;
use super::metadata::Metadata;
use crate::weights::{FileBytes, WeightsError};
use std::path::{Path, PathBuf};

const COUNT: &str = "split.count";
const NUMBER: &str = "split.no";
const TENSORS: &str = "split.tensors.count";
/// The most parts that names have room for.
const MAX_PARTS: u64 = 99_999;

/// One file of a model.
pub(super) struct Part {
    pub(super) file: String,
    pub(super) bytes: FileBytes,
    pub(super) header: Header,
}

impl Part {
    pub(super) fn metadata(&self) -> Metadata<'_> {
        Metadata { file: &self.file, bytes: &self.bytes, values: &self.header.metadata }
    }
}

/// Splits `NAME-00002-of-00003.gguf` into what stands before the numbers, the number of the part
/// and the number of parts.
fn numbered(path: &Path) -> Option<(String, u64, u64)> {
    let stem = path.file_stem()?.to_str()?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (name, number) = rest.rsplit_once('-')?;
    let number_of = |digits: &str| {
        let all_digits = digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if all_digits { digits.parse().ok() } else { None }
    };
    Some((name.to_string(), number_of(number)?, number_of(count)?))
}

/// Returns the first of these files if they are exactly the parts of one model, by their names.
pub(crate) fn first_of_parts(paths: &[PathBuf]) -> Option<&PathBuf> {
    let mut named: Vec<_> = paths.iter().map(|path| Some((numbered(path)?, path))).collect::<Option<_>>()?;
    named.sort();
    let ((name, _, count), first) = named.first()?.clone();
    let complete = named.iter().zip(1..).all(|((part, _), number)| *part == (name.clone(), number, count));
    (complete && named.len() as u64 == count).then_some(first)
}

/// Returns the paths of all parts of a model whose first part is at `path`; that path alone where
/// the file is whole.
///
/// # Errors
/// A part that is not the first, or a name that says nothing of parts.
pub(super) fn paths(path: &Path, first: Metadata<'_>) -> Result<Vec<PathBuf>, WeightsError> {
    let count = first.whole(COUNT)?.unwrap_or(1);
    if count <= 1 {
        return Ok(vec![path.to_path_buf()]);
    }
    if count > MAX_PARTS {
        return Err(first.wrong(COUNT, &format!("{count} parts; at most {MAX_PARTS} are allowed")));
    }
    let Some((name, number, of)) = numbered(path).filter(|(_, _, of)| *of == count) else {
        let reason = format!(
            "this is one of {count} parts of a model, whose names must end in `-00001-of-{count:05}.gguf` and so on"
        );
        return Err(first.wrong(COUNT, &reason));
    };
    let named = |number: u64| path.with_file_name(format!("{name}-{number:05}-of-{of:05}.gguf"));
    if number != 1 {
        let reason = format!("this is part {number} of {count}: give the first one, {}", named(1).display());
        return Err(first.wrong(NUMBER, &reason));
    }
    (1..=count)
        .map(|number| match named(number) {
            path if path.exists() => Ok(path),
            path => {
                let reason = format!("there is no such file; it is part {number} of {count} of the model");
                Err(WeightsError::Unreadable { file: path.display().to_string(), reason })
            }
        })
        .collect()
}

/// Checks that files are all parts of one model, in order.
///
/// # Errors
/// Parts that are missing, of another model, or in another order.
pub(super) fn check(parts: &[Part]) -> Result<(), WeightsError> {
    for (index, part) in parts.iter().enumerate() {
        let metadata = part.metadata();
        let count = metadata.whole(COUNT)?.unwrap_or(1).max(1);
        if count != parts.len() as u64 {
            let reason = format!("this is one of {count} parts of a model, and {} are at hand", parts.len());
            return Err(metadata.wrong(COUNT, &reason));
        }
        let number = metadata.whole(NUMBER)?.unwrap_or(0);
        if number != index as u64 {
            return Err(metadata.wrong(NUMBER, &format!("{number} in part {index}, counted from 0")));
        }
    }
    let first = parts[0].metadata();
    let tensors: usize = parts.iter().map(|part| part.header.tensors.len()).sum();
    match first.whole(TENSORS)?.filter(|_| parts.len() > 1) {
        Some(declared) if declared != tensors as u64 => {
            Err(first.wrong(TENSORS, &format!("{declared}, but the parts hold {tensors} tensors")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_by_their_names() {
        let first = |names: &[&str]| {
            let paths: Vec<PathBuf> = names.iter().map(|name| PathBuf::from(format!("d/{name}.gguf"))).collect();
            first_of_parts(&paths).map(|path| path.display().to_string())
        };
        let whole = ["m-00002-of-00002", "m-00001-of-00002"];
        assert_eq!(first(&whole).as_deref(), Some("d/m-00001-of-00002.gguf"));
        assert_eq!(first(&["m-00001-of-00002", "n-00002-of-00002"]), None);
        assert_eq!(first(&["m-00001-of-00003", "m-00002-of-00003"]), None);
        assert_eq!(first(&["m-00001-of-00002", "m-00002-of-00002", "other"]), None);
        assert_eq!(first(&["m-1-of-2", "m-2-of-2"]), None);
    }
}
