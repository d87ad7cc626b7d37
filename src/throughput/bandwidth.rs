//! Measures the memory's read bandwidth with the threads that the engine uses.

use crate::base::Stopwatch;
use rayon::prelude::*;
use std::hint::black_box;

/// The buffer, larger than any cache of the machines that this runs on.
const BUFFER_BYTES: usize = 512 << 20;
const CHUNK_WORDS: usize = 1 << 17;
const PASSES: usize = 7;

/// Returns the bytes per second that `threads` threads read from memory: the best of seven passes
/// over 512 MiB.
///
/// # Errors
/// Returns an error if the operating system refuses the threads.
pub fn read_bandwidth(threads: usize) -> Result<f64, rayon::ThreadPoolBuildError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    Ok(pool.install(|| {
        let words = BUFFER_BYTES / size_of::<u64>();
        // It is written before it is read, so that each page has memory of its own.
        let buffer: Vec<u64> = (0..words as u64).into_par_iter().collect();
        let pass = || {
            let watch = Stopwatch::start();
            black_box(buffer.par_chunks(CHUNK_WORDS).map(sum).reduce(|| 0, u64::wrapping_add));
            BUFFER_BYTES as f64 / watch.seconds()
        };
        (0..PASSES).map(|_| pass()).fold(0.0, f64::max)
    }))
}

/// Adds up words in eight independent sums, so that the additions do not wait for each other.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 8];
    for group in words.as_chunks::<8>().0 {
        for (sum, word) in sums.iter_mut().zip(group) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |total, sum| total.wrapping_add(*sum))
}
