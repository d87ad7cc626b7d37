//! Converted matrices on disk, so that a large model is quantized once. One file per matrix, named
//! after it, in a folder named after the digest of the weights; a file that is damaged or of
//! another shape is made anew. A cache that cannot be written costs time, never the run.

use super::{TensorSource, WeightsError};
use crate::base::Digest;
use crate::kernels::{Format, Rows};
use candle_core::Tensor;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Opens every file; changes when its layout or the converters do.
const MAGIC: &[u8; 16] = b"maspo weights 1\n";

/// The magic, two sizes and a digest.
const HEAD_BYTES: usize = 16 + 2 * 8 + 32;

/// A source whose conversions are kept in a folder.
pub struct CachedWeights<'a> {
    source: &'a mut dyn TensorSource,
    folder: PathBuf,
}

impl<'a> CachedWeights<'a> {
    /// Keeps what `source` converts, its content being `digest`, below `root`.
    pub fn new(source: &'a mut dyn TensorSource, root: &Path, digest: Digest) -> Self {
        Self { source, folder: root.join(digest.to_string()) }
    }

    /// The user's own place for such files; `None` where the system names none.
    pub fn default_root() -> Option<PathBuf> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
        caches.is_absolute().then(|| caches.join("maspo").join("weights"))
    }

    fn path(&self, name: &str, format: Format) -> PathBuf {
        self.folder.join(format!("{name}.{format}"))
    }
}

impl TensorSource for CachedWeights<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        self.source.tensor(name, shape)
    }

    fn matrix(&mut self, name: &str, shape: (usize, usize), format: Format) -> Result<Rows, WeightsError> {
        if format.block() == 1 || format == self.source.stored_format(name) {
            return self.source.matrix(name, shape, format);
        }
        let path = self.path(name, format);
        if let Some(rows) = read(&path, shape, format) {
            self.source.claim(name, &[shape.0, shape.1])?;
            return Ok(rows);
        }
        let rows = self.source.matrix(name, shape, format)?;
        // What is not kept is computed again next time.
        let _ = write(&path, shape, &rows);
        Ok(rows)
    }

    fn claim(&mut self, name: &str, shape: &[usize]) -> Result<(), WeightsError> {
        self.source.claim(name, shape)
    }

    fn stored_format(&self, name: &str) -> Format {
        self.source.stored_format(name)
    }

    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }
}

/// What a file must start with: magic, shape, and the digest of the rest.
fn head((outputs, inputs): (usize, usize), bytes: &[u8]) -> Vec<u8> {
    let sizes = [outputs, inputs].map(|size| (size as u64).to_le_bytes()).concat();
    [&MAGIC[..], &sizes, &super::digest_bytes(bytes).0].concat()
}

/// The matrix in `path`; `None` where there is no sound one.
fn read(path: &Path, shape: (usize, usize), format: Format) -> Option<Rows> {
    let size = shape.0.checked_mul(format.row_bytes(shape.1))?;
    let mut file = fs::File::open(path).ok()?;
    if file.metadata().ok()?.len() != (HEAD_BYTES + size) as u64 {
        return None;
    }
    let (mut start, mut content) = ([0; HEAD_BYTES], vec![0; size]);
    file.read_exact(&mut start).ok()?;
    file.read_exact(&mut content).ok()?;
    (start[..] == head(shape, &content)).then(|| Rows::stored(format, shape.1, content))
}

/// Writes beside the place and moves it there, so that no half file is ever read.
fn write(path: &Path, shape: (usize, usize), rows: &Rows) -> std::io::Result<()> {
    let folder = path.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder)?;
    // Neither another process nor another thread of this one writes to the same place.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let unfinished = folder.join(format!("{}-{number}.unfinished", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(&head(shape, rows.bytes()))?;
        file.write_all(rows.bytes())?;
        fs::rename(&unfinished, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Seed;
    use crate::weights::RandomWeights;

    /// Random weights that count their conversions.
    struct Counted(RandomWeights, usize);

    impl TensorSource for Counted {
        fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
            self.0.tensor(name, shape)
        }

        fn matrix(&mut self, name: &str, shape: (usize, usize), format: Format) -> Result<Rows, WeightsError> {
            self.1 += 1;
            self.0.matrix(name, shape, format)
        }

        fn contains(&self, _: &str) -> bool {
            true
        }
    }

    #[test]
    fn a_matrix_is_converted_once_and_again_when_its_file_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let mut source = Counted(RandomWeights::new(Seed(1)), 0);
        let digest = Digest::of(b"weights");
        let mut take = |format: Format| {
            let rows = CachedWeights::new(&mut source, folder.path(), digest).matrix("a", (3, 64), format).unwrap();
            (rows.bytes().to_vec(), source.1)
        };
        let (first, count) = take(Format::Q8_0);
        assert_eq!((take(Format::Q8_0), count), ((first.clone(), 1), 1));
        assert_eq!(take(Format::F32).1, 2, "what needs no computing is not kept");
        let path = folder.path().join(digest.to_string()).join("a.q8_0");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(take(Format::Q8_0), (first.clone(), 3));
        fs::write(&path, b"short").unwrap();
        assert_eq!(take(Format::Q8_0), (first.clone(), 4));
        assert_eq!(take(Format::Q8_0), (first, 4));
    }

    #[test]
    fn a_place_that_cannot_be_written_costs_nothing_but_time() {
        let mut source = RandomWeights::new(Seed(1));
        let nowhere = Path::new("/proc/nowhere");
        let mut cached = CachedWeights::new(&mut source, nowhere, Digest::of(b"weights"));
        assert_eq!(cached.matrix("a", (3, 64), Format::Q8_0).unwrap().outputs(), 3);
    }
}
