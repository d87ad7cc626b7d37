//! The Metal kernels in the suite, and what a launch becomes.

use super::emulation::kernels;
use super::{Dispatch, FUNCTIONS};
use crate::kernels::gpu::suite::{self, suite};
use crate::kernels::gpu::{
    AddNorm, Argmax, DecodeAttention, Embed, Epilogue, Launch, Linear, PrefillAttention, Rotate, Scores, Tile, Type,
    Weights,
};
use std::ptr;

suite!(kernels());

#[test]
fn a_token_that_is_no_number_spoils_no_earlier_row() {
    if let Some(kernels) = kernels() {
        suite::a_token_that_is_no_number_spoils_no_earlier_row(kernels);
    }
}

fn linear(rows: u32, outputs: u32, format: Weights) -> Linear {
    Linear {
        x: ptr::null(),
        weights: ptr::null(),
        row_scales: ptr::null(),
        bias: ptr::null(),
        y: ptr::null_mut(),
        workspace: ptr::null_mut(),
        counters: ptr::null_mut(),
        rows,
        inputs: 64,
        outputs,
        x_stride: 64,
        y_stride: outputs,
        format,
        epilogue: Epilogue::StoreF32,
        splits: 1,
        shared_limit: 0,
    }
}

#[test]
fn both_sides_have_structs_of_one_size() {
    let Some(kernels) = kernels() else { return };
    let sizes = [
        size_of::<Embed>(),
        size_of::<AddNorm>(),
        size_of::<Rotate>(),
        size_of::<DecodeAttention>(),
        size_of::<Tile>(),
        size_of::<PrefillAttention>(),
        0,
        size_of::<Argmax>(),
        size_of::<Scores>(),
        size_of::<Linear>(),
        0,
    ];
    assert_eq!(std::array::from_fn(|index| kernels.struct_bytes(index as u32)), sizes);
}

#[test]
fn every_function_is_in_the_text_and_takes_memory_as_metal_wants_it() {
    let text = super::source();
    for function in FUNCTIONS {
        let named = text.contains(&format!(" {function}(")) || text.contains(&format!("MASPO_LINEAR({function},"));
        assert!(named, "{function}");
    }
    for rows in 1..20 {
        for format in [Weights::Bf16, Weights::Q8_0, Weights::Q4K] {
            let dispatch = Dispatch::of(&Launch::Linear(linear(rows, 100, format))).unwrap().unwrap();
            assert!(FUNCTIONS.contains(&dispatch.function) && dispatch.threadgroup_bytes.is_multiple_of(16));
            let at_a_time: usize = dispatch.function.rsplit('_').next().unwrap().parse().unwrap();
            // Those of the same weights run together.
            assert_eq!(dispatch.threadgroups, [(rows as usize).div_ceil(at_a_time), 4, 1]);
            assert!(at_a_time == 8 || (at_a_time >= rows as usize && at_a_time < 2 * rows as usize));
        }
    }
}

#[test]
fn nothing_to_do_and_what_cannot_be_done_are_told_apart() {
    let of = |linear| Dispatch::of(&Launch::Linear(linear));
    assert_eq!(of(linear(0, 32, Weights::Bf16)), Ok(None));
    assert_eq!(of(linear(1, 32, Weights::F8)).unwrap_err(), "weights are bf16, Q8_0 or Q4_K");
    let odd = Linear { inputs: 12, ..linear(1, 32, Weights::Bf16) };
    assert_eq!(of(odd).unwrap_err(), "`inputs` is a multiple of 8, and so is the stride of x");
    let gated = Linear { epilogue: Epilogue::Gated, ..linear(1, 33, Weights::Bf16) };
    assert_eq!(of(gated).unwrap_err(), "a gated product has pairs of rows and no bias");
    let argmax = Argmax {
        logits: ptr::null(),
        tokens: ptr::null_mut(),
        largest: ptr::null_mut(),
        workspace: ptr::null_mut(),
        counters: ptr::null_mut(),
        rows: 3,
        vocabulary: 0,
    };
    assert_eq!(Dispatch::of(&Launch::Argmax(argmax)).unwrap_err(), "a choice is among some logits");
    let embed = Embed {
        table: ptr::null(),
        row_scales: ptr::null(),
        tokens: ptr::null(),
        out: ptr::null_mut(),
        rows: 3,
        hidden: 20,
        vocabulary: 7,
        format: Weights::Bf16,
        out_type: Type::F32,
    };
    assert_eq!(Dispatch::of(&Launch::Embed(embed)).unwrap_err(), "`hidden` is a multiple of 8");
}
