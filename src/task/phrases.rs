//! The words around a chosen letter: what announces it, what gives a reason for it, what takes it
//! back. English first, and the usual forms of other large languages.

use super::tokens::Token;

/// Nouns that announce an answer.
const ANSWERS: &[&str] = &[
    "answer",
    "answers",
    "ans",
    "solution",
    "response",
    "reply",
    "result",
    "conclusion",
    "verdict",
    "final",
    "selection",
    "pick",
    "respuesta",
    "solución",
    "réponse",
    "reponse",
    "risposta",
    "resposta",
    "antwort",
    "lösung",
    "loesung",
    "antwoord",
    "svar",
    "ответ",
    "відповідь",
    "odpowiedź",
    "odpověď",
    "cevap",
    "yanıt",
    "jawaban",
    "الإجابة",
    "الجواب",
    "إجابة",
    "उत्तर",
    "जवाब",
    "án",
];
/// Nouns for one of the choices.
const OPTIONS: &[&str] = &[
    "option",
    "choice",
    "letter",
    "alternative",
    "opción",
    "opcion",
    "opção",
    "opcao",
    "opzione",
    "alternativa",
    "choix",
    "letra",
    "lettre",
    "lettera",
    "buchstabe",
    "auswahl",
    "keuze",
    "optie",
    "вариант",
    "буква",
    "opcja",
    "seçenek",
    "pilihan",
    "الخيار",
    "विकल्प",
];
/// Adjectives of the answer or the choice.
const CORRECT: &[&str] =
    &["correct", "right", "best", "final", "chosen", "selected", "true", "proper", "appropriate", "closest", "my"];
/// Adjectives of the answer in other languages, which follow a verb.
const RIGHT: &[&str] =
    &["correcta", "correcto", "correcte", "richtig", "korrekt", "correta", "correto", "corretta", "corretto", "верный"];
/// What makes an answer one that is not given.
const INCORRECT: &[&str] = &["wrong", "incorrect", "false"];
/// Verbs that say what the answer is.
const COPULAS: &[&str] = &[
    "is",
    "are",
    "was",
    "be",
    "would",
    "should",
    "must",
    "will",
    "to",
    "seems",
    "appears",
    "remains",
    "becomes",
    "es",
    "sería",
    "est",
    "serait",
    "ist",
    "lautet",
    "wäre",
    "é",
    "seria",
    "è",
    "sarebbe",
    "jest",
    "adalah",
    "là",
    "हैं",
    "है",
];
/// Words that may stand between the verb and the letter.
const FILLERS: &[&str] = &[
    "therefore",
    "thus",
    "then",
    "hence",
    "so",
    "clearly",
    "indeed",
    "likely",
    "most",
    "probably",
    "definitely",
    "obviously",
    "simply",
    "just",
    "also",
    "now",
    "certainly",
    "actually",
    "surely",
    "of",
    "course",
    "the",
    "el",
    "la",
    "le",
    "die",
    "der",
    "das",
    "il",
    "lo",
];
/// Pronouns that stand for the answer.
const PRONOUNS: &[&str] = &["it", "this", "that", "which"];
/// Words after which a letter is what somebody chose.
const CHOOSES: &[&str] = &[
    "choose",
    "chose",
    "choosing",
    "select",
    "selecting",
    "pick",
    "picking",
    "mark",
    "tick",
    "circle",
    "guess",
    "say",
    "so",
    "thus",
    "therefore",
    "hence",
    "but",
    "finally",
    "ergo",
    "it's",
    "that's",
];
/// Words that deny what follows in their clause.
const DENIALS: &[&str] = &["not", "never", "neither", "nor", "cannot", "except", "nicht", "pas", "não", "не"];
/// Words that begin a clause of their own.
const TURNS: &[&str] = &["but", "so", "therefore", "thus", "hence", "however", "rather", "instead", "because", "since"];
/// First words of a reason.
const REASONS: &[&[&str]] = &[
    &["because"],
    &["since"],
    &["cause"],
    &["given", "that"],
    &["given", "the"],
    &["due", "to"],
    &["owing", "to"],
    &["thanks", "to"],
    &["seeing", "that"],
    &["by", "elimination"],
    &["for", "the", "reason"],
    &["for", "the", "following"],
    &["on", "account", "of"],
    &["as", "it"],
    &["as", "this"],
    &["as", "that"],
    &["as", "they"],
    &["as", "there"],
    &["as", "we"],
    &["as", "the"],
    &["as", "its"],
    &["as", "only"],
    &["as", "all"],
    &["weil"],
    &["parce"],
    &["puisque"],
    &["porque"],
    &["perché"],
    &["poiché"],
    &["потому"],
    &["ponieważ"],
];
/// Beginnings of a reason, or of an affirmation, in scripts without blanks.
const UNSPACED_TAILS: &[&str] = &[
    "因为",
    "因為",
    "由于",
    "由於",
    "是因为",
    "是因為",
    "选项",
    "選項",
    "项",
    "項",
    "是正确",
    "是正確",
    "正确",
    "正確",
    "为正确",
    "是对",
    "是對",
    "です",
    "だ",
    "が正解",
    "が正しい",
    "なぜなら",
    "입니다",
    "이다",
    "번",
    "가",
    "이",
];
/// Ends of a lead-in in scripts without blanks.
const UNSPACED_LEADS: &[&str] = &[
    "答案",
    "答案是",
    "答案为",
    "答案為",
    "答案应为",
    "答案應為",
    "答案应是",
    "答案應是",
    "答案应该是",
    "答案應該是",
    "答案就是",
    "答案选",
    "答案選",
    "选",
    "選",
    "选择",
    "選擇",
    "选项",
    "選項",
    "选项是",
    "選項是",
    "选项为",
    "選項為",
    "正解",
    "正解は",
    "正答",
    "正答は",
    "答え",
    "答えは",
    "解答",
    "解答は",
    "回答",
    "回答は",
    "정답",
    "정답은",
    "답",
    "답은",
    "선택",
    "คำตอบ",
    "คำตอบคือ",
    "ตอบ",
    "ข้อ",
];
/// Characters that deny the lead-in after them.
const UNSPACED_DENIALS: &[char] = &['不', '勿', '未', '没', '非'];
/// Words that take back what was said before.
const CORRECTIONS: &[&str] = &["no", "nope", "wait", "actually", "sorry", "hmm", "oops", "correction"];
/// Verbs after a letter that make it the subject of a sentence, or join it to another.
const VERBS: &[&str] = &[
    "is", "are", "was", "were", "isn't", "wasn't", "cannot", "can't", "can", "has", "had", "lies", "does", "doesn't",
    "and", "or", "fails", "must", "should", "would", "could", "will",
];
/// Words after "I," that go on with a sentence of the first person.
const ASIDES: &[&str] = &[
    "too",
    "for",
    "personally",
    "as",
    "myself",
    "however",
    "therefore",
    "unfortunately",
    "frankly",
    "honestly",
    "think",
    "like",
    "being",
    "on",
    "in",
    "at",
    "having",
    "who",
];
/// Nouns whose letter is a name and no choice.
const NAMED: &[&str] = &[
    "point",
    "points",
    "set",
    "sets",
    "event",
    "events",
    "angle",
    "side",
    "vertex",
    "vertices",
    "line",
    "node",
    "group",
    "class",
    "type",
    "grade",
    "vitamin",
    "hepatitis",
    "plan",
    "figure",
    "fig",
    "part",
    "section",
    "step",
    "equation",
    "eq",
    "case",
    "row",
    "column",
    "matrix",
    "function",
    "variable",
    "person",
    "city",
    "town",
    "team",
    "box",
    "car",
    "train",
    "pipe",
    "graph",
    "curve",
    "circle",
    "triangle",
    "table",
    "appendix",
    "block",
    "the",
    "a",
    "an",
    "of",
    "segment",
    "region",
    "area",
    "element",
    "blood",
];

/// How plainly a letter is announced as the answer; more is plainer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Announced {
    /// In brackets at the end: `150 m (B)`.
    Aside,
    /// As one of the choices: `option B`.
    Option,
    /// It comes first, or follows a conclusion: `B) 150 m`, `so (B)`.
    Label,
    /// As the answer: `the answer is B`.
    Answer,
}

/// Returns what the words directly before a letter announce it as.
pub(super) fn announced(before: &[Token]) -> Option<Announced> {
    if denied(before) {
        return None;
    }
    let (last, rest) = before.split_last()?;
    if last.unspaced {
        let lead = UNSPACED_LEADS.iter().filter_map(|lead| last.text.strip_suffix(lead));
        return lead
            .min_by_key(|rest| rest.len())
            .filter(|rest| !rest.ends_with(UNSPACED_DENIALS))
            .map(|_| Announced::Answer);
    }
    let named = |token: &Token, nouns: &[&str]| token.word && nouns.contains(&without_article(&token.text));
    if named(last, OPTIONS) {
        let praised = rest.last().is_some_and(|word| CORRECT.contains(&word.text.as_str()));
        return match announced(without_fillers(rest)) {
            _ if praised => Some(Announced::Answer),
            Some(Announced::Answer) => Some(Announced::Answer),
            _ => Some(Announced::Option),
        };
    }
    if named(last, ANSWERS) {
        let refused = rest.last().is_some_and(|word| INCORRECT.contains(&word.text.as_str()));
        return (!refused).then_some(Announced::Answer);
    }
    if CHOOSES.contains(&last.text.as_str())
        && !(last.text == "so" && rest.last().is_some_and(|word| word.text == "do"))
    {
        return Some(Announced::Label);
    }
    let gone = |word: &Token| matches!(word.text.as_str(), "go" | "going" | "went" | "stick");
    if last.text == "with" && rest.last().is_some_and(gone) {
        return Some(Announced::Label);
    }
    // "The answer to this question is therefore B".
    let said = without_fillers(before);
    let subject = without(said, COPULAS);
    if subject.len() == said.len() {
        return None;
    }
    let clause = clause(subject);
    let near = &clause[clause.len().saturating_sub(8)..];
    let noun = near.iter().rposition(|word| named(word, ANSWERS) || named(word, OPTIONS));
    match noun {
        Some(at) if near[at..].iter().any(|word| word.letter().is_some_and(|letter| letter != 'I')) => None,
        Some(at) if at > 0 && INCORRECT.contains(&near[at - 1].text.as_str()) => None,
        Some(_) => Some(Announced::Answer),
        None => clause.last().is_some_and(|word| PRONOUNS.contains(&word.text.as_str())).then_some(Announced::Label),
    }
}

/// Whether the clause that `before` ends with denies what follows.
pub(super) fn denied(before: &[Token]) -> bool {
    let clause = clause(before);
    let start = clause.iter().rposition(|word| TURNS.contains(&word.text.as_str())).map_or(0, |at| at + 1);
    clause[start..].iter().any(|word| DENIALS.contains(&word.text.as_str()) || word.text.ends_with("n't"))
}

/// Whether a letter after these words is the name of a thing.
pub(super) fn names_a_thing(before: &[Token]) -> bool {
    let Some((last, rest)) = before.split_last() else { return true };
    // `P (A)`; but `150 m (A)` is an option's text.
    let function = last.letter().is_some() && !rest.last().is_some_and(|word| word.text.starts_with(char::is_numeric));
    !last.word || NAMED.contains(&last.text.as_str()) || function
}

/// Whether `after` begins with a reason.
pub(super) fn gives_reason(after: &[Token]) -> bool {
    REASONS
        .iter()
        .any(|reason| after.len() >= reason.len() && reason.iter().zip(after).all(|(word, token)| token.text == *word))
}

/// Whether `after`, which follows a letter, says that this is the right one.
pub(super) fn affirms(after: &[Token]) -> bool {
    let mut words = after.iter().take_while(|word| word.word).take(8).map(|word| word.text.as_str());
    if !words.next().is_some_and(|verb| COPULAS.contains(&verb)) {
        return false;
    }
    let right = |word: &str| CORRECT.contains(&word) || ANSWERS.contains(&word) || RIGHT.contains(&word);
    let wrong = |word: &str| INCORRECT.contains(&word) || DENIALS.contains(&word) || word.ends_with("n't");
    words.find(|word| right(word) || wrong(word)).is_some_and(right)
}

/// Whether `after`, which follows a letter, says that this is not the one, or goes on to another.
pub(super) fn refutes(after: &[Token]) -> bool {
    let refuses = |word: &Token| {
        INCORRECT.contains(&word.text.as_str())
            || DENIALS.contains(&word.text.as_str())
            || ["or", "and", "no"].contains(&word.text.as_str())
            || word.text.ends_with("n't")
    };
    after.iter().take_while(|word| !word.separates() && !TURNS.contains(&word.text.as_str())).any(refuses)
}

/// Whether `after` goes on, in a script without blanks, as an affirmation or a reason.
pub(super) fn is_unspaced_tail(after: &Token) -> bool {
    after.unspaced && UNSPACED_TAILS.iter().any(|tail| after.text.starts_with(tail))
}

/// Whether `after` begins by taking back what was said.
pub(super) fn takes_back(after: &[Token]) -> bool {
    after.first().is_some_and(|word| CORRECTIONS.contains(&word.text.as_str()))
}

/// Whether `after` begins with a verb, so that the letter is the subject of a sentence.
pub(super) fn begins_with_verb(after: &[Token]) -> bool {
    after.first().is_some_and(|word| VERBS.contains(&word.text.as_str()))
}

/// Whether "I, …" goes on as a sentence of the first person.
pub(super) fn first_person(after: &[Token]) -> bool {
    after.first().is_some_and(|word| ASIDES.contains(&word.text.as_str()))
}

/// Whether the word or mark joins two letters.
pub(super) fn joins(token: &Token) -> bool {
    const JOINS: &[&str] =
        &["and", "or", "und", "oder", "et", "ou", "y", "o", "и", "或", "和", "与", "及", "と", "&", "/", "+", "|"];
    JOINS.contains(&token.text.as_str())
}

/// Whether the word is a noun for one of the choices, or its article.
pub(super) fn is_option_noun(token: &Token) -> bool {
    OPTIONS.contains(&token.text.as_str()) || token.text == "the"
}

fn without_fillers(words: &[Token]) -> &[Token] {
    match words {
        // The article of "a resposta é a B".
        [rest @ .., verb, article] if article.text == "a" && verb.text == "é" => &words[..rest.len() + 1],
        _ => without(words, FILLERS),
    }
}

fn without<'a>(words: &'a [Token], left_out: &[&str]) -> &'a [Token] {
    let end = words.iter().rposition(|word| !left_out.contains(&word.text.as_str())).map_or(0, |at| at + 1);
    &words[..end]
}

/// Returns the words after the last mark that ends a clause.
fn clause(words: &[Token]) -> &[Token] {
    let start = words
        .iter()
        .rposition(|word| word.separates() || word.line)
        .map_or(0, |at| at + usize::from(words[at].separates()));
    &words[start..]
}

/// Removes an elided article: `l'option`.
fn without_article(word: &str) -> &str {
    word.split_once('\'').map_or(word, |(_, noun)| noun)
}
