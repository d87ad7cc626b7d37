//! The vote of several answers to one question, by the classes in which the scorer sees them.

use super::scorer::Scorer;

impl Scorer {
    /// Returns the position of the answer that wins a vote among `outputs`: of the class with the
    /// most votes, the first; of classes with equally many, the one that appeared first. Outputs
    /// without an answer have no vote, unless none has one. Programs have no classes, so that the
    /// first one wins.
    ///
    /// # Panics
    /// Panics without outputs.
    pub fn vote(&self, outputs: &[&str]) -> usize {
        assert!(!outputs.is_empty(), "a vote needs an answer");
        let answers: Vec<(usize, String)> =
            outputs.iter().enumerate().filter_map(|(at, output)| Some((at, self.answer(output)?))).collect();
        let classes = self.classes(&answers);
        let votes = |class: usize| classes.iter().filter(|other| **other == class).count();
        // The greatest count, and of equal ones the earliest answer.
        let best = (0..answers.len()).max_by_key(|at| (votes(classes[*at]), answers.len() - at));
        best.map_or(0, |at| answers[at].0)
    }

    /// The class of each answer, which is in normalized form.
    fn classes(&self, answers: &[(usize, String)]) -> Vec<usize> {
        if matches!(self, Self::Math { .. }) {
            let read = answers.iter().map(|(_, answer)| maspo_math::Answer::read(answer));
            if let Ok(read) = read.collect::<Result<Vec<_>, _>>() {
                return maspo_math::group(&read);
            }
        }
        // An answer joins the first class whose first member it equals.
        let mut first: Vec<&str> = Vec::new();
        let mut classes = Vec::with_capacity(answers.len());
        for (_, answer) in answers {
            let known = first.iter().position(|known| self.equal(known, answer));
            classes.push(known.unwrap_or_else(|| {
                first.push(answer);
                first.len() - 1
            }));
        }
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scorer: &Scorer, outputs: &[&str], expected: usize) {
        assert_eq!(scorer.vote(outputs), expected, "{outputs:?}");
    }

    #[test]
    fn the_largest_class_wins_and_ties_go_to_the_first() {
        let letter = |letters: &str| -> Vec<String> {
            letters.chars().map(|c| if c == '-' { "none".into() } else { format!("<answer>{c}</answer>") }).collect()
        };
        for (letters, winner) in [("ABB", 1), ("AB", 0), ("BAAB", 0), ("-A", 1), ("--", 0), ("ABBCC", 1), ("--AB-B", 3)]
        {
            let outputs = letter(letters);
            check(&Scorer::Letter, &outputs.iter().map(String::as_str).collect::<Vec<_>>(), winner);
        }
    }

    #[test]
    fn classes_are_those_of_the_scorer() {
        let math = Scorer::Math { round_to_gold: false };
        check(&math, &["\\boxed{3}", "\\boxed{\\frac12}", "\\boxed{0.5}"], 1);
        check(&Scorer::Text, &["one", "two  words", "two words"], 1);
        let code = Scorer::Code { unsafe_exec: false };
        check(&code, &["def f(): pass", "def g(): pass"], 0);
    }
}
