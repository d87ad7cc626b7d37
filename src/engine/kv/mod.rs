//! The K/V pool: memory for the keys and values of all layers, in blocks. Which sequence holds
//! which block is decided in [`blocks`](super::blocks).

use super::kernels::{KvLayer, KvShape};

/// The keys and values of all blocks in every layer. The system gives the memory when a block is
/// first written.
pub(crate) struct KvPool {
    shape: KvShape,
    layers: Vec<KvLayer>,
}

impl KvPool {
    /// Creates an empty pool of `blocks` blocks.
    pub(crate) fn new(shape: KvShape, layers: usize, blocks: usize) -> Self {
        Self { shape, layers: (0..layers).map(|_| shape.layer(blocks)).collect() }
    }

    /// Returns the memory layout of a layer.
    pub(crate) fn shape(&self) -> KvShape {
        self.shape
    }

    /// Returns one layer's memory.
    pub(crate) fn layer(&mut self, layer: usize) -> &mut KvLayer {
        &mut self.layers[layer]
    }
}
