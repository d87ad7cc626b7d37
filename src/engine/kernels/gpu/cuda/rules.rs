//! The rules of the CUDA kernels: the library's own host functions.

use super::Api;
use crate::kernels::gpu::{KernelRules, LinearNeeds, Packed, Weights};
use std::ffi::CStr;
use std::ptr;

impl Api {
    /// What a code of the library or of CUDA means.
    pub(crate) fn meaning(&self, code: std::ffi::c_int) -> String {
        // SAFETY: the text is a constant of the library.
        unsafe { CStr::from_ptr((self.cuda_error)(code)) }.to_string_lossy().into_owned()
    }
}

// SAFETY of every call here but `cuda_pack`: plain numbers in, a plain number out.
impl KernelRules for Api {
    fn linear_splits(&self, packing: Weights, inputs: usize, outputs: usize, multiprocessors: u32) -> u32 {
        // SAFETY: plain numbers.
        unsafe { (self.cuda_linear_splits)(packing as u32, inputs as u32, outputs as u32, multiprocessors) }
    }

    fn linear_needs(&self, rows: usize, outputs: usize, splits: u32) -> LinearNeeds {
        let (rows, outputs) = (rows as u32, outputs as u32);
        // SAFETY: plain numbers.
        unsafe {
            LinearNeeds {
                workspace_bytes: (self.cuda_linear_workspace_bytes)(rows, outputs, splits),
                counters: (self.cuda_linear_counters)(rows, outputs, splits),
            }
        }
    }

    fn decode_attention_bytes(&self, rows: usize, n_q: usize, d: usize, keys: usize) -> usize {
        // SAFETY: plain numbers.
        unsafe { (self.cuda_decode_attention_workspace_bytes)(rows as u32, n_q as u32, d as u32, keys as u32) }
    }

    fn decode_attention_spread(&self, rows: usize, n_kv: usize, keys: usize, multiprocessors: u32) -> u32 {
        // SAFETY: plain numbers.
        unsafe { (self.cuda_decode_attention_spread)(rows as u32, n_kv as u32, keys as u32, multiprocessors) }
    }

    fn tile_tokens(&self, n_q: usize, n_kv: usize) -> usize {
        // SAFETY: plain numbers.
        unsafe { (self.cuda_tile_tokens)(n_q as u32, n_kv as u32) as usize }
    }

    fn argmax_bytes(&self, rows: usize) -> usize {
        // SAFETY: plain numbers.
        unsafe { (self.cuda_argmax_workspace_bytes)(rows as u32) }
    }

    fn scores_bytes(&self, asked: usize, top: usize) -> usize {
        // SAFETY: plain numbers.
        unsafe { (self.cuda_scores_workspace_bytes)(asked as u32, top as u32) }
    }

    fn packed_bytes(&self, packing: Weights, inputs: usize, outputs: usize) -> usize {
        // SAFETY: plain numbers.
        unsafe { (self.cuda_packed_bytes)(packing as u32, inputs as u32, outputs as u32) }
    }

    fn pack(
        &self,
        packing: Weights,
        rows: usize,
        inputs: usize,
        from: &[u8],
        up: Option<&[u8]>,
        to: Packed<'_>,
    ) -> Result<(), String> {
        let outputs = if up.is_some() { 2 * rows } else { rows };
        let Packed { bytes: to, scales } = to;
        assert_eq!(to.len(), self.packed_bytes(packing, inputs, outputs), "room for the packed rows");
        assert!(up.is_none_or(|up| up.len() == from.len()), "gate and up are of one shape");
        let scaled = if packing == Weights::F8 { outputs.next_multiple_of(16) } else { 0 };
        assert_eq!(scales.len(), scaled, "a scale for every row of e4m3");
        let up = up.map_or(ptr::null(), <[u8]>::as_ptr);
        // SAFETY: source and targets are as large as the header asks for; no format but F8 writes
        // scales.
        let code = unsafe {
            let (from, to) = (from.as_ptr().cast(), to.as_mut_ptr().cast());
            (self.cuda_pack)(packing as u32, from, up.cast(), rows as u32, inputs as u32, to, scales.as_mut_ptr())
        };
        if code == 0 { Ok(()) } else { Err(self.meaning(code)) }
    }
}
