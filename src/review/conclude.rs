//! What decisions come to: prompts that are measured again where they are not those of the run, and
//! the bundle.

use super::decisions::{AgentDecision, Decisions};
use super::session::Session;
use crate::base::Digest;
use crate::bundle::{Bundle, Decided, Evidence, MeasuredBy, Review, TestVerdict};
use crate::chat::ChatError;

/// What decisions come to.
#[derive(Clone, PartialEq, Debug)]
pub enum Conclusion {
    /// Every change was rejected, so there is nothing to ship.
    NothingAccepted,
    /// The bundle.
    Bundle {
        /// The bundle, reviewed and sealed.
        bundle: Box<Bundle>,
        /// Whether its prompts were measured again, because they are not those of the run.
        rechecked: bool,
        /// Whether what was measured says that they are worse than the seed prompts.
        worse: bool,
    },
}

/// Makes the bundle of decisions. Prompts that are not those of the run are measured on the pool,
/// and with `test` on the test cases, too.
///
/// # Errors
/// A model call failed.
pub fn conclude(
    session: &Session<'_>,
    of_run: &Bundle,
    decisions: &Decisions,
    test: bool,
    parent: Option<Digest>,
    time: &str,
) -> Result<Conclusion, ChatError> {
    let prompts = decisions.prompts(session.seed_prompts(), session.optimized());
    if prompts == *session.seed_prompts() {
        return Ok(Conclusion::NothingAccepted);
    }
    let rechecked = prompts != *session.optimized();
    let mut bundle = of_run.clone();
    if rechecked {
        bundle.evidence = Evidence {
            run: bundle.evidence.run,
            measured_by: MeasuredBy::Review,
            test: if test { session.on_test(&prompts)? } else { None },
            pool: session.on_pool(&prompts)?,
            verdicts: None,
        };
    }
    let names = session.graph().agents().iter().map(|agent| agent.name.clone());
    bundle.prompts = names.zip(prompts.iter()).map(|(name, (_, prompt))| (name, prompt.text().into())).collect();
    let decided = |decision: &AgentDecision| Decided {
        agent: session.graph().agent(decision.agent).name.clone(),
        decision: decision.choice.name().to_string(),
        comment: decision.comment.clone(),
    };
    bundle.review = Some(Review {
        reviewer: decisions.reviewer.clone(),
        time: time.to_string(),
        comment: decisions.comment.clone(),
        decisions: decisions.agents.iter().map(decided).collect(),
    });
    bundle.created = time.to_string();
    bundle.parent = parent;
    let is_worse = |verdict: Option<TestVerdict>| verdict == Some(TestVerdict::Worse);
    let Evidence { test, pool, .. } = &bundle.evidence;
    let worse = is_worse(test.as_ref().map(|test| test.verdict)) || is_worse(pool.as_ref().map(|pool| pool.verdict));
    Ok(Conclusion::Bundle { bundle: Box::new(bundle.sealed()), rechecked, worse })
}
