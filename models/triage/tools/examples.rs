//! Single training examples and probes: one request in the product's own words, and the exact
//! reply. All of them go through the templates of the library, so that the model learns exactly
//! what the product sends.

use crate::agents::{Output, run};
use crate::clauses::{Clause, Prompt, Role};
use crate::judge;
use crate::optimizer;
use crate::world::{Label, Session, Share, Signal};
use maspo::chat::Message;
use maspo::judge::template::{Answer, LETTERS, Question, ReplyForm, render};
use maspo::propose::template::{Evidence, OptimizerInput, PROMPT_TAG};
use maspo::templates::Templates;
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::cmp::Ordering;

/// One request and its reply.
pub(crate) struct Example {
    pub(crate) kind: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) answer: String,
    pub(crate) weight: f64,
}

impl Example {
    pub(crate) fn json(&self) -> Value {
        json!({"kind": self.kind, "messages": self.messages, "answer": self.answer, "weight": self.weight})
    }
}

/// The sessions and prompts that examples are drawn from.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) share: Share,
    pub(crate) prompts: Prompts,
}

/// The prompts of an example's agents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Prompts {
    /// Prompts of every kind, most of them near those that a search visits.
    Usual,
    /// Prompts of the whole team at most a few edits from the best ones: full reports, every
    /// finding, alerts.
    NearIdeal,
    /// Prompts of every kind, with a clause meant for another agent in one of them.
    Stray,
    /// A held-out combination of clauses.
    HeldOut,
}

/// The longest excerpt in a proposal, as in the experiment files.
pub(crate) const EXCERPT_BYTES: usize = 160;

/// Draws the prompts of a team, none of them held out.
fn team(roles: &[Role], rng: &mut ChaCha8Rng) -> Vec<Prompt> {
    roles.iter().map(|role| Prompt::pick(*role, rng)).collect()
}

fn roles(role: Role, rng: &mut ChaCha8Rng) -> &'static [Role] {
    match role {
        Role::Verdict if rng.random_bool(0.3) => &Role::TEAM,
        _ if role.is_specialist() => &Role::TEAM,
        _ => &Role::CHAIN,
    }
}

/// Returns the context of the agent `at`: its predecessors' texts; empty for agents that read the
/// session.
fn context(prompts: &[Prompt], outputs: &[Output], at: usize, rng: &mut ChaCha8Rng) -> String {
    let role = prompts[at].role;
    if role.reads_session() {
        return String::new();
    }
    let from = if prompts.len() == Role::CHAIN.len() { at - 1..at } else { 0..at };
    if from.len() == 1 {
        return outputs[from.start].text();
    }
    // Several predecessors in the format of `rollout`; now and then in another format, so that the
    // format matters little.
    let form = rng.random_range(0..10);
    let parts: Vec<_> = from
        .map(|i| match form {
            0 => outputs[i].text(),
            1 => format!("{}: {}", prompts[i].role.name(), outputs[i].text()),
            _ => format!("[{}]\n{}", prompts[i].role.name(), outputs[i].text()),
        })
        .collect();
    parts.join(if form < 2 { "\n" } else { "\n\n" })
}

/// Draws an example of an agent's work.
pub(crate) fn agent(role: Role, source: Source, rng: &mut ChaCha8Rng) -> Example {
    let roles = roles(role, rng);
    let at = roles.iter().position(|other| *other == role).expect("a member");
    let prompts = match source.prompts {
        Prompts::NearIdeal => roles.iter().map(|role| Prompt::near(Prompt::ideal(*role), 3, rng)).collect(),
        other => {
            let mut prompts = team(roles, rng);
            prompts[at] = match other {
                Prompts::HeldOut => Prompt::sample(role, 0.25, true, rng),
                _ => Prompt::pick(role, rng),
            };
            if other == Prompts::Stray {
                let at = rng.random_range(0..=at);
                prompts[at] = prompts[at].with_stray(rng);
            }
            prompts
        }
    };
    let mut session = Session::sample(source.share, rng);
    if !role.reads_session() && rng.random_bool(0.15) {
        // Upstream reports that no session of the world would give; the session itself is not
        // shown.
        session.values.iter_mut().for_each(|value| value.label = *Label::ALL.choose(rng).expect("four"));
    }
    let outputs = run(&prompts, &session);
    let context = context(&prompts, &outputs, at, rng);
    Example {
        kind: format!("agent-{}", role.name()),
        messages: vec![Message::user(prompts[at].template().render(&session.text, &context))],
        answer: outputs[at].text(),
        weight: 1.0,
    }
}

/// What two outputs are compared for: the role of their agent, and whether its context is shown
/// (local) or not (lookahead, global).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Comparison {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) local: bool,
}

/// All kinds of comparison in the two teams. Lookahead at the terminal agent and global are one
/// kind.
pub(crate) const COMPARISONS: [Comparison; 8] = [
    Comparison { name: "local-extract", role: Role::Extract, local: true },
    Comparison { name: "local-assess", role: Role::Assess, local: true },
    Comparison { name: "local-verdict", role: Role::Verdict, local: true },
    Comparison { name: "lookahead-assess", role: Role::Assess, local: false },
    Comparison { name: "global", role: Role::Verdict, local: false },
    Comparison { name: "local-client", role: Role::Client, local: true },
    Comparison { name: "local-traffic", role: Role::Traffic, local: true },
    Comparison { name: "local-origin", role: Role::Origin, local: true },
];

/// Two outputs of different quality, the first one better.
pub(crate) struct Pair {
    session: Session,
    context: Option<String>,
    better: String,
    worse: String,
}

/// Draws a pair for `comparison`: mostly a prompt and its edit, as the search compares them.
pub(crate) fn pair(comparison: Comparison, share: Share, rng: &mut ChaCha8Rng) -> Pair {
    loop {
        let roles = roles(comparison.role, rng);
        let at = roles.iter().position(|role| *role == comparison.role).expect("a member");
        let prompts = team(roles, rng);
        let session = Session::sample(share, rng);
        let mut changed = prompts.clone();
        // In a local comparison the agent's own prompt differs; otherwise one upstream of it.
        let edited = if comparison.local { at } else { rng.random_range(0..at) };
        if rng.random_bool(0.7) {
            for _ in 0..rng.random_range(1..3) {
                changed[edited] = optimizer::propose(&changed[edited], false, rng);
            }
        } else {
            changed[edited] = Prompt::pick(changed[edited].role, rng);
        }
        let (one, two) = (run(&prompts, &session), run(&changed, &session));
        let [first, second] = [&one[at], &two[at]].map(|output| judge::quality(comparison.role, &session, output));
        // Half of all compared verdicts disagree, so that the model has to learn which is right.
        if first == second || (agrees(&one[at], &two[at]) && rng.random_bool(0.6)) {
            continue;
        }
        let context = context(&prompts, &one, at, rng);
        // An agent without predecessors has no context to show.
        let context = (comparison.local && !comparison.role.reads_session()).then_some(context);
        let (better, worse) = if first > second { (&one[at], &two[at]) } else { (&two[at], &one[at]) };
        return Pair { session, context, better: better.text(), worse: worse.text() };
    }
}

/// Draws a pair of the chain for `comparison`: with and without the one clause in the extractor's
/// prompt that turns its answer into one of another kind, in which its successor finds no facts.
pub(crate) fn stray_pair(comparison: Comparison, share: Share, rng: &mut ChaCha8Rng) -> Pair {
    let at = Role::CHAIN.iter().position(|role| *role == comparison.role).expect("an agent of the chain");
    loop {
        let prompts = team(&Role::CHAIN, rng);
        let session = Session::sample(share, rng);
        let mut changed = prompts.clone();
        changed[0] = prompts[0].with(Clause::Point, rng);
        let (one, two) = (&run(&prompts, &session)[at], &run(&changed, &session)[at]);
        let (better, worse) =
            match judge::quality(comparison.role, &session, one).cmp(&judge::quality(comparison.role, &session, two)) {
                Ordering::Equal => continue,
                Ordering::Greater => (one.text(), two.text()),
                Ordering::Less => (two.text(), one.text()),
            };
        return Pair { session, context: None, better, worse };
    }
}

fn agrees(one: &Output, two: &Output) -> bool {
    matches!((one, two), (Output::Verdict { label, .. }, Output::Verdict { label: other, .. }) if label == other)
}

/// Renders the comparison for the judge, with the better answer as letter `better`.
pub(crate) fn judgement(comparison: Comparison, pair: &Pair, better: usize) -> Example {
    let question = Question {
        role: comparison.role.text(),
        question: &pair.session.text,
        context: pair.context.as_deref(),
        frozen: &[],
    };
    let mut answers = [&pair.better, &pair.worse].map(|text| Answer::from(text.as_str()));
    answers.rotate_right(better);
    Example {
        kind: format!("judge-{}", comparison.name),
        messages: render(&Templates::terse().judge, &question, "", answers, ReplyForm::Letter),
        answer: LETTERS[better].to_string(),
        weight: 4.0,
    }
}

/// Draws a proposal: the parent with one edit.
pub(crate) fn proposal(role: Role, source: Source, rng: &mut ChaCha8Rng) -> (Example, Prompt) {
    let roles = roles(role, rng);
    let at = roles.iter().position(|other| *other == role).expect("a member");
    let mut prompts = team(roles, rng);
    if rng.random_bool(0.4) {
        prompts[at] = if Prompt::seed(role).held_out() { prompts[at].clone() } else { Prompt::seed(role) };
    }
    let held_out = source.prompts == Prompts::HeldOut;
    if held_out {
        prompts[at] = Prompt::sample(role, 0.25, true, rng);
    }
    // The terminal agent has one comparison and so no misalignment cases.
    let cases = if role == Role::Verdict { 0 } else { *[0, 0, 1, 1, 1].choose(rng).expect("five") };
    let trace = Shown::new(&prompts, at, source.share, rng);
    let shown: Vec<_> = (0..cases)
        .map(|_| {
            let mut prompts = prompts.clone();
            if !role.is_specialist() && !prompts[at].has(Clause::trap(role)) && rng.random_bool(0.6) {
                prompts[at].clauses.insert(0, (Clause::trap(role), 0));
            }
            Shown::new(&prompts, at, source.share, rng)
        })
        .collect();
    let warned = shown.iter().any(|case| case.brief);
    let next = loop {
        let next = optimizer::propose(&prompts[at], warned, rng);
        if held_out || !next.held_out() {
            break next;
        }
    };
    let parent = prompts[at].text();
    let frozen = Prompt::frozen(role);
    let brief = OptimizerInput {
        agent: role.name(),
        role: role.text(),
        parent: &parent,
        slots: &[role.slot()],
        frozen: &frozen,
        traces: vec![trace.evidence()],
        cases: shown.iter().map(Shown::evidence).collect(),
        excerpt_bytes: EXCERPT_BYTES,
        ..OptimizerInput::default()
    };
    let example = Example {
        kind: format!("propose-{}", role.name()),
        messages: maspo::propose::template::render(&Templates::terse().optimizer, &brief),
        answer: format!("<{PROMPT_TAG}>{}</{PROMPT_TAG}>", next.text()),
        weight: 0.5,
    };
    (example, prompts[at].clone())
}

/// The texts of one run that a proposal shows.
struct Shown {
    question: String,
    context: String,
    output: String,
    successors: Vec<(&'static str, String)>,
    answer: Option<String>,
    brief: bool,
}

impl Shown {
    fn new(prompts: &[Prompt], at: usize, share: Share, rng: &mut ChaCha8Rng) -> Self {
        let session = Session::sample(share, rng);
        let outputs = run(prompts, &session);
        let last = prompts.len() - 1;
        let next = if prompts[at].role.is_specialist() { last } else { at + 1 };
        let brief = matches!(outputs[at], Output::Facts { brief: true, .. } | Output::Findings { brief: true, .. });
        Self {
            context: context(prompts, &outputs, at, rng),
            output: outputs[at].text(),
            successors: (at != last).then(|| (prompts[next].role.name(), outputs[next].text())).into_iter().collect(),
            answer: (at != last).then(|| outputs[last].text()),
            question: session.text,
            brief,
        }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            question: &self.question,
            context: &self.context,
            output: &self.output,
            successors: self.successors.iter().map(|(name, text)| (*name, text.as_str())).collect(),
            answer: self.answer.as_deref(),
            ..Evidence::default()
        }
    }
}

/// Draws an auxiliary example that the product never sends: the label of a session, or of one
/// value.
pub(crate) fn auxiliary(share: Share, rng: &mut ChaCha8Rng) -> Example {
    let session = Session::sample(share, rng);
    let (question, answer) = if rng.random_bool(0.7) {
        (format!("What is this session?\n{}", session.text), session.truth().name().to_string())
    } else {
        let fact = session.fact(*Signal::ALL.choose(rng).expect("six"));
        let question = format!("What does the {} point to?\n{}", fact.signal.name(), session.text);
        (question, fact.value.label.name().to_string())
    };
    Example { kind: "aux-label".into(), messages: vec![Message::user(question)], answer, weight: 6.0 }
}

/// Draws an auxiliary example: the label of a session, asked where a comparison would show its
/// answers.
pub(crate) fn label_in_frame(share: Share, rng: &mut ChaCha8Rng) -> Example {
    let session = Session::sample(share, rng);
    let question = Question { role: Role::Verdict.text(), question: &session.text, context: None, frozen: &[] };
    let nothing = ["", ""].map(Answer::from);
    let whole = render(&Templates::terse().judge, &question, "", nothing, ReplyForm::Letter).remove(0).content;
    let (frame, _) = whole.rsplit_once("\n\nAnswer A:").expect("a comparison shows its answers");
    Example {
        kind: "aux-frame".into(),
        messages: vec![Message::user(format!("{frame}\n\nRight answer:"))],
        answer: session.truth().name().to_string(),
        weight: 6.0,
    }
}

/// Draws an auxiliary example: the right label compared with a wrong one, and nothing else.
pub(crate) fn label_judgement(share: Share, rng: &mut ChaCha8Rng) -> Example {
    let session = Session::sample(share, rng);
    let truth = session.truth();
    let others: Vec<_> = Label::ALL.into_iter().filter(|label| *label != truth).collect();
    let verdict = |label: Label| Output::Verdict { tally: None, alert: None, label }.text();
    let (better, worse) = (verdict(truth), verdict(*others.choose(rng).expect("three")));
    let comparison = COMPARISONS[4];
    let example = judgement(comparison, &Pair { session, context: None, better, worse }, rng.random_range(0..2));
    Example { kind: "aux-verdict".into(), ..example }
}
