//! A source that tells how far loading has come.

use super::{TensorSource, WeightsError};
use crate::kernels::{Format, Rows};
use candle_core::Tensor;

/// Calls `tell` with the number of weights so far, before every tensor.
pub struct WatchedWeights<'a> {
    source: &'a mut dyn TensorSource,
    done: u64,
    tell: &'a mut dyn FnMut(u64),
}

impl<'a> WatchedWeights<'a> {
    /// Over `source`.
    pub fn new(source: &'a mut dyn TensorSource, tell: &'a mut dyn FnMut(u64)) -> Self {
        Self { source, done: 0, tell }
    }

    fn count(&mut self, shape: &[usize]) {
        (self.tell)(self.done);
        self.done += shape.iter().product::<usize>() as u64;
    }
}

impl TensorSource for WatchedWeights<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        self.count(shape);
        self.source.tensor(name, shape)
    }

    fn matrix(&mut self, name: &str, shape: (usize, usize), format: Format) -> Result<Rows, WeightsError> {
        self.count(&[shape.0, shape.1]);
        self.source.matrix(name, shape, format)
    }

    fn claim(&mut self, name: &str, shape: &[usize]) -> Result<(), WeightsError> {
        self.source.claim(name, shape)
    }

    fn stored_format(&self, name: &str) -> Format {
        self.source.stored_format(name)
    }

    fn is_random(&self) -> bool {
        self.source.is_random()
    }

    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Seed;
    use crate::weights::RandomWeights;

    #[test]
    fn it_counts_weights() {
        let (mut random, mut told) = (RandomWeights::new(Seed(1)), Vec::new());
        let mut tell = |done| told.push(done);
        let mut watched = WatchedWeights::new(&mut random, &mut tell);
        watched.matrix("a", (3, 64), Format::Q8_0).unwrap();
        watched.tensor("b", &[5]).unwrap();
        watched.tensor("c", &[5]).unwrap();
        assert_eq!(told, [0, 192, 197]);
    }
}
