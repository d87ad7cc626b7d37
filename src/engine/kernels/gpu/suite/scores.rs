//! Questions about rows of logits: what the log-probabilities of tokens and sampling need of them.

use super::*;
use crate::kernels::gpu::{MOST_TOP, NO_COLUMN, Scores};

/// A question about one row.
struct Question {
    row: usize,
    picks: Vec<u32>,
}

/// What is known of a row.
#[derive(Clone, PartialEq, Debug)]
struct Answer {
    /// Bits, so that what is not a number equals itself.
    largest: u32,
    sum: u32,
    picked: Vec<u32>,
    /// Columns, and the bits of their logits.
    top: Vec<(u32, u32)>,
}

fn ask(kernels: &dyn Kernels, logits: &[f32], v: usize, questions: &[Question], top: usize) -> Vec<Answer> {
    let rows: Vec<u32> = questions.iter().map(|question| question.row as u32).collect();
    let picks: Vec<u32> = questions.iter().flat_map(|question| question.picks.clone()).collect();
    let ends: Vec<u32> = questions
        .iter()
        .scan(0, |end, question| {
            *end += question.picks.len() as u32;
            Some(*end)
        })
        .collect();
    let asked = questions.len();
    in_every_order(kernels, || {
        let (mut logits, mut rows, mut ends, mut picks) =
            (Memory::of(logits), Memory::of(&rows), Memory::of(&ends), Memory::of(&picks));
        let mut sums = Memory::filled(2 * asked, f32::NAN);
        let mut picked = Memory::filled(picks.get().len(), f32::NAN);
        let (mut columns, mut largest) = (Memory::filled(asked * top, 0u32), Memory::filled(asked * top, f32::NAN));
        let mut workspace = Memory::filled(kernels.rules().scores_bytes(asked, top), 0xffu8);
        let mut counters = Memory::filled(asked, 0u32);
        let args = Scores {
            logits: logits.at(),
            rows: rows.at(),
            pick_ends: ends.at(),
            picks: picks.at(),
            sums: sums.at(),
            picked: picked.at(),
            top_columns: columns.at(),
            top_logits: largest.at(),
            workspace: workspace.at().cast(),
            counters: counters.at(),
            asked: asked as u32,
            top: top as u32,
            vocabulary: v as u32,
        };
        run(kernels, &Launch::Scores(args));
        assert!(counters.get().iter().all(|&count| count == 0), "counters are left as they were found");
        let (sums, picked, columns, largest) = (sums.get(), picked.get(), columns.get(), largest.get());
        let (mut from, mut answers) = (0, Vec::new());
        for (at, question) in questions.iter().enumerate() {
            let to = from + question.picks.len();
            let best = at * top..(at + 1) * top;
            answers.push(Answer {
                largest: sums[2 * at].to_bits(),
                sum: sums[2 * at + 1].to_bits(),
                picked: picked[from..to].iter().map(|logit| logit.to_bits()).collect(),
                top: columns[best.clone()].iter().copied().zip(largest[best].iter().map(|x| x.to_bits())).collect(),
            });
            from = to;
        }
        answers
    })
}

/// The same, one number after the other; the sum in f64.
fn expected(row: &[f32], question: &Question, top: usize) -> (f32, f64, Vec<u32>, Vec<(u32, u32)>) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum = row.iter().map(|&logit| (f64::from(logit) - f64::from(largest)).exp()).sum();
    let picked = question.picks.iter().map(|&column| row[column as usize].to_bits()).collect();
    let mut columns: Vec<u32> = (0..row.len() as u32).filter(|&i| row[i as usize] > f32::NEG_INFINITY).collect();
    columns.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]).then(a.cmp(&b)));
    let known = columns.into_iter().map(|column| (column, row[column as usize].to_bits()));
    let missing = std::iter::repeat((NO_COLUMN, f32::NEG_INFINITY.to_bits()));
    (largest, sum, picked, known.chain(missing).take(top).collect())
}

/// Draws from few numbers, so that many are equal, and some rows that say little.
pub(in crate::kernels::gpu) fn questions_about_logits_are_answered(kernels: &dyn Kernels) {
    cases(5, |rng| {
        let (rows, v) = (rng.random_range(1..4), [1, 40, 700, 3001, 20_011][rng.random_range(0..5)]);
        let top = [0, 1, 5, 20, MOST_TOP][rng.random_range(0..5)].min(if v > 3001 { 5 } else { MOST_TOP });
        let coarse = rng.random_range(0..2) == 0;
        let mut logits: Vec<f32> = numbers(rng, rows * v).iter().map(|x| 12.0 * x).collect();
        if coarse {
            // Without a negative zero, which no kernel tells from zero.
            logits.iter_mut().for_each(|x| *x = x.round() + 0.0);
        }
        for logit in logits.iter_mut().step_by(7) {
            *logit = f32::NEG_INFINITY;
        }
        logits[rows * v - 1] = 3.0;
        let mut questions = Vec::new();
        for row in (0..rows).rev().filter(|row| (row + v) % 3 > 0 || *row == 0) {
            let picks = (0..rng.random_range(0..5)).map(|_| rng.random_range(0..v as u32)).collect();
            questions.push(Question { row, picks });
        }
        let found = ask(kernels, &logits, v, &questions, top);
        for (question, found) in questions.iter().zip(&found) {
            let row = &logits[question.row * v..][..v];
            let (largest, sum, picked, top) = expected(row, question, top);
            if largest == f32::NEG_INFINITY {
                assert_eq!(f32::from_bits(found.sum), 0.0);
            } else {
                let error = (f64::from(f32::from_bits(found.sum)) / sum - 1.0).abs();
                assert!(error < 2e-6, "the sum is off by {error}");
            }
            assert_eq!((found.largest, &found.picked, &found.top), (largest.to_bits(), &picked, &top));
        }
        // A row's answer does not depend on what else is asked.
        let last = questions.len() - 1;
        let alone = ask(kernels, &logits, v, &questions[last..], top);
        assert_eq!(alone[0], found[last]);
    });
    let of = |row: &[f32]| {
        let question = Question { row: 0, picks: vec![0] };
        ask(kernels, row, row.len(), &[question], 2).remove(0)
    };
    let spoilt = of(&[1.0, f32::NAN, 5.0]);
    assert_eq!(spoilt.top, [(2, 5f32.to_bits()), (0, 1f32.to_bits())], "what is not a number is not among the largest");
    assert!(f32::from_bits(spoilt.sum).is_nan() && f32::from_bits(spoilt.largest) == 5.0);
    let endless = of(&[f32::INFINITY; 3]);
    assert_eq!(endless.top, [(0, f32::INFINITY.to_bits()), (1, f32::INFINITY.to_bits())]);
    assert!(f32::from_bits(endless.sum).is_nan(), "as on the CPU");
    let nothing = of(&[f32::NEG_INFINITY; 40]);
    assert_eq!((f32::from_bits(nothing.largest), f32::from_bits(nothing.sum)), (f32::NEG_INFINITY, 0.0));
    assert!(nothing.top.iter().all(|best| best.0 == NO_COLUMN));
}
