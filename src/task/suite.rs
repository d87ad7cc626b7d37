//! The benchmark sets that the program knows by name: their fields, published and as the paper's
//! release has them, and what they are scored by.

use super::scorer::Scorer;
use serde_json::Value;

/// A benchmark set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suite {
    /// MATH-500.
    Math500,
    /// AGIEval-MATH, of which the paper takes level 5.
    AgievalMath,
    /// AQuA.
    Aqua,
    /// GPQA-Diamond.
    GpqaDiamond,
    /// MBPP, sanitized.
    Mbpp,
    /// HumanEval-ET.
    HumanevalEt,
}

/// The fields of a set's rows, in one of the forms in which it goes around.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// The fields of the question.
    pub question: &'static [&'static str],
    /// The field of the gold answer, or of the tests.
    pub gold: &'static str,
    /// The field by whose values the set is divided, if it is.
    pub part: Option<&'static str>,
    /// The field of the id, if there is one.
    pub id: Option<&'static str>,
}

impl Shape {
    const fn new(question: &'static [&'static str], gold: &'static str) -> Self {
        Self { question, gold, part: None, id: None }
    }

    const fn part(self, part: &'static str) -> Self {
        Self { part: Some(part), ..self }
    }

    const fn id(self, id: &'static str) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Returns the fields that every row must have.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.question.iter().copied().chain([self.gold]).chain(self.id)
    }
}

impl Suite {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Math500, Self::AgievalMath, Self::Aqua, Self::GpqaDiamond, Self::Mbpp, Self::HumanevalEt];

    /// Returns the name in file names and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Math500 => "math500",
            Self::AgievalMath => "agieval-math",
            Self::Aqua => "aqua",
            Self::GpqaDiamond => "gpqa-diamond",
            Self::Mbpp => "mbpp",
            Self::HumanevalEt => "humaneval-et",
        }
    }

    /// Returns the name in texts.
    pub fn title(self) -> &'static str {
        match self {
            Self::Math500 => "MATH-500",
            Self::AgievalMath => "AGIEval-MATH",
            Self::Aqua => "AQuA",
            Self::GpqaDiamond => "GPQA-Diamond",
            Self::Mbpp => "MBPP, sanitized",
            Self::HumanevalEt => "HumanEval-ET",
        }
    }

    /// Returns the number of rows of the whole published file.
    pub fn published_rows(self) -> usize {
        match self {
            Self::Math500 => 500,
            Self::AgievalMath => 1000,
            Self::Aqua => 254,
            Self::GpqaDiamond => 198,
            Self::Mbpp => 427,
            Self::HumanevalEt => 164,
        }
    }

    /// Whether its rows must not be printed, because its authors ask for that.
    pub fn is_private(self) -> bool {
        self == Self::GpqaDiamond
    }

    /// Returns what it is scored by.
    pub fn scorer(self) -> Scorer {
        match self {
            Self::Math500 | Self::AgievalMath => Scorer::Math { round_to_gold: false },
            Self::Aqua | Self::GpqaDiamond => Scorer::Letter,
            Self::Mbpp | Self::HumanevalEt => Scorer::Code { unsafe_exec: false },
        }
    }

    /// Returns the forms of its rows, the published one first.
    pub fn shapes(self) -> &'static [Shape] {
        const MATH500: &[Shape] =
            &[Shape::new(&["problem"], "answer").id("unique_id"), Shape::new(&["problem"], "answer")];
        const AGIEVAL: &[Shape] = &[
            Shape::new(&["question"], "answer").part("other.level"),
            Shape::new(&["problem"], "answer").part("level"),
        ];
        const AQUA: &[Shape] = &[Shape::new(&["question", "options"], "correct"), Shape::new(&["problem"], "answer")];
        const GPQA: &[Shape] = &[Shape::new(&["question"], "answer")];
        const MBPP: &[Shape] = &[Shape::new(&["prompt"], "test_list").id("task_id")];
        const HUMANEVAL: &[Shape] = &[
            Shape::new(&["prompt"], "test_case_list").id("task_id"),
            Shape::new(&["prompt"], "test_list").id("task_id"),
            Shape::new(&["prompt"], "test_list"),
        ];
        match self {
            Self::Math500 => MATH500,
            Self::AgievalMath => AGIEVAL,
            Self::Aqua => AQUA,
            Self::GpqaDiamond => GPQA,
            Self::Mbpp => MBPP,
            Self::HumanevalEt => HUMANEVAL,
        }
    }

    /// Returns the reference program of a row, if the set has some and the row has one.
    pub fn reference(self, row: &Value) -> Option<String> {
        let text = |field: &str| row.get(field)?.as_str();
        match self {
            Self::Mbpp => text("code").map(str::to_string),
            // The solution is the body of the function whose head is the question.
            Self::HumanevalEt => Some(format!("{}{}", text("prompt")?, text("canonical_solution")?)),
            _ => None,
        }
    }
}
