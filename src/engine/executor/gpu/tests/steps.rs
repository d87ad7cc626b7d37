//! What a step launches for its rows and for questions about its logits.

use super::*;
use crate::executor::LogitAnswer;
use crate::schedule::{LogitQuestion, StepPlan};

/// Runs prompts to their end, with `more` greedy tokens behind each, and looks at every plan before
/// and after it is carried out.
fn run_with(
    executor: &mut GpuExecutor,
    prompts: &[Vec<u32>],
    more: usize,
    step_tokens: usize,
    mut before: impl FnMut(&mut StepPlan),
    mut after: impl FnMut(&StepPlan, &mut GpuExecutor),
) {
    let limits = Limits { step_tokens, max_running: OPTIONS.max_running };
    let mut scheduler = Scheduler::new(limits, Blocks::new(OPTIONS.blocks, OPTIONS.block_tokens, false));
    for prompt in prompts {
        scheduler.submit(prompt.clone(), prompt.len() - 1);
    }
    let mut tokens = vec![0; prompts.len()];
    while let Some(mut plan) = scheduler.plan() {
        before(&mut plan);
        executor.run(&plan).unwrap();
        after(&plan, executor);
        scheduler.complete(&plan);
        for (index, wanted) in plan.logits.iter().enumerate() {
            let count = &mut tokens[wanted.id.0 as usize];
            *count += 1;
            if *count > more {
                scheduler.remove(wanted.id);
            } else {
                scheduler.push(wanted.id, executor.greedy(index));
            }
        }
    }
}

/// Steps of prompts, of decode rows, captured or not, and of both kinds of rows.
#[test]
fn questions_about_logits_are_answered_as_the_rows_say() {
    for kind in [Kind::Cuda, Kind::Metal] {
        let Some((mut device, record)) = executor(kind, &config(), Dtype::Q8_0) else { return };
        let question = |(choice, row): (usize, usize)| {
            let top = [3, 0, 20][row % 3];
            let tokens = (0..row % 4).map(|i| (i * 40 + row) as u32 % 128).collect();
            LogitQuestion { choice, tokens, top }
        };
        let mut asked = 0;
        let ask = |plan: &mut StepPlan| {
            // Every other step asks nothing.
            if plan.positions[0].is_multiple_of(2) {
                let rows = plan.logits.iter().map(|wanted| wanted.row + wanted.position).enumerate();
                plan.questions = rows.map(question).collect();
            }
        };
        run_with(&mut device, &[vec![5; 7], vec![9; 70]], 5, 24, ask, |plan, device| {
            assert!(device.answers(&plan.questions));
            for (index, question) in plan.questions.iter().enumerate() {
                let found = device.answer(index).clone();
                let expected = LogitAnswer::of(device.logits(question.choice).unwrap(), question);
                assert!((found.sum / expected.sum - 1.0).abs() < 2e-6, "{found:?} {expected:?}");
                assert_eq!(LogitAnswer { sum: expected.sum, ..found }, expected, "{kind:?}");
                asked += 1;
            }
        });
        assert!(asked > 4, "{asked} questions");
        assert!(record.lock().unwrap().iter().any(|asked| matches!(asked, Asked::Launch(of) if *of == ["scores"])));
    }
}

#[test]
fn questions_for_which_there_is_no_room_are_not_answered() {
    let Some((device, _)) = executor(Kind::Cuda, &config(), Dtype::Bf16) else { return };
    let question = |picks: usize, top| LogitQuestion { choice: 0, tokens: vec![1; picks], top };
    assert!(device.answers(&[question(100, 64)]) && device.answers(&[]));
    assert!(!device.answers(&[question(9000, 0)]), "more tokens than the buffer has places");
    assert!(!device.answers(&vec![question(0, 1); 1000]), "more rows than a step has");
}

/// In a step with prompts, decode rows attend with the kernel of decode steps, and the prompts'
/// rows in tiles; the bits are those that a sequence has alone.
#[test]
fn decode_rows_beside_prompts_keep_their_kernel() {
    for kind in [Kind::Cuda, Kind::Metal] {
        let Some((mut device, record)) = executor(kind, &config(), Dtype::Q8_0) else { return };
        let prompts = [vec![5, 77, 12], vec![9, 4], (0..120).map(|i| i * i * 7 % 128).collect()];
        record.lock().unwrap().clear();
        let together = logits(&mut device, &prompts, 6, 24);
        let steps = record.lock().unwrap().clone();
        let count = |names: &[&str], wanted: &str| names.iter().filter(|name| **name == wanted).count();
        let layers = config().num_hidden_layers;
        let mixed = steps.iter().filter(|asked| {
            matches!(asked, Asked::Launch(names)
                if count(names, "decode_attention") == layers && count(names, "prefill_attention") == layers)
        });
        assert!(mixed.count() >= 4, "{kind:?}: the short sequences decode while the long prompt is computed");
        for (prompt, together) in prompts.iter().zip(&together) {
            assert_eq!(logits(&mut device, std::slice::from_ref(prompt), 6, 48)[0], *together, "{kind:?}");
        }
    }
}
