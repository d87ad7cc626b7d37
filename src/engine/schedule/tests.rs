//! Tests that carry plans out on a simulated K/V pool, in which a slot remembers the prefix that
//! its key belongs to.

use super::*;
use crate::blocks::Blocks;
use proptest::prelude::*;
use std::collections::HashMap;

/// A request: the prompt, and how many tokens are generated. `None` generates nothing and wants the
/// logits of the prompt's last tokens.
#[derive(Clone, Debug)]
struct TestRequest {
    tokens: Vec<u32>,
    new_tokens: Option<usize>,
}

struct Simulation {
    scheduler: Scheduler,
    /// What each slot of keys and values holds: the prefix that ends there, and whether its last
    /// token was computed as a decode row.
    pool: Vec<(Vec<u32>, bool)>,
    block_tokens: usize,
    sequences: HashMap<SequenceId, (Vec<u32>, usize, TestRequest)>,
    steps: usize,
    /// The most tokens of a draft that are right, and the most that follow them and are wrong.
    guesses: (usize, usize),
}

/// Returns the token that the simulated model generates at a position.
fn generated(at: usize) -> u32 {
    (at as u32 * 7) % 3
}

impl Simulation {
    fn new(limits: Limits, blocks: usize, block_tokens: usize, reuse: bool, guesses: (usize, usize)) -> Self {
        let scheduler = Scheduler::new(limits, Blocks::new(blocks, block_tokens, reuse)).with_draft_rows(32);
        let pool = vec![(Vec::new(), false); blocks * block_tokens];
        Self { scheduler, pool, block_tokens, sequences: HashMap::new(), steps: 0, guesses }
    }

    fn submit(&mut self, request: TestRequest) {
        let wanted = if request.new_tokens.is_some() { 1 } else { request.tokens.len().div_ceil(3) };
        let from = request.tokens.len() - wanted;
        let id = self.scheduler.submit(request.tokens.clone(), from);
        self.sequences.insert(id, (request.tokens.clone(), from, request));
    }

    /// Carries out one step. Returns false when there is nothing to do.
    fn step(&mut self, limits: Limits) -> bool {
        let (sequences, (right, wrong)) = (&self.sequences, self.guesses);
        let mut drafted = HashMap::new();
        let plan = self.scheduler.plan_drafting(|id, tokens, most| {
            let (known, _, request) = &sequences[&id];
            assert_eq!(tokens, known);
            let left = request.tokens.len() + request.new_tokens.unwrap() - tokens.len() - 1;
            let from = tokens.len();
            let draft = (from..from + right + wrong).map(|at| generated(at) + u32::from(at >= from + right));
            let draft: Vec<u32> = draft.take(most.min(left)).collect();
            drafted.insert(id, draft.clone());
            draft
        });
        let Some(plan) = plan else { return false };
        self.steps += 1;
        assert!(!plan.tokens.is_empty() && plan.tokens.len() <= limits.step_tokens);
        assert!(plan.spans.len() <= limits.max_running);
        let tokens = |id| [&sequences[&id].0[..], drafted.get(&id).map_or(&[], Vec::as_slice)].concat();
        for span in &plan.spans {
            let tokens = tokens(span.id);
            for (row, at) in span.rows.clone().zip(span.position..) {
                assert_eq!((plan.tokens[row], plan.positions[row] as usize), (tokens[at], at));
                self.pool[plan.slots[row] as usize] = (tokens[..=at].to_vec(), row < plan.decode_rows);
            }
        }
        // After all writes, every key that a row attends to is in its slot.
        for span in &plan.spans {
            let tokens = tokens(span.id);
            let table = &plan.tables[span.table.clone()];
            for at in 0..span.position + span.rows.len() {
                let slot = table[at / self.block_tokens].0 as usize * self.block_tokens + at % self.block_tokens;
                let generated = at >= sequences[&span.id].2.tokens.len();
                assert_eq!(self.pool[slot], (tokens[..=at].to_vec(), generated), "the key at {at}");
            }
        }
        self.scheduler.complete(&plan);
        for row in plan.logits {
            // The sequence may have ended within a draft.
            let Some((tokens, next_wanted, request)) = self.sequences.get_mut(&row.id) else { continue };
            if request.new_tokens.is_some() && !self.scheduler.is_last(row.id, row.position) {
                assert!(row.position > tokens.len() - 2, "only what follows a wrong guess is in vain");
                continue;
            }
            assert!(row.position <= *next_wanted, "no wanted row is left out");
            *next_wanted = (*next_wanted).max(row.position + 1);
            if row.position + 1 < tokens.len() {
                continue;
            }
            let made = tokens.len() + 1 - request.tokens.len();
            if request.new_tokens.is_some_and(|wanted| made < wanted) {
                let token = generated(tokens.len());
                tokens.push(token);
                self.scheduler.push(row.id, token);
            } else {
                self.scheduler.remove(row.id);
                self.sequences.remove(&row.id);
            }
        }
        true
    }
}

proptest! {
    #[test]
    fn every_sequence_ends_and_sees_its_own_prefix(
        requests in prop::collection::vec(
            (prop::collection::vec(0u32..2, 1..40), prop::option::of(1usize..20))
                .prop_map(|(tokens, new_tokens)| TestRequest { tokens, new_tokens }),
            1..30,
        ),
        (blocks, block_tokens) in (15usize..40, 4usize..6),
        (step_tokens, max_running) in (1usize..50, 1usize..10),
        reuse: bool,
        together in 1usize..10,
        guesses in (0usize..6, 0usize..3),
    ) {
        let limits = Limits { step_tokens, max_running };
        let mut simulation = Simulation::new(limits, blocks, block_tokens, reuse, guesses);
        for requests in requests.chunks(together) {
            requests.iter().cloned().for_each(|request| simulation.submit(request));
            simulation.step(limits);
        }
        while simulation.step(limits) {
            prop_assert!(simulation.steps < 100_000, "no progress");
        }
        prop_assert!(simulation.sequences.is_empty() && simulation.scheduler.is_idle());
    }
}

#[test]
fn decoding_goes_on_while_a_long_prompt_is_prefilled() {
    let limits = Limits { step_tokens: 8, max_running: 4 };
    let mut scheduler = Scheduler::new(limits, Blocks::new(100, 16, true));
    let first = scheduler.submit(vec![1, 2], 1);
    let plan = scheduler.plan().unwrap();
    scheduler.complete(&plan);
    scheduler.push(first, 3);
    let second = scheduler.submit((0..30).collect(), 29);
    for step in 0..4 {
        let plan = scheduler.plan().unwrap();
        scheduler.complete(&plan);
        scheduler.push(first, 4);
        let rows: Vec<_> = plan.spans.iter().map(|span| (span.id, span.position, span.rows.len())).collect();
        assert_eq!(rows, [(first, 2 + step, 1), (second, 7 * step, 7)]);
    }
}

#[test]
fn a_request_waits_for_the_prefix_that_another_computes() {
    let limits = Limits { step_tokens: 512, max_running: 8 };
    let mut scheduler = Scheduler::new(limits, Blocks::new(100, 16, true));
    let shared: Vec<u32> = (0..32).collect();
    for tail in 0..3 {
        scheduler.submit([&shared[..], &[90 + tail]].concat(), 32);
    }
    let other = scheduler.submit((50..70).collect(), 19);
    let plan = scheduler.plan().unwrap();
    scheduler.complete(&plan);
    assert_eq!(plan.spans.iter().map(|span| span.rows.len()).collect::<Vec<_>>(), [33, 20]);
    assert_eq!(plan.spans[1].id, other, "others overtake");
    let plan = scheduler.plan().unwrap();
    let fresh: Vec<_> = plan.spans.iter().map(|span| (span.position, span.rows.len())).collect();
    assert_eq!(fresh, [(32, 1), (32, 1)], "both find the prefix");
}

#[test]
fn what_is_guessed_counts_when_it_comes_true() {
    let limits = Limits { step_tokens: 512, max_running: 8 };
    let mut scheduler = Scheduler::new(limits, Blocks::new(6, 4, true));
    let id = scheduler.submit(vec![1, 2], 1);
    let first = scheduler.plan().unwrap();
    scheduler.complete(&first);
    scheduler.push(id, 3);
    let plan = scheduler.plan_drafting(|_, tokens, _| {
        assert_eq!(tokens, [1, 2, 3]);
        vec![4, 5, 6]
    });
    let plan = plan.unwrap();
    assert_eq!((&plan.tokens[..], &plan.positions[..]), (&[3, 4, 5, 6][..], &[2, 3, 4, 5][..]));
    assert_eq!(plan.logits.iter().map(|row| row.position).collect::<Vec<_>>(), [2, 3, 4, 5]);
    scheduler.complete(&plan);
    assert!(scheduler.is_last(id, 2));
    scheduler.push(id, 4);
    assert!(scheduler.is_last(id, 3), "it came true");
    scheduler.push(id, 9);
    assert!(!scheduler.is_last(id, 4), "it did not");
    let plan = scheduler.plan().unwrap();
    assert_eq!((&plan.tokens[..], &plan.positions[..]), (&[9][..], &[4][..]), "in place of the wrong guess");
    assert_eq!((scheduler.tally().drafted, scheduler.tally().accepted, scheduler.tally().prefilled), (3, 1, 2));
}

#[test]
fn a_guess_gets_only_the_room_that_nobody_needs() {
    let rooms = |blocks, step_tokens, sequences: usize| {
        let limits = Limits { step_tokens, max_running: 100 };
        let mut scheduler = Scheduler::new(limits, Blocks::new(blocks, 4, false)).with_draft_rows(32);
        let ids: Vec<_> = (0..sequences).map(|_| scheduler.submit(vec![1, 2], 1)).collect();
        let plan = scheduler.plan().unwrap();
        scheduler.complete(&plan);
        ids.into_iter().for_each(|id| scheduler.push(id, 3));
        let mut rooms = Vec::new();
        scheduler.plan_drafting(|_, _, most| {
            rooms.push(most);
            vec![0; most.min(20)]
        });
        rooms
    };
    assert_eq!(rooms(1, 512, 1), [1], "the block has room for four");
    assert_eq!(rooms(3, 512, 1), [5], "one block stays spare");
    assert_eq!(rooms(100, 512, 1), [31]);
    assert_eq!(rooms(100, 512, 4), [28, 8], "the oldest first");
    assert_eq!(rooms(100, 6, 2), [4]);
    assert!(rooms(200, 512, 32).is_empty(), "the step is crowded");
}

#[test]
fn the_youngest_makes_room_and_comes_back() {
    let limits = Limits { step_tokens: 512, max_running: 8 };
    let mut scheduler = Scheduler::new(limits, Blocks::new(4, 4, false));
    let (old, young) = (scheduler.submit(vec![1; 4], 3), scheduler.submit(vec![2; 4], 3));
    let run = |scheduler: &mut Scheduler| {
        let plan = scheduler.plan().unwrap();
        scheduler.complete(&plan);
        plan.logits.iter().for_each(|row| scheduler.push(row.id, 9));
        plan.spans.iter().map(|span| span.id).collect::<Vec<_>>()
    };
    let runs: Vec<_> = (0..6).map(|_| run(&mut scheduler)).collect();
    assert!(runs[..5].iter().all(|ids| *ids == [old, young]), "both fit for a while");
    assert_eq!((&runs[5][..], scheduler.tally().preemptions), (&[old][..], 1));
    scheduler.remove(old);
    assert_eq!(run(&mut scheduler), [young]);
}
