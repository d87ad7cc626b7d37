//! The rules of the Metal kernels. Nothing goes through a workspace and no product is split, so
//! most of it is nothing; packing is a copy.

use super::dispatch::TILE_PAIRS;
use crate::kernels::Format;
use crate::kernels::gpu::{KernelRules, LinearNeeds, Packed, Weights};

/// The rules; they know no device.
pub(crate) struct MetalRules;

impl KernelRules for MetalRules {
    fn linear_splits(&self, _packing: Weights, _inputs: usize, _outputs: usize, _multiprocessors: u32) -> u32 {
        1
    }

    fn linear_needs(&self, _rows: usize, _outputs: usize, _splits: u32) -> LinearNeeds {
        LinearNeeds::default()
    }

    fn decode_attention_bytes(&self, _rows: usize, _n_q: usize, _d: usize, _keys: usize) -> usize {
        0
    }

    fn decode_attention_spread(&self, _rows: usize, _n_kv: usize, _keys: usize, _multiprocessors: u32) -> u32 {
        1
    }

    fn tile_tokens(&self, n_q: usize, n_kv: usize) -> usize {
        TILE_PAIRS / (n_q / n_kv)
    }

    fn argmax_bytes(&self, _rows: usize) -> usize {
        0
    }

    fn scores_bytes(&self, _asked: usize, _top: usize) -> usize {
        0
    }

    fn packed_bytes(&self, packing: Weights, inputs: usize, outputs: usize) -> usize {
        format(packing).map_or(0, |format| outputs * format.row_bytes(inputs))
    }

    /// Rows stay as they are; of a gated matrix, gate and up take turns.
    fn pack(
        &self,
        packing: Weights,
        rows: usize,
        inputs: usize,
        from: &[u8],
        up: Option<&[u8]>,
        to: Packed<'_>,
    ) -> Result<(), String> {
        let format = format(packing).ok_or("the Metal kernels have bf16, Q8_0 and Q4_K")?;
        let row_bytes = format.row_bytes(inputs);
        let Packed { bytes: to, scales } = to;
        assert!(scales.is_empty(), "none of these formats has scales of rows");
        assert_eq!(from.len(), rows * row_bytes, "whole rows");
        let Some(up) = up else {
            to.copy_from_slice(from);
            return Ok(());
        };
        assert!(
            up.len() == from.len() && to.len() == 2 * from.len(),
            "gate and up are of one shape, and there is room for both"
        );
        let pairs = from.chunks_exact(row_bytes).zip(up.chunks_exact(row_bytes));
        for (to, (gate, up)) in to.chunks_exact_mut(2 * row_bytes).zip(pairs) {
            to[..row_bytes].copy_from_slice(gate);
            to[row_bytes..].copy_from_slice(up);
        }
        Ok(())
    }
}

fn format(packing: Weights) -> Option<Format> {
    match packing {
        Weights::RowsBf16 | Weights::Bf16 => Some(Format::Bf16),
        Weights::Q8_0 => Some(Format::Q8_0),
        Weights::Q4K => Some(Format::Q4K),
        Weights::F8 => None,
    }
}
