//! Checks the operations that work on single rows: embedding, norm, choice of tokens.

use super::*;

pub(in crate::kernels) fn a_packed_table_gives_its_rows_back(family: &Family<'_>) {
    family.cases(4, |rng| {
        let (outputs, inputs) = (rng.random_range(1..60), family.inputs(rng, 560));
        let w = numbers(rng, outputs * inputs);
        let tokens: Vec<u32> = (0..5).map(|_| rng.random_range(0..outputs as u32)).collect();
        // Tables are never kept in e4m3.
        for &packing in family.packings.iter().filter(|packing| **packing != Packing::F8) {
            let kept = packing.keep(inputs, &w);
            let expected: Vec<f32> =
                tokens.iter().flat_map(|&token| &kept[token as usize * inputs..][..inputs]).copied().collect();
            for subject in &family.subjects {
                assert_eq!(subject.embed(packing, inputs, &w, &tokens), expected, "{} {packing:?}", subject.name());
            }
        }
    });
}

pub(in crate::kernels) fn norms_are_right(family: &Family<'_>) {
    family.cases(6, |rng| {
        let rows = rng.random_range(1..if family.slow { 4 } else { 40 });
        let n = family.inputs(rng, if family.slow { 4400 } else { 300 });
        // Numbers of the usual size, or so small that the epsilon matters.
        let size = if rng.random() { 1.0 } else { 1e-3 };
        let x: Vec<f32> = numbers(rng, rows * n).iter().map(|x| size * x).collect();
        let weight = numbers(rng, n);
        let expected: Vec<f64> = x.chunks(n).flat_map(|row| reference::rms_norm(row, &weight, 1e-6)).collect();
        for subject in &family.subjects {
            assert_close(&subject.name(), &subject.rms_norm(&x, &weight, 1e-6), &expected, family.rounding.max(1e-5));
        }
    });
}

pub(in crate::kernels) fn the_largest_logit_is_found_and_the_lowest_of_equals(family: &Family<'_>) {
    family.cases(8, |rng| {
        let (rows, v) = (rng.random_range(1..4), rng.random_range(1..9000));
        let mut logits = numbers(rng, rows * v);
        if rng.random() {
            // Equal maxima everywhere.
            logits.iter_mut().for_each(|x| *x = (4.0 * *x).round());
        }
        for _ in 0..6 {
            // Some equal maxima, and some NaN.
            let at = rng.random_range(0..rows * v);
            logits[at] = 4.0;
            let at = rng.random_range(0..rows * v);
            logits[at] = f32::NAN;
        }
        check_argmax(family, &logits, v);
    });
}

/// Rows as wide as Qwen3's vocabulary, which kernels divide among blocks and threads that each take
/// many columns. Equal maxima lie in the columns of one thread, of its neighbours and of pieces far
/// apart, behind NaN; and there are ties everywhere.
pub(in crate::kernels) fn the_lowest_of_equals_is_found_in_a_whole_vocabulary(family: &Family<'_>) {
    let v = 151_936;
    let maxima: [&[usize]; 6] = [
        &[v - 1],
        &[0, v - 1],
        &[70_000, 70_001, 70_256, 71_024],
        &[70_255, 70_257, 69_999 + 1024],
        &[9_495, 9_496, 60_000, 150_000],
        &[18_991, 18_990, 94_960],
    ];
    let rng = &mut rng(11);
    let mut logits = Vec::with_capacity((maxima.len() + 1) * v);
    for places in maxima {
        let mut row = numbers(rng, v);
        for &place in places {
            row[place.saturating_sub(1)] = f32::NAN;
            row[(place + 256) % v] = f32::NAN;
        }
        places.iter().for_each(|&place| row[place] = 4.0);
        logits.extend(row);
    }
    logits.extend(numbers(rng, v).iter().map(|x| (4.0 * x).round()));
    check_argmax(family, &logits, v);
}

fn check_argmax(family: &Family<'_>, logits: &[f32], v: usize) {
    let best = |row: &[f32]| {
        let none = (0, f32::NEG_INFINITY);
        let better = |best: (u32, f32), (i, &x): (usize, &f32)| if x > best.1 { (i as u32, x) } else { best };
        row.iter().enumerate().fold(none, better).0
    };
    let expected: Vec<u32> = logits.chunks(v).map(best).collect();
    for subject in &family.subjects {
        assert_eq!(subject.argmax(logits, v), expected, "{}", subject.name());
    }
}

pub(in crate::kernels) fn rows_without_a_number_give_token_0(family: &Family<'_>) {
    for subject in &family.subjects {
        assert_eq!(subject.argmax(&[f32::NAN; 300], 300), [0], "{}", subject.name());
        assert_eq!(subject.argmax(&[f32::NEG_INFINITY; 70], 35), [0, 0], "{}", subject.name());
        assert_eq!(subject.argmax(&[f32::NAN, -3.0, f32::NAN], 3), [1], "{}", subject.name());
        assert_eq!(subject.argmax(&[f32::INFINITY; 5000], 5000), [0], "{}", subject.name());
    }
}
