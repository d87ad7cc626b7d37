//! The slots of each template file. docs/config.md lists them.

use super::language::{Holds, SlotSpec};

const fn text(name: &'static str, about: &'static str) -> SlotSpec {
    SlotSpec { name, holds: Holds::Text, needed: false, about }
}

const fn flag(name: &'static str, about: &'static str) -> SlotSpec {
    SlotSpec { name, holds: Holds::Flag, needed: false, about }
}

const fn list(name: &'static str, entries: &'static [SlotSpec], about: &'static str) -> SlotSpec {
    SlotSpec { name, holds: Holds::List(entries), needed: false, about }
}

const fn needed(spec: SlotSpec) -> SlotSpec {
    SlotSpec { needed: true, ..spec }
}

const FROZEN: &[SlotSpec] = &[needed(text("passage", "the passage"))];

/// One quoted run of the agent.
const EVIDENCE: &[SlotSpec] = &[
    text("number", "its number, from 1"),
    text("question", "the query, fenced"),
    text("context", "what the agent saw of its predecessors, fenced; empty if it has none"),
    text("output", "the agent's output, fenced"),
    flag("overflow", "whether the input was too long for the model, so that there is no output"),
    flag("cut_in_reasoning", "whether the output ended in its reasoning, so that there is no answer"),
    flag("truncated", "whether the output reached the agent's `max_new_tokens`"),
    flag("unparsable", "whether the output lacks the `<answer>…</answer>` that its reader or its format needs"),
    list(
        "verdicts",
        &[
            text("local", "`better`, `worse` or `equal`: the agent's own output"),
            text("lookahead", "the same of the outputs of its readers; empty for the last agent"),
            text("global", "the same of the team's answer; empty for the last agent"),
        ],
        "how the judge compared it, if it did: the parent on this query with the prompt that it was written from, or \
         the candidate of a case with its parent",
    ),
    list(
        "successors",
        &[text("name", "the name of an agent that read the output"), text("output", "what that agent wrote, fenced")],
        "the agents that read the output",
    ),
    text("answer", "the team's answer, fenced; not there for the last agent, whose output it is"),
];

/// The slots of `optimizer.txt`, the request for a candidate (Eq. 4).
pub const OPTIMIZER: &[SlotSpec] = &[
    text("agent", "the agent's name"),
    needed(text("role", "the agent's role")),
    needed(text("parent", "the current prompt, fenced")),
    text("parent_words", "the number of words of the current prompt"),
    text("max_words", "the number of words that `propose.max_prompt_bytes` is enough for"),
    needed(text("slots", "the slots that the prompt must have: `{question}`, `{context}`, or both joined by `and`")),
    needed(list("frozen", FROZEN, "the passages that the prompt must keep word for word")),
    list(
        "team",
        &[
            text("name", "the name of an agent"),
            text("role", "its role"),
            flag("reads_question", "whether it reads the query"),
            list(
                "reads",
                &[
                    text("from", "the name of an agent that it reads"),
                    flag("raw", "whether it reads the whole output"),
                    flag("extracted", "whether it reads the `<answer>` only"),
                    flag("summary", "whether it reads a summary"),
                ],
                "the agents whose output it reads",
            ),
            flag("is_self", "whether it is the agent whose prompt is to be improved"),
            flag("is_last", "whether its output is the team's answer"),
        ],
        "all agents, in the order in which they run",
    ),
    list(
        "traces",
        &[list("trace", EVIDENCE, "one run")],
        "once, if there are any: runs of the agent with the current prompt",
    ),
    list(
        "cases",
        &[list("case", EVIDENCE, "one run")],
        "once, if there are any: misalignment cases, better for the agent and worse for the team (Eq. 6)",
    ),
    text("tried", "what was tried for this agent and lost, one line each, fenced; empty at first"),
    text("task", "the text of `tasks/NAME/optimizer.txt`, if `templates.task` names one"),
    text("assignment", "the instruction of this candidate, of `assignments.txt`"),
];

/// The slots of `judge.txt`, the request for a comparison.
pub const JUDGE: &[SlotSpec] = &[
    needed(text("role", "the role of the agent that answered")),
    list("frozen", FROZEN, "the passages that the agent's prompt keeps word for word: the form of its output"),
    text("rubric", "one of `judge.rubrics`, if there are any"),
    text("task", "the text of `tasks/NAME/judge.txt`, if `templates.task` names one"),
    needed(text("question", "the query, fenced")),
    text("context", "what both answers were written from, fenced; not there where that differs"),
    needed(text("answer_a", "the first answer, fenced")),
    flag("truncated_a", "whether the first answer reached its token limit"),
    needed(text("answer_b", "the second answer, fenced")),
    flag("truncated_b", "whether the second answer reached its token limit"),
    needed(flag("letter", "whether the reply is the letter `A` or `B` alone (`judge.mode = \"logit\"`)")),
    needed(flag(
        "tagged",
        "whether the reply ends in `<choose>A</choose>` or `<choose>B</choose>` (`judge.mode = \"text\"`)",
    )),
];

/// The slots of `summary.txt`, the request for a summary of an output.
pub const SUMMARY: &[SlotSpec] = &[
    text("role", "the role of the agent that wrote the output"),
    needed(text("words", "the most words of the summary, `rollout.summary_words`")),
    needed(text("output", "the output, fenced")),
];
