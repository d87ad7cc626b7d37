//! The prompts: a controlled vocabulary of clauses with paraphrases. The behaviour of an agent
//! depends only on the set of its prompt's clauses, never on their order or wording. What the
//! clauses do is in `agents`.

use crate::world::Signal;
use maspo::base::Hasher;
use maspo::prompt::{Slot, Template};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

/// The agents of both teams. The specialists are extractors that also say what a fact points to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Role {
    Extract,
    Assess,
    Verdict,
    Client,
    Traffic,
    Origin,
}

impl Role {
    pub(crate) const ALL: [Self; 6] =
        [Self::Extract, Self::Assess, Self::Verdict, Self::Client, Self::Traffic, Self::Origin];
    pub(crate) const CHAIN: [Self; 3] = [Self::Extract, Self::Assess, Self::Verdict];
    pub(crate) const TEAM: [Self; 4] = [Self::Client, Self::Traffic, Self::Origin, Self::Verdict];

    pub(crate) fn name(self) -> &'static str {
        ["extract", "assess", "verdict", "client", "traffic", "origin"][self as usize]
    }

    /// The role text of the configuration, which judge and optimizer read.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Extract => "List the facts of the session.",
            Self::Assess => "Say what each fact points to.",
            Self::Verdict => "Say what the session is.",
            Self::Client => "Say what the client facts point to.",
            Self::Traffic => "Say what the traffic facts point to.",
            Self::Origin => "Say what the origin facts point to.",
        }
    }

    pub(crate) fn reads_session(self) -> bool {
        !matches!(self, Self::Assess | Self::Verdict)
    }

    pub(crate) fn slot(self) -> Slot {
        if self.reads_session() { Slot::Question } else { Slot::Context }
    }

    /// Returns the signals that a specialist looks at; all signals for the other agents.
    pub(crate) fn signals(self) -> &'static [Signal] {
        match self {
            Self::Client => &[Signal::Agent, Signal::Cookies],
            Self::Traffic => &[Signal::Rate, Signal::Path],
            Self::Origin => &[Signal::Referrer, Signal::Zone],
            _ => &Signal::ALL,
        }
    }

    pub(crate) fn is_specialist(self) -> bool {
        matches!(self, Self::Client | Self::Traffic | Self::Origin)
    }
}

/// One clause of a prompt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Clause {
    /// Report a signal.
    Report(Signal),
    /// Say what the reported values point to (specialists).
    Point,
    /// Assess agent and cookies.
    WeighClient,
    /// Assess rate and path.
    WeighTraffic,
    /// Assess referrer and zone.
    WeighOrigin,
    /// Raise an alert at a rapid rate on a login path.
    LoginAlert,
    /// Raise an alert at a burst on a cart path.
    CartAlert,
    /// The trap: keep the first two items only.
    Brief,
    /// Count the findings for each label before answering.
    Count,
    /// An alert decides.
    AlertDecides,
    /// A tie goes to the later label.
    LateTie,
    /// Answer without counting.
    AtOnce,
    /// Does nothing.
    Care,
    /// Does nothing.
    Calm,
    /// Does nothing.
    Polite,
}

impl Clause {
    pub(crate) const FILLERS: [Self; 3] = [Self::Care, Self::Calm, Self::Polite];

    /// Returns three wordings with the same meaning.
    pub(crate) fn wordings(self) -> [String; 3] {
        let texts = match self {
            Self::Report(signal) => {
                let name = signal.name();
                return [format!("Report the {name}."), format!("Note the {name}."), format!("Include the {name}.")];
            }
            Self::Point => {
                ["Say what each fact points to.", "Say who each fact suggests.", "Add what each fact means."]
            }
            Self::WeighClient => ["Weigh agent and cookies.", "Judge agent and cookies.", "Use agent and cookies."],
            Self::WeighTraffic => ["Weigh rate and path.", "Judge rate and path.", "Use rate and path."],
            Self::WeighOrigin => ["Weigh referrer and zone.", "Judge referrer and zone.", "Use referrer and zone."],
            Self::LoginAlert => {
                ["Raise an alert for fast logins.", "Flag fast logins.", "Warn of a fast rate at a login."]
            }
            Self::CartAlert => ["Raise an alert for cart bursts.", "Flag cart bursts.", "Warn of a burst at a cart."],
            Self::Brief => ["Be brief.", "Keep it short.", "Give only the gist."],
            Self::Count => ["Count the findings first.", "First count each kind.", "Tally before you answer."],
            Self::AlertDecides => ["An alert decides.", "Obey an alert.", "Let an alert win."],
            Self::LateTie => ["On a tie take the last.", "Break ties to the last.", "If tied prefer the last."],
            Self::AtOnce => ["Answer at once.", "Answer right away.", "Skip the count."],
            Self::Care => ["Work with care.", "Be careful.", "Take care."],
            Self::Calm => ["Stay calm.", "Keep calm.", "Do not rush."],
            Self::Polite => ["Be polite.", "Stay polite.", "Use plain words."],
        };
        texts.map(String::from)
    }

    /// Draws a clause that is meant for agents other than `role`, as an optimizer now and then adds
    /// one. In an extractor's prompt [`Clause::Point`] turns its answer into one of another kind;
    /// the others change nothing.
    fn stray(role: Role, rng: &mut ChaCha8Rng) -> Self {
        if role == Role::Extract && rng.random_bool(0.5) {
            return Self::Point;
        }
        let own: Vec<_> = Self::useful(role).into_iter().chain([Self::trap(role)]).collect();
        let others = Role::ALL.iter().flat_map(|other| [Self::useful(*other), vec![Self::trap(*other)]].concat());
        let strays: Vec<_> = others.filter(|clause| !own.contains(clause)).collect();
        *strays.choose(rng).expect("every role lacks some")
    }

    /// Returns the clauses that improve what `role` does.
    pub(crate) fn useful(role: Role) -> Vec<Self> {
        match role {
            Role::Assess => {
                vec![Self::WeighClient, Self::WeighTraffic, Self::WeighOrigin, Self::LoginAlert, Self::CartAlert]
            }
            Role::Verdict => vec![Self::Count, Self::AlertDecides, Self::LateTie],
            _ => {
                let mut clauses: Vec<_> = role.signals().iter().copied().map(Self::Report).collect();
                if role.is_specialist() {
                    clauses.push(Self::Point);
                }
                if role == Role::Traffic {
                    clauses.extend([Self::LoginAlert, Self::CartAlert]);
                }
                clauses
            }
        }
    }

    /// Returns the clause that makes reports look tidier and loses evidence.
    pub(crate) fn trap(role: Role) -> Self {
        if role == Role::Verdict { Self::AtOnce } else { Self::Brief }
    }
}

/// The prompt of an agent: its clauses in order, each with its wording.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Prompt {
    pub(crate) role: Role,
    pub(crate) clauses: Vec<(Clause, usize)>,
}

impl Prompt {
    pub(crate) fn new(role: Role, clauses: &[Clause]) -> Self {
        Self { role, clauses: clauses.iter().map(|clause| (*clause, 0)).collect() }
    }

    /// The prompt that the search starts from.
    pub(crate) fn seed(role: Role) -> Self {
        use Clause::{Care, Count, Point, Report, WeighClient, WeighTraffic};
        let clauses: &[Clause] = match role {
            Role::Extract => &[Care, Report(Signal::Agent), Report(Signal::Rate), Report(Signal::Cookies)],
            Role::Assess => &[WeighClient, WeighTraffic],
            Role::Verdict => &[Count],
            Role::Client => &[Report(Signal::Agent), Point],
            Role::Traffic => &[Report(Signal::Rate), Point],
            Role::Origin => &[Report(Signal::Zone), Point],
        };
        Self::new(role, clauses)
    }

    /// The best prompt.
    pub(crate) fn ideal(role: Role) -> Self {
        Self::new(role, &Clause::useful(role))
    }

    /// Draws a random set of clauses in random order and wording; `trap` is the probability of the
    /// trap.
    pub(crate) fn random(role: Role, trap: f64, rng: &mut ChaCha8Rng) -> Self {
        use rand::seq::SliceRandom;
        let mut clauses = Vec::new();
        let often = rng.random_range(0.4..1.0);
        for clause in Clause::useful(role) {
            let keep = if clause == Clause::Point { 0.97 } else { often };
            if rng.random_bool(keep) {
                clauses.push(clause);
            }
        }
        if rng.random_bool(trap) {
            clauses.push(Clause::trap(role));
        }
        clauses.extend(Clause::FILLERS.into_iter().filter(|_| rng.random_bool(0.25)));
        if clauses.is_empty() {
            clauses.push(Clause::Care);
        }
        clauses.shuffle(rng);
        Self { role, clauses: clauses.into_iter().map(|clause| (clause, rng.random_range(0..3))).collect() }
    }

    /// Returns the prompt with a clause of another agent at a random place.
    pub(crate) fn with_stray(&self, rng: &mut ChaCha8Rng) -> Self {
        self.with(Clause::stray(self.role, rng), rng)
    }

    /// Returns the prompt with `clause` at a random place, in a random wording.
    pub(crate) fn with(&self, clause: Clause, rng: &mut ChaCha8Rng) -> Self {
        let mut prompt = self.clone();
        let at = rng.random_range(0..=prompt.clauses.len());
        prompt.clauses.insert(at, (clause, rng.random_range(0..3)));
        prompt
    }

    pub(crate) fn has(&self, clause: Clause) -> bool {
        self.clauses.iter().any(|(own, _)| *own == clause)
    }

    /// Returns the text with its slot.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (clause, wording) in &self.clauses {
            text.push_str(&clause.wordings()[*wording]);
            text.push(' ');
        }
        text.pop();
        text.push_str(match self.role {
            Role::Verdict => "\nEnd with <answer>label</answer>.\nFindings:\n{context}",
            Role::Assess => "\nFacts:\n{context}",
            _ => "\nSession:\n{question}",
        });
        text
    }

    /// Returns the prompt with this text; `None` if the text is not made of the vocabulary.
    pub(crate) fn parse(role: Role, text: &str) -> Option<Self> {
        let end = Self { role, clauses: Vec::new() }.text();
        let mut rest = text.trim().strip_suffix(&end)?;
        let mut known = Clause::useful(role);
        known.push(Clause::trap(role));
        known.extend(Clause::FILLERS);
        let mut clauses = Vec::new();
        while !rest.is_empty() {
            let starts = known.iter().find_map(|clause| {
                let wordings = clause.wordings();
                let wording = wordings.iter().position(|wording| rest.starts_with(wording.as_str()))?;
                Some((*clause, wording, wordings[wording].len()))
            });
            let (clause, wording, bytes) = starts?;
            clauses.push((clause, wording));
            rest = rest[bytes..].trim_start();
        }
        Some(Self { role, clauses })
    }

    pub(crate) fn template(&self) -> Template {
        Template::new(self.text())
    }

    /// Returns the passages that every candidate must keep.
    pub(crate) fn frozen(role: Role) -> Vec<String> {
        if role == Role::Verdict { vec!["<answer>label</answer>".to_string()] } else { Vec::new() }
    }

    /// Whether this combination of clauses is kept out of training: one in ten, by a hash of the
    /// set, so that the model can be measured on combinations that it never saw.
    pub(crate) fn held_out(&self) -> bool {
        let set: BTreeSet<Clause> = self.clauses.iter().map(|(clause, _)| *clause).collect();
        let role = if self.role.is_specialist() { "specialist" } else { self.role.name() };
        let mut hasher = Hasher::new("triage clauses");
        hasher.field(role.as_bytes());
        set.iter().for_each(|clause| {
            hasher.field(clause.wordings()[0].as_bytes());
        });
        hasher.finish().0[0].is_multiple_of(10)
    }

    /// Draws a random prompt that is or is not held out, as requested.
    pub(crate) fn sample(role: Role, trap: f64, held_out: bool, rng: &mut ChaCha8Rng) -> Self {
        loop {
            let prompt = Self::random(role, trap, rng);
            if prompt.held_out() == held_out {
                return prompt;
            }
        }
    }

    pub(crate) fn pick(role: Role, rng: &mut ChaCha8Rng) -> Self {
        // Half of all prompts are near those that a search visits.
        if rng.random_bool(0.5) {
            return Self::sample(role, 0.25, false, rng);
        }
        let start = if rng.random_bool(0.5) { Self::seed(role) } else { Self::ideal(role) };
        Self::near(start, 4, rng)
    }

    /// Draws a prompt fewer than `edits` edits from `start`, in any wording, and not held out.
    pub(crate) fn near(start: Self, edits: usize, rng: &mut ChaCha8Rng) -> Self {
        let role = start.role;
        let mut prompt = start;
        for _ in 0..rng.random_range(0..edits) {
            prompt = crate::optimizer::propose(&prompt, false, rng);
        }
        let wordings: Vec<usize> = vec![0, 1, 2];
        prompt.clauses.iter_mut().for_each(|(_, wording)| *wording = *wordings.choose(rng).expect("three"));
        if prompt.held_out() { Self::sample(role, 0.25, false, rng) } else { prompt }
    }
}
