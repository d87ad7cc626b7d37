//! Flat buffers and row-major matrices of f32 in the host's memory.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Floats that are aligned to a cache line, or to a huge page if they fill one. They are zero at
/// first. A large buffer takes no memory before it is written: the allocator gets zeroed pages from
/// the system only if it is asked for its own alignment, so the alignment is done here.
pub(crate) struct Buffer {
    allocated: NonNull<f32>,
    /// The number of floats before the first aligned one.
    skipped: usize,
    len: usize,
}

/// The number of floats in a cache line.
const LINE: usize = 16;

/// The number of floats in a huge page (2 MiB).
const HUGE_PAGE: usize = 2 << 18;

/// Returns the alignment of a buffer of `len` floats, in floats. Weights are aligned to huge pages,
/// because with small pages a step that reads all weights needs an address translation every 64
/// cache lines.
const fn alignment(len: usize) -> usize {
    if len >= HUGE_PAGE { HUGE_PAGE } else { LINE }
}

// SAFETY: a buffer owns its memory, like a `Vec<f32>`.
unsafe impl Send for Buffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Creates a buffer of `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        if len == 0 {
            return Self { allocated: NonNull::dangling(), skipped: 0, len };
        }
        let layout = Self::layout(len);
        // SAFETY: the layout is not empty.
        let allocated = unsafe { alloc_zeroed(layout) }.cast::<f32>();
        let allocated = NonNull::new(allocated).unwrap_or_else(|| handle_alloc_error(layout));
        let skipped = allocated.as_ptr().align_offset(alignment(len) * size_of::<f32>());
        assert!(skipped < alignment(len), "an aligned float is among the first");
        let mut buffer = Self { allocated, skipped, len };
        advise_huge_pages(buffer.as_mut_slice());
        buffer
    }

    /// Returns the floats.
    pub(crate) fn as_slice(&self) -> &[f32] {
        // SAFETY: `skipped + len` floats are allocated and initialised; of none, a dangling pointer
        // is enough.
        unsafe { std::slice::from_raw_parts(self.allocated.as_ptr().add(self.skipped), self.len) }
    }

    /// Returns the floats, to be written.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.allocated.as_ptr().add(self.skipped), self.len) }
    }

    /// Returns the memory as bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let floats = self.as_slice();
        // SAFETY: floats are bytes without padding.
        unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), size_of_val(floats)) }
    }

    /// Makes room for `len` floats. Their content is then unspecified.
    pub(crate) fn reach(&mut self, len: usize) {
        if len > self.len {
            *self = Self::zeros(len);
        }
    }

    fn layout(len: usize) -> Layout {
        let floats = len.checked_add(alignment(len)).expect("a buffer is smaller than the address space");
        Layout::array::<f32>(floats).expect("a buffer is smaller than the address space")
    }
}

/// Advises the system to back the buffer's whole huge pages by huge pages; the rest keeps small
/// ones, so no memory is wasted. Nothing depends on the advice being followed.
#[cfg(target_os = "linux")]
fn advise_huge_pages(buffer: &mut [f32]) {
    let bytes = buffer.len() / HUGE_PAGE * HUGE_PAGE * size_of::<f32>();
    if bytes > 0 {
        // SAFETY: whole pages inside the buffer; advice changes no content.
        unsafe { libc::madvise(buffer.as_mut_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_: &mut [f32]) {}

impl Default for Buffer {
    fn default() -> Self {
        Self::zeros(0)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: allocated in `zeros` with this layout.
            unsafe { dealloc(self.allocated.as_ptr().cast(), Self::layout(self.len)) }
        }
    }
}

/// A row-major matrix that is kept and resized from step to step. Its content after a resize is
/// unspecified.
pub(crate) struct Matrix {
    rows: usize,
    cols: usize,
    data: Buffer,
}

impl Matrix {
    /// Creates an empty matrix.
    pub(crate) fn new() -> Self {
        Self { rows: 0, cols: 0, data: Buffer::zeros(0) }
    }

    /// Makes the matrix `rows × cols`.
    pub(crate) fn resize(&mut self, rows: usize, cols: usize) {
        self.data.reach(rows * cols);
        (self.rows, self.cols) = (rows, cols);
    }

    /// Returns the number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of columns.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Returns one row.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.as_slice()[row * self.cols..(row + 1) * self.cols]
    }

    /// Returns all rows.
    pub(crate) fn as_slice(&self) -> &[f32] {
        &self.data.as_slice()[..self.rows * self.cols]
    }

    /// Returns all rows, to be written.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        let len = self.rows * self.cols;
        &mut self.data.as_mut_slice()[..len]
    }
}

/// A pointer that several tasks write through, each to memory of its own.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Shared(*mut f32);

// SAFETY: whoever dereferences the pointer proves that no two tasks touch the same place.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Creates the pointer to a slice that outlives the tasks.
    pub(in crate::kernels) fn new(slice: &mut [f32]) -> Self {
        Self(slice.as_mut_ptr())
    }

    /// The pointer. A method, so that closures capture the whole of `self`.
    pub(in crate::kernels) fn get(self) -> *mut f32 {
        self.0
    }
}

/// A pointer that several tasks read through.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct SharedBytes(pub(in crate::kernels) *const u8);

// SAFETY: whoever dereferences the pointer proves that nobody writes there meanwhile.
unsafe impl Send for SharedBytes {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    /// The pointer. A method, so that closures capture the whole of `self`.
    pub(in crate::kernels) fn get(self) -> *const u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zero_and_cost_nothing_before_they_are_used() {
        for len in [0, 1, 17, 1000] {
            let buffer = Buffer::zeros(len);
            assert_eq!(buffer.as_slice(), vec![0.0; len]);
            assert!(len == 0 || buffer.as_slice().as_ptr().addr().is_multiple_of(64));
        }
        // Four gigabytes, of which one page is touched.
        let mut large = Buffer::zeros(1 << 30);
        large.as_mut_slice()[(1 << 30) - 1] = 1.0;
        assert_eq!(large.as_slice()[(1 << 30) - 1], 1.0);
    }
}
