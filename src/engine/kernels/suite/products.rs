//! Checks products with packed weights.

use super::*;

/// A product's operands.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Product<'a> {
    pub(in crate::kernels) packing: Packing,
    pub(in crate::kernels) inputs: usize,
    /// The activations `[rows, inputs]`.
    pub(in crate::kernels) x: &'a [f32],
    /// How many of the rows, the first ones, are decode rows.
    pub(in crate::kernels) decode_rows: usize,
    /// The weights `[outputs, inputs]`.
    pub(in crate::kernels) w: &'a [f32],
    /// The other half of a gated product, silu(x Wᵀ) · (x upᵀ).
    pub(in crate::kernels) up: Option<&'a [f32]>,
    pub(in crate::kernels) bias: Option<&'a [f32]>,
    /// What the product is added to.
    pub(in crate::kernels) onto: Option<&'a [f32]>,
}

impl Product<'_> {
    pub(in crate::kernels) fn rows(&self) -> usize {
        self.x.len() / self.inputs
    }

    pub(in crate::kernels) fn outputs(&self) -> usize {
        self.w.len() / self.inputs
    }

    /// Computes the product by the reference.
    fn exact(&self, arithmetic: Arithmetic) -> Vec<f64> {
        let x = match arithmetic {
            Arithmetic::Exact => self.x.to_vec(),
            Arithmetic::Int8 => reference::as_int8(self.x, self.inputs),
            Arithmetic::Bf16 | Arithmetic::Bf16Both => reference::as_bf16(self.x),
        };
        let times = |w: &[f32]| {
            let kept = self.packing.keep(self.inputs, w);
            let both = arithmetic == Arithmetic::Bf16Both;
            let kept = if both { reference::as_bf16_away_from_zero(&kept) } else { kept };
            reference::linear(&x, &kept, self.inputs)
        };
        let mut y = times(self.w);
        if let Some(up) = self.up {
            y.iter_mut().zip(times(up)).for_each(|(y, up)| *y = reference::silu(*y) * up);
        }
        for (at, y) in y.iter_mut().enumerate() {
            *y += self.bias.map_or(0.0, |bias| f64::from(bias[at % self.outputs()]));
            *y += self.onto.map_or(0.0, |onto| f64::from(onto[at]));
        }
        y
    }

    fn tolerance(&self, arithmetic: Arithmetic) -> f64 {
        match (arithmetic, self.packing) {
            // A Q4_K weight that lies almost half-way between two bf16 numbers may become the other
            // one.
            (Arithmetic::Bf16Both, Packing::Of(Format::Q4K)) => 2e-2,
            // The tolerance of a sum of up to 90 products; every addition rounds.
            (Arithmetic::Exact, Packing::Of(Format::F32)) => 1e-5 * (self.inputs as f64 / 90.0).max(1.0),
            (Arithmetic::Exact | Arithmetic::Int8 | Arithmetic::Bf16Both, _) => 1e-3,
            (Arithmetic::Bf16, _) => 1e-4,
        }
    }

    /// Compares each subject's result with the reference.
    pub(in crate::kernels) fn check(&self, family: &Family<'_>) {
        let mut known: Vec<(Arithmetic, Vec<f64>)> = Vec::new();
        for subject in &family.subjects {
            let found = subject.product(self);
            let split = self.decode_rows * self.outputs();
            let (decoded, prefilled) = found.split_at(split);
            for (found, range, decode) in [(decoded, 0..split, true), (prefilled, split..found.len(), false)] {
                let arithmetic = subject.arithmetic(self.packing, decode);
                if known.iter().all(|(known, _)| *known != arithmetic) {
                    known.push((arithmetic, self.exact(arithmetic)));
                }
                let exact = &known.iter().find(|(known, _)| *known == arithmetic).expect("it was made above").1;
                let rounding = if self.up.is_some() { family.rounding } else { 0.0 };
                let name = format!("{} {:?}", subject.name(), self.packing);
                assert_close(&name, found, &exact[range], self.tolerance(arithmetic).max(rounding));
            }
        }
    }
}

pub(in crate::kernels) fn products_are_right(family: &Family<'_>) {
    family.cases(4, |rng| {
        // Often the smallest shape.
        let (rows, outputs) = match rng.random_range(0..6) {
            0 => (1, 1),
            _ => (rng.random_range(1..family.shapes.most_rows), rng.random_range(1..150)),
        };
        let most = if rng.random_range(0..6) == 0 { family.shapes.inputs + 1 } else { 640 };
        let inputs = family.inputs(rng, most);
        let (x, w) = (numbers(rng, rows * inputs), numbers(rng, outputs * inputs));
        let (bias, onto) = (numbers(rng, outputs), numbers(rng, rows * outputs));
        let (bias, onto) = (Some(&bias[..]).filter(|_| rng.random()), Some(&onto[..]).filter(|_| rng.random()));
        let decode_rows = rng.random_range(0..=rows);
        for &packing in family.packings {
            Product { packing, inputs, x: &x, decode_rows, w: &w, up: None, bias, onto }.check(family);
        }
    });
}

pub(in crate::kernels) fn gated_products_are_right(family: &Family<'_>) {
    family.cases(3, |rng| {
        let (rows, outputs) = (rng.random_range(1..family.shapes.most_rows), rng.random_range(1..90));
        let inputs = family.inputs(rng, 480);
        let (x, w, up) = (numbers(rng, rows * inputs), numbers(rng, outputs * inputs), numbers(rng, outputs * inputs));
        let decode_rows = rng.random_range(0..=rows);
        for &packing in family.packings {
            Product { packing, inputs, x: &x, decode_rows, w: &w, up: Some(&up), bias: None, onto: None }.check(family);
        }
    });
}

/// Covers every size of the tiles of rows, and several tiles: alone, with other rows, and in
/// another order.
pub(in crate::kernels) fn a_row_of_a_product_does_not_depend_on_the_others(family: &Family<'_>) {
    // More than one block of inputs in every packing, and padding where there may be some.
    let (total, outputs, inputs) = (89, 45, if family.shapes.inputs == 1 { 70 } else { 512 });
    let rng = &mut rng(3);
    let (x, w) = (numbers(rng, total * inputs), numbers(rng, outputs * inputs));
    for (subject, &packing) in
        family.subjects.iter().flat_map(|subject| family.packings.iter().map(move |p| (subject, p)))
    {
        let product = |x: &[f32], decode_rows| {
            subject.product(&Product { packing, inputs, x, decode_rows, w: &w, up: None, bias: None, onto: None })
        };
        let (all_prefill, all_decode) = (product(&x, 0), product(&x, total));
        for count in [1, 2, 3, 4, 5, 8, 9, 12, 17, 25, 29, 40, 41, 80] {
            let rows: Vec<usize> = (0..count).map(|row| total - 1 - row).collect();
            let part: Vec<f32> = rows.iter().flat_map(|&row| &x[row * inputs..][..inputs]).copied().collect();
            for decode_rows in if family.slow { vec![count / 2] } else { vec![0, count / 3, count] } {
                let found = product(&part, decode_rows);
                for (at, &row) in rows.iter().enumerate() {
                    let together = if at < decode_rows { &all_decode } else { &all_prefill };
                    assert_eq!(
                        found[at * outputs..][..outputs],
                        together[row * outputs..][..outputs],
                        "{} {packing:?}: row {row} among {count}",
                        subject.name()
                    );
                }
            }
        }
    }
}

pub(in crate::kernels) fn a_row_that_is_no_number_spoils_no_other(family: &Family<'_>) {
    let rng = &mut rng(9);
    let (outputs, inputs) = (20, 256);
    let (x, w) = (numbers(rng, 3 * inputs), numbers(rng, outputs * inputs));
    let mut spoilt = x.clone();
    spoilt[inputs + 5] = f32::NAN;
    for (subject, &packing) in
        family.subjects.iter().flat_map(|subject| family.packings.iter().map(move |p| (subject, p)))
    {
        for decode_rows in [0, 3] {
            let product = |x: &[f32]| {
                subject.product(&Product { packing, inputs, x, decode_rows, w: &w, up: None, bias: None, onto: None })
            };
            let (clean, found) = (product(&x), product(&spoilt));
            let name = format!("{} {packing:?}", subject.name());
            assert_eq!(found[..outputs], clean[..outputs], "{name}");
            assert_eq!(found[2 * outputs..], clean[2 * outputs..], "{name}");
            // int8 has no NaN.
            if subject.arithmetic(packing, decode_rows > 0) != Arithmetic::Int8 {
                assert!(found[outputs..2 * outputs].iter().all(|y| y.is_nan()), "{name}: its own row says so");
            }
        }
    }
}
