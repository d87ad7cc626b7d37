//! What only the CUDA kernels have: an operation of its own for gates, e4m3, rules that divide
//! work, refusals of the launchers.

use super::super::api::BAD_SHAPE;
use super::super::emulation::{emulation, kernels, succeed};
use crate::kernels::gpu::suite::{
    self, BF16, Memory, assert_close, bits, bricks, floats, in_every_order, numbers, rng, rounded,
};
use crate::kernels::gpu::{KernelRules, Silu, Type, Weights};
use crate::kernels::reference;
use rand::RngExt;
use std::ptr;

#[test]
fn gates_are_right() {
    let Some(api) = kernels() else { return };
    for seed in 0..4 {
        let rng = &mut rng(seed);
        let (rows, n) = (rng.random_range(1..4), 8 * rng.random_range(1..300));
        let mut gate_up: Vec<f32> = numbers(rng, rows * 2 * n).iter().map(|x| 8.0 * x).collect();
        gate_up[0] = -1e4;
        for kind in [Type::F32, Type::Bf16] {
            let kept = if kind == Type::F32 { gate_up.clone() } else { rounded(&gate_up) };
            let expected: Vec<f64> = kept
                .chunks(2 * n)
                .flat_map(|row| (0..n).map(|i| reference::silu(f64::from(row[i])) * f64::from(row[n + i])))
                .collect();
            let found = in_every_order(api, || {
                let (mut wide, mut narrow) = (Memory::of(&gate_up), Memory::of(&bits(&gate_up)));
                let mut out = Memory::filled(rows * n, 0u16);
                let gate_up = if kind == Type::F32 { wide.at().cast() } else { narrow.at().cast() };
                let args = Silu { gate_up, out: out.at(), rows: rows as u32, n: n as u32, r#type: kind };
                // SAFETY: every pointer has the memory that the header asks for.
                succeed(api, unsafe { (api.cuda_silu)(&args, ptr::null_mut()) }).unwrap();
                out.get()
            });
            assert_close("gates", &floats(&found), &expected, BF16);
        }
    }
}

#[test]
fn a_table_of_f8_is_near_what_it_was() {
    if let Some(api) = kernels() {
        suite::a_table_of_f8_is_near_what_it_was(api);
    }
}

#[test]
fn keys_are_spread_over_a_device() {
    let Some(api) = kernels() else { return };
    let spread = |rows, length| api.decode_attention_spread(rows, 8, length, 132);
    assert_eq!((spread(1, 64), spread(1, 4096), spread(80, 4096)), (1, 16, 1));
}

#[test]
fn splits_fill_a_device_and_depend_on_the_matrix_alone() {
    let Some(api) = kernels() else { return };
    let splits = |inputs, outputs| api.linear_splits(Weights::Q8_0, inputs, outputs, 132);
    for (inputs, outputs) in [(4096, 6144), (4096, 4096), (4096, 24576), (12288, 4096), (4096, 151_936), (64, 100)] {
        let found = splits(inputs, outputs);
        assert!((1..=16).contains(&found) && found <= bricks(Weights::Q8_0, inputs));
    }
    assert!(splits(12288, 4096) > 1 && splits(4096, 151_936) == 1);
}

/// A GPU starts blocks in the order of x, then y, then z: the row tiles that read the same weights
/// have to follow each other.
#[test]
fn row_tiles_of_the_same_weights_run_together() {
    let (Some(api), Some(emulation)) = (kernels(), emulation()) else { return };
    let tiles = [3, 2, 2];
    suite::a_product_of_many_tiles(api, tiles);
    assert_eq!(emulation.fibers.blocks(), tiles, "row tiles, blocks of outputs, parts of inputs");
}

#[test]
fn shapes_that_are_not_supported_are_refused() {
    let Some(api) = kernels() else { return };
    let args = Silu { gate_up: ptr::null(), out: ptr::null_mut(), rows: 1, n: 12, r#type: Type::F32 };
    // SAFETY: it is refused before anything is read.
    assert_eq!(unsafe { (api.cuda_silu)(&args, ptr::null_mut()) }, BAD_SHAPE);
}

/// What a build with CUDA has linked is whole, of this version, and packs as the emulation does: a
/// device is not needed for that.
#[cfg(feature = "cuda")]
#[test]
fn the_linked_kernels_pack_as_the_emulated_ones_do() {
    use super::super::Api;
    use crate::kernels::gpu::suite::Kernels;
    let linked = Api::linked().expect("the kernels of this tree");
    let Some(emulated) = kernels() else { return };
    let (rows, inputs) = (45, 520);
    let numbers = numbers(&mut rng(3), rows * inputs);
    for &packing in emulated.packings() {
        let from = packing.rows(inputs, &numbers);
        let format = suite::weights(packing);
        let packed = |api: &Api| {
            let bytes = api.packed_bytes(format, inputs, rows);
            let (mut to, mut scales) = (vec![0u8; bytes], vec![0f32; rows.next_multiple_of(16)]);
            Kernels::pack(api, format, &from, None, &mut to, &mut scales);
            (to, scales)
        };
        assert!(packed(&linked) == packed(emulated), "{packing:?}");
        let splits =
            |api: &Api| [(4096, 6144), (12288, 4096), (64, 100)].map(|(i, o)| api.linear_splits(format, i, o, 132));
        assert_eq!(splits(&linked), splits(emulated), "{packing:?}");
    }
    assert_eq!(linked.meaning(BAD_SHAPE), emulated.meaning(BAD_SHAPE));
}
