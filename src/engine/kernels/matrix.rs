//! Memory of the device that only kernels look into: flat buffers and row-major matrices of f32.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Floats aligned to a cache line, zero at first. A large buffer costs no memory before it is written to.
pub(crate) struct Buffer {
    data: NonNull<f32>,
    len: usize,
}

// SAFETY: a buffer owns its memory, like a `Vec<f32>`.
unsafe impl Send for Buffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        if len == 0 {
            return Self { data: NonNull::dangling(), len };
        }
        let layout = Self::layout(len);
        // SAFETY: the layout is not empty.
        let data = unsafe { alloc_zeroed(layout) }.cast::<f32>();
        let data = NonNull::new(data).unwrap_or_else(|| handle_alloc_error(layout));
        Self { data, len }
    }

    /// The floats.
    pub(crate) fn as_slice(&self) -> &[f32] {
        // SAFETY: `data` points to `len` initialised floats.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }

    /// The floats.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: `data` points to `len` initialised floats, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }

    fn layout(len: usize) -> Layout {
        let bytes = len.checked_mul(size_of::<f32>()).expect("a buffer is smaller than the address space");
        Layout::from_size_align(bytes, 64).expect("a buffer is smaller than the address space")
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: allocated in `zeros` with this layout.
            unsafe { dealloc(self.data.as_ptr().cast(), Self::layout(self.len)) }
        }
    }
}

/// A row-major matrix, kept and resized from step to step. Its content after a resize is unspecified.
pub(crate) struct Matrix {
    rows: usize,
    cols: usize,
    data: Buffer,
}

impl Matrix {
    /// An empty matrix.
    pub(crate) fn new() -> Self {
        Self { rows: 0, cols: 0, data: Buffer::zeros(0) }
    }

    /// Makes it `rows × cols`.
    pub(crate) fn resize(&mut self, rows: usize, cols: usize) {
        if rows * cols > self.data.len {
            self.data = Buffer::zeros(rows * cols);
        }
        (self.rows, self.cols) = (rows, cols);
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// One row.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.as_slice()[row * self.cols..(row + 1) * self.cols]
    }

    /// All rows.
    pub(crate) fn as_slice(&self) -> &[f32] {
        &self.data.as_slice()[..self.rows * self.cols]
    }

    /// All rows.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        let len = self.rows * self.cols;
        &mut self.data.as_mut_slice()[..len]
    }
}

/// A pointer that several tasks write through, each to places of its own.
#[derive(Clone, Copy)]
pub(super) struct Shared(*mut f32);

// SAFETY: whoever dereferences the pointer proves that no two tasks touch the same place.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Over a slice that outlives the tasks.
    pub(super) fn new(slice: &mut [f32]) -> Self {
        Self(slice.as_mut_ptr())
    }

    /// The pointer. A method, so that closures capture the whole of `self`.
    pub(super) fn get(self) -> *mut f32 {
        self.0
    }
}
