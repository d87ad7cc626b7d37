//! Memory of the kernels under test.

use crate::kernels::gpu::cuda::device;
use std::marker::PhantomData;

/// Bytes between every memory of a kernel and its guards.
const GUARD: usize = 256;
const GUARD_BYTE: u8 = 0xff;

/// Memory of a kernel: aligned, with guards on both sides, whose bytes are NaN to whoever reads
/// them and are checked afterwards. Of the host under the emulation; managed, so that the host sees
/// it as well, on a device.
pub(in crate::kernels::gpu) struct Memory<T> {
    words: *mut u128,
    count: usize,
    len: usize,
    kind: PhantomData<T>,
}

impl<T: Copy> Memory<T> {
    pub(in crate::kernels::gpu) fn of(numbers: &[T]) -> Self {
        let count = (2 * GUARD + size_of_val(numbers)).div_ceil(16);
        let words = if device::wanted() {
            device::managed(count)
        } else {
            Box::into_raw(vec![0u128; count].into_boxed_slice()).cast()
        };
        // SAFETY: there are `count` words.
        unsafe { words.cast::<u8>().write_bytes(GUARD_BYTE, 16 * count) };
        let mut memory = Self { words, count, len: numbers.len(), kind: PhantomData };
        // SAFETY: there is room for the numbers behind the first guard.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), memory.at(), numbers.len()) };
        memory
    }

    pub(in crate::kernels::gpu) fn filled(len: usize, with: T) -> Self {
        Self::of(&vec![with; len])
    }

    pub(in crate::kernels::gpu) fn at(&mut self) -> *mut T {
        // SAFETY: the first guard is inside of the memory.
        unsafe { self.words.byte_add(GUARD).cast() }
    }

    pub(in crate::kernels::gpu) fn get(&self) -> Vec<T> {
        // SAFETY: as `of` has laid it out; kernels write numbers of the type.
        unsafe { std::slice::from_raw_parts(self.words.byte_add(GUARD).cast::<T>(), self.len) }.to_vec()
    }
}

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        // SAFETY: u128 has no invalid bytes.
        let bytes = unsafe { std::slice::from_raw_parts(self.words.cast::<u8>(), self.count * 16) };
        let end = GUARD + self.len * size_of::<T>();
        let whole = bytes[..GUARD].iter().chain(&bytes[end..]).all(|&byte| byte == GUARD_BYTE);
        if device::wanted() {
            device::free(self.words);
        } else {
            // SAFETY: it was a boxed slice of so many words.
            drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.words, self.count)) });
        }
        assert!(whole || std::thread::panicking(), "a kernel wrote outside of its memory");
    }
}
