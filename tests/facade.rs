//! The library as its users meet it: the example, run as it is.

#[path = "../examples/optimize.rs"]
#[expect(dead_code, reason = "its `main` prints what the function returns")]
mod example;

#[test]
fn the_example_optimizes_its_prompts_and_gives_the_same_result_again() {
    let result = example::optimize().unwrap();
    assert!(result.finished);
    assert_eq!(result.agents, ["extract", "verdict"]);
    assert_eq!(result.steps.len(), 4, "two agents, one round of two steps");
    assert!(result.steps.iter().any(|step| !step.candidates.is_empty()), "candidates were tried");
    assert_eq!(result.prompts.iter().count(), 2);
    let again = example::optimize().unwrap();
    assert_eq!(again.result_hash(), result.result_hash());
}
