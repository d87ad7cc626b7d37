//! Memory that CPU and GPU share, in a few large buffers: kernels find it by address, so that every
//! buffer is named to each encoder.

use crate::engine::executor::DeviceError;
use crate::engine::executor::gpu::device::Address;
use objc2::rc::Retained;
use objc2::runtime::ProtocolObject;
use objc2_metal::{MTLBuffer, MTLDevice, MTLResourceOptions};

/// A buffer of Metal.
pub(super) type Buffer = Retained<ProtocolObject<dyn MTLBuffer>>;

/// A GPU of Metal.
pub(super) type Device = Retained<ProtocolObject<dyn MTLDevice>>;

/// Bytes of a buffer that several allocations share; larger ones have their own.
const CHUNK_BYTES: usize = 64 << 20;

/// What allocations are aligned to.
const ALIGNMENT: usize = 256;

/// Everything that was allocated; it stays until this is dropped.
pub(super) struct Memory {
    device: Device,
    chunks: Vec<Chunk>,
}

/// A buffer, of which the first `used` bytes are given away.
struct Chunk {
    buffer: Buffer,
    /// As the GPU sees it.
    first: usize,
    bytes: usize,
    used: usize,
}

impl Memory {
    /// Nothing so far.
    pub(super) fn new(device: Device) -> Self {
        Self { device, chunks: Vec::new() }
    }

    /// Bytes that can still be allocated: what Metal recommends to use at most is the limit.
    pub(super) fn free_bytes(&self) -> usize {
        let unused: usize = self.chunks.iter().map(|chunk| chunk.bytes - chunk.used).sum();
        self.room() + unused
    }

    fn room(&self) -> usize {
        (self.device.recommendedMaxWorkingSetSize() as usize).saturating_sub(self.device.currentAllocatedSize())
    }

    /// A buffer of zeros by itself.
    ///
    /// # Errors
    /// Not enough memory.
    pub(super) fn buffer(&self, bytes: usize) -> Result<Buffer, DeviceError> {
        let shared = MTLResourceOptions::StorageModeShared;
        let allowed = bytes <= self.device.maxBufferLength();
        let buffer = allowed.then(|| self.device.newBufferWithLength_options(bytes.max(1), shared)).flatten();
        buffer.ok_or_else(|| DeviceError("no memory".to_string()))
    }

    /// Memory of zeros.
    ///
    /// # Errors
    /// Not enough memory.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError> {
        let bytes = bytes.max(1).next_multiple_of(ALIGNMENT);
        let fits = |chunk: &&mut Chunk| chunk.used + bytes <= chunk.bytes;
        if let Some(chunk) = self.chunks.iter_mut().find(fits) {
            chunk.used += bytes;
            return Ok(Address(chunk.first + chunk.used - bytes));
        }
        if bytes > self.room() {
            return Err(DeviceError("no memory".to_string()));
        }
        let whole = bytes.max(CHUNK_BYTES.min(self.room()));
        let buffer = self.buffer(whole)?;
        let first = buffer.gpuAddress() as usize;
        assert!(first.is_multiple_of(ALIGNMENT), "Metal's buffers are aligned");
        self.chunks.push(Chunk { buffer, first, bytes: whole, used: bytes });
        Ok(Address(first))
    }

    /// All buffers.
    pub(super) fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.chunks.iter().map(|chunk| &chunk.buffer)
    }

    /// The buffer that has `bytes` at `address`, and where in it.
    pub(super) fn find(&self, address: Address, bytes: usize) -> (Buffer, usize) {
        let has = |chunk: &&Chunk| chunk.first <= address.0 && address.0 + bytes <= chunk.first + chunk.used;
        let chunk = self.chunks.iter().find(has).expect("memory that was allocated");
        (chunk.buffer.clone(), address.0 - chunk.first)
    }

    /// Those bytes as the CPU sees them. They stay where they are.
    pub(super) fn contents(&self, address: Address, bytes: usize) -> *mut u8 {
        let (buffer, offset) = self.find(address, bytes);
        // SAFETY: the buffer is longer than `offset`.
        unsafe { contents(&buffer).add(offset) }
    }
}

/// A buffer as the CPU sees it.
pub(super) fn contents(buffer: &Buffer) -> *mut u8 {
    buffer.contents().as_ptr().cast()
}
