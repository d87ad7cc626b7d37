//! GPU kernels as the suite of all kernels takes them: bf16 around every operation, with scratch
//! memory and counters that are checked.

use super::attention::{SHAPES, Stored, UNWRITTEN, decode, prefill, rotate, slots};
use super::products::{Multiply, Packed, bricks};
use super::rows::{add_norm, argmax, embed};
use super::*;
use crate::engine::kernels::gpu::{Epilogue, Type};
use crate::engine::kernels::suite::{Arithmetic, Family, Packing, Product, Sequence, Store, Subject, Way};

/// Rows that are decoded in one launch.
const TOGETHER: usize = 5;

/// The kernels as a family of one.
pub(in crate::engine::kernels::gpu) fn family(kernels: &dyn Kernels) -> Family<'_> {
    Family {
        subjects: vec![Box::new(Device(kernels))],
        packings: kernels.packings(),
        stores: &[Store::Bf16],
        shapes: SHAPES,
        slow: true,
        rounding: BF16,
    }
}

struct Device<'a>(&'a dyn Kernels);

impl Subject for Device<'_> {
    fn name(&self) -> String {
        self.0.name().to_string()
    }

    fn arithmetic(&self, _: Packing, _: bool) -> Arithmetic {
        Arithmetic::Bf16
    }

    fn product(&self, product: &Product<'_>) -> Vec<f32> {
        let Product { packing, inputs, w, up, bias, onto, .. } = *product;
        let (weights, x) = (Packed::new(self.0, packing, inputs, w, up), bits(product.x));
        // Any number of them will do; it must not depend on the rows.
        let splits = 1 + (product.outputs() as u32 + 1) % bricks(weights.format, inputs).min(5);
        let mut multiply = Multiply::new(&x, &weights, splits);
        multiply.bias = bias;
        if let Some(onto) = onto {
            multiply.epilogue = Epilogue::AddF32;
            multiply.y = onto.to_vec();
        }
        if up.is_some() {
            multiply.epilogue = Epilogue::Gated;
            multiply.y.truncate(product.rows() * product.outputs());
        }
        // What is no number equals nothing, itself included.
        let comparable = product.x.iter().all(|x| !x.is_nan());
        multiply.run(self.0, &weights, comparable && product.rows() < SHAPES.most_rows)
    }

    fn embed(&self, packing: Packing, inputs: usize, table: &[f32], tokens: &[u32]) -> Vec<f32> {
        embed(self.0, &mut Packed::new(self.0, packing, inputs, table, None), tokens, false)
    }

    fn rms_norm(&self, x: &[f32], weight: &[f32], _eps: f32) -> Vec<f32> {
        floats(&add_norm(self.0, x, None, weight, None).out)
    }

    fn argmax(&self, logits: &[f32], v: usize) -> Vec<u32> {
        let found = argmax(self.0, logits, logits.len() / v);
        let rows = found.iter().zip(logits.chunks(v));
        rows.map(|(&(token, largest), row)| {
            let chosen = if row[token as usize].is_nan() { f32::NEG_INFINITY } else { row[token as usize] };
            assert_eq!(largest, chosen.to_bits(), "the logit of the token that is chosen");
            token
        })
        .collect()
    }

    fn attention(&self, sequence: &Sequence, _: Store, first: usize, way: Way) -> Vec<f32> {
        let stored = rotate(self.0, sequence, Type::F32, &slots(sequence));
        let width = sequence.n_q * sequence.d;
        let most = self.0.rules().tile_tokens(sequence.n_q, sequence.n_kv);
        assert_eq!(most, 64 / (sequence.n_q / sequence.n_kv));
        let tile_tokens = match way {
            Way::Prefill => most,
            Way::Pieces(tokens) => tokens.min(most),
            Way::Decode => {
                let lengths: Vec<usize> = (first + 1..=sequence.tokens).collect();
                let launches = lengths.chunks(TOGETHER).map(|lengths| self.decode(sequence, &stored, lengths));
                return floats(&launches.collect::<Vec<_>>().concat());
            }
        };
        let found = prefill(self.0, sequence, &stored, first, tile_tokens);
        assert!(found[..first * width].iter().all(|&x| x == UNWRITTEN), "rows that nobody asked for");
        floats(&found[first * width..])
    }
}

impl Device<'_> {
    /// Whatever blocks share the keys of a row; rows that only fill up a launch get zeros.
    fn decode(&self, sequence: &Sequence, stored: &Stored, lengths: &[usize]) -> Vec<u16> {
        let together = decode(self.0, sequence, stored, lengths, 1, true);
        if lengths.ends_with(&[sequence.tokens]) {
            for spread in 2..4 {
                let found = decode(self.0, sequence, stored, lengths, spread, false);
                assert!(found == together, "spread over {spread} blocks");
            }
            let width = sequence.n_q * sequence.d;
            let filled = decode(self.0, sequence, stored, &[0, sequence.tokens, 0], 2, false);
            assert_eq!(filled[width..2 * width], together[together.len() - width..]);
            assert!(filled[..width].iter().chain(&filled[2 * width..]).all(|&x| x == 0), "filling rows get zeros");
        }
        together
    }
}
