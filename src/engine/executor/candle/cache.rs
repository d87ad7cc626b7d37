//! The keys and values of all sequences in two tensors a layer. A block table says where a
//! sequence's tokens are, as everywhere in the engine.

use crate::kernels::Heads;
use candle_core::{DType, Device, Result, Tensor};

/// Keys and values, `[n_kv, slots, d]` each, for every layer.
pub(super) struct Cache {
    layers: Vec<[Tensor; 2]>,
    heads: Heads,
}

impl Cache {
    /// Creates a cache whose numbers are all zero. On a GPU all of its memory is taken here.
    pub(super) fn new(device: &Device, layers: usize, heads: Heads, slots: usize) -> Result<Self> {
        let zeros = || Tensor::zeros((heads.n_kv, slots, heads.d), format(device), device);
        let layers = (0..layers).map(|_| Ok([zeros()?, zeros()?])).collect::<Result<_>>()?;
        Ok(Self { layers, heads })
    }

    /// Returns `slots` as [`store`](Self::store) takes them: `[n_kv, t, d]`, the slot of every
    /// number.
    pub(super) fn places(&self, slots: &[u32], device: &Device) -> Result<Tensor> {
        let Heads { n_kv, d, .. } = self.heads;
        Tensor::new(slots, device)?.reshape((1, slots.len(), 1))?.broadcast_as((n_kv, slots.len(), d))?.contiguous()
    }

    /// Stores keys and values, `[t, n_kv, d]` each, in their places.
    pub(super) fn store(&self, layer: usize, places: &Tensor, rows: [&Tensor; 2]) -> Result<()> {
        for (cache, rows) in self.layers[layer].iter().zip(rows) {
            let rows = rows.transpose(0, 1)?.contiguous()?.to_dtype(cache.dtype())?;
            cache.scatter_set(places, &rows, 1)?;
        }
        Ok(())
    }

    /// Returns the keys and the values in `slots`, `[n_kv, slots, d]` in f32 each.
    pub(super) fn gather(&self, layer: usize, slots: &Tensor) -> Result<[Tensor; 2]> {
        let [keys, values] = &self.layers[layer];
        let gather = |cache: &Tensor| cache.index_select(slots, 1)?.to_dtype(DType::F32);
        Ok([gather(keys)?, gather(values)?])
    }
}

/// Returns the number format of keys and values: on a GPU 16 bits, as with our own kernels.
fn format(device: &Device) -> DType {
    if device.is_cpu() { DType::F32 } else { DType::F16 }
}

/// Returns the bytes of the keys and values of one token in one layer.
pub(super) fn token_bytes(device: &Device, heads: Heads) -> usize {
    2 * heads.n_kv * heads.d * format(device).size_in_bytes()
}
