//! The K/V pool: memory for the keys and values of all layers, in blocks. Who owns which block is
//! [`blocks`](super::blocks)' business.

use super::kernels::{KvLayer, KvShape};

/// Keys and values of `blocks` blocks in every layer. Memory is taken from the system when a block
/// is first written.
pub(crate) struct KvPool {
    shape: KvShape,
    layers: Vec<KvLayer>,
}

impl KvPool {
    /// An empty pool.
    pub(crate) fn new(shape: KvShape, layers: usize, blocks: usize) -> Self {
        Self { shape, layers: (0..layers).map(|_| shape.layer(blocks)).collect() }
    }

    /// How the memory is laid out.
    pub(crate) fn shape(&self) -> KvShape {
        self.shape
    }

    /// One layer.
    pub(crate) fn layer(&mut self, layer: usize) -> &mut KvLayer {
        &mut self.layers[layer]
    }
}
