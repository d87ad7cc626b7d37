//! Memory of the kernels under test.

use crate::kernels::gpu::cuda::device::{TestDevice, device};
use std::marker::PhantomData;

/// Bytes between every memory of a kernel and its guards.
const GUARD: usize = 256;
const GUARD_BYTE: u8 = 0xff;

/// Memory of a kernel: aligned, with guards on both sides, whose bytes are NaN to whoever reads
/// them and are checked afterwards. It lies on the device that the suite runs on, which the host
/// reaches by copies, or on the host under the emulation.
pub(in crate::kernels::gpu) struct Memory<T> {
    words: Words,
    len: usize,
    kind: PhantomData<T>,
}

/// Where the words are.
enum Words {
    Host(Box<[u128]>),
    Device { device: &'static dyn TestDevice, address: usize, bytes: usize },
}

impl<T: Copy> Memory<T> {
    pub(in crate::kernels::gpu) fn of(numbers: &[T]) -> Self {
        let bytes = (2 * GUARD + size_of_val(numbers)).next_multiple_of(16);
        let mut words = vec![u128::from_ne_bytes([GUARD_BYTE; 16]); bytes / 16].into_boxed_slice();
        // SAFETY: there is room for the numbers behind the first guard.
        unsafe {
            let to = words.as_mut_ptr().cast::<u8>().add(GUARD).cast::<T>();
            to.copy_from_nonoverlapping(numbers.as_ptr(), numbers.len());
        }
        let words = match device() {
            None => Words::Host(words),
            Some(device) => {
                let address = device.allocate(bytes);
                device.write(address, as_bytes(&words));
                Words::Device { device, address, bytes }
            }
        };
        Self { words, len: numbers.len(), kind: PhantomData }
    }

    pub(in crate::kernels::gpu) fn filled(len: usize, with: T) -> Self {
        Self::of(&vec![with; len])
    }

    pub(in crate::kernels::gpu) fn at(&mut self) -> *mut T {
        match &mut self.words {
            // SAFETY: the first guard is inside of the memory.
            Words::Host(words) => unsafe { words.as_mut_ptr().byte_add(GUARD).cast() },
            Words::Device { address, .. } => std::ptr::with_exposed_provenance_mut(*address + GUARD),
        }
    }

    pub(in crate::kernels::gpu) fn get(&self) -> Vec<T> {
        let words = self.words.copy();
        // SAFETY: as `of` has laid it out; kernels write numbers of the type.
        unsafe { std::slice::from_raw_parts(words.as_ptr().byte_add(GUARD).cast::<T>(), self.len) }.to_vec()
    }
}

impl Words {
    fn copy(&self) -> Box<[u128]> {
        match self {
            Self::Host(words) => words.clone(),
            Self::Device { device, address, bytes } => {
                let mut words = vec![0u128; bytes / 16].into_boxed_slice();
                // SAFETY: u128 has no invalid bytes, and the slice has so many.
                let to = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), *bytes) };
                device.read(*address, to);
                words
            }
        }
    }
}

fn as_bytes(words: &[u128]) -> &[u8] {
    // SAFETY: every byte of a u128 is a number.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), size_of_val(words)) }
}

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        // After a failed test a device may answer nothing any more; its process ends soon.
        if std::thread::panicking() {
            return;
        }
        let words = self.words.copy();
        if let Words::Device { device, address, bytes } = self.words {
            device.free(address, bytes);
        }
        let bytes = as_bytes(&words);
        let end = GUARD + self.len * size_of::<T>();
        let whole = bytes[..GUARD].iter().chain(&bytes[end..]).all(|&byte| byte == GUARD_BYTE);
        assert!(whole, "a kernel wrote outside of its memory");
    }
}
