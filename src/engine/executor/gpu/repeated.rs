//! Random weights for measurements. A few rows are drawn and packed on the host; copies within the
//! device fill the matrix with them, so that a model of any size is there in a second or two.

use super::device::{Address, Gpu, allocate};
use super::weights::{LoadError, PackedRows, WEIGHTS};
use crate::kernels::gpu::Weights as Packing;
use std::collections::HashMap;

/// Rows that are drawn, of each of two gated matrices as well: whole bricks of every packing.
pub(super) const BLOCK_ROWS: usize = 128;

/// What tells one block from another: the packing, the width, and whether gate and up lie in it
/// together.
pub(super) type BlockKey = (Packing, usize, bool);

/// A packed block on the device.
#[derive(Clone, Copy)]
pub(super) struct Block {
    weights: Address,
    weights_bytes: usize,
    scales: Address,
    scales_bytes: usize,
}

/// The blocks that were made so far.
pub(super) type Blocks = HashMap<BlockKey, Block>;

impl Block {
    /// Takes packed rows to the device.
    pub(super) fn upload(gpu: &mut dyn Gpu, packed: &PackedRows) -> Result<Self, LoadError> {
        let mut upload = |bytes: &[u8]| {
            let address = if bytes.is_empty() { Address::NONE } else { allocate(gpu, WEIGHTS, bytes.len())? };
            if !bytes.is_empty() {
                gpu.write(address, bytes)?;
            }
            Ok::<_, LoadError>((address, bytes.len()))
        };
        let (weights, weights_bytes) = upload(&packed.bytes)?;
        let (scales, scales_bytes) = upload(&super::weights::bytes(&packed.scales))?;
        Ok(Self { weights, weights_bytes, scales, scales_bytes })
    }

    /// Returns new memory of so many bytes that is filled with the block's weights.
    pub(super) fn weights(&self, gpu: &mut dyn Gpu, bytes: usize) -> Result<Address, LoadError> {
        repeat(gpu, self.weights, self.weights_bytes, bytes)
    }

    /// Returns new memory of so many bytes that is filled with the block's scales; none for 0
    /// bytes.
    pub(super) fn scales(&self, gpu: &mut dyn Gpu, bytes: usize) -> Result<Address, LoadError> {
        if bytes == 0 { Ok(Address::NONE) } else { repeat(gpu, self.scales, self.scales_bytes, bytes) }
    }
}

fn repeat(gpu: &mut dyn Gpu, block: Address, block_bytes: usize, bytes: usize) -> Result<Address, LoadError> {
    let to = allocate(gpu, WEIGHTS, bytes)?;
    fill(gpu, (block, block_bytes), to, bytes)?;
    Ok(to)
}

/// Fills `bytes` at `to` with copies of the block, each as large as everything before it.
pub(super) fn fill(
    gpu: &mut dyn Gpu,
    (block, block_bytes): (Address, usize),
    to: Address,
    bytes: usize,
) -> Result<(), LoadError> {
    let mut done = block_bytes.min(bytes);
    gpu.copy(block, to, done)?;
    while done < bytes {
        let more = done.min(bytes - done);
        gpu.copy(to, to.plus(done), more)?;
        done += more;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::gpu::emulated::gpu;

    #[test]
    fn a_block_fills_memory_of_any_size() {
        let Some(mut gpu) = gpu(usize::MAX) else { return };
        let block = gpu.allocate(16).unwrap();
        gpu.write(block, &(0..16).collect::<Vec<u8>>()).unwrap();
        for bytes in [1usize, 15, 16, 17, 100] {
            let to = repeat(&mut *gpu, block, 16, bytes).unwrap();
            let mut found = vec![0; bytes];
            gpu.read(to, &mut found).unwrap();
            assert!(found.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 16), "{bytes} bytes");
        }
    }
}
