//! A team for people to read.

use super::quote::{markdown_block, markdown_line};
use super::team::Exported;
use crate::graph::{EdgeView, Graph};
use crate::rollout::AnswerRule;

pub(super) fn text(team: &Exported, graph: &Graph) -> String {
    let mut text = format!("# {}\n\n", markdown_line(&team.name));
    let names: Vec<String> = team.in_order(graph).map(|(_, agent)| markdown_line(&agent.name)).collect();
    text += &format!("Agents in the order in which they run: {}. The last one gives the answer", names.join(", "));
    text += &match team.system.rule {
        AnswerRule::Once => ".\n".to_string(),
        AnswerRule::Vote { samples, temperature } => {
            format!("; the team runs {samples} times at temperature {temperature}, and the answers vote.\n")
        }
        AnswerRule::Refine { rounds } => {
            format!(", after at most {rounds} rounds in which the second agent criticizes and the third revises.\n")
        }
    };
    text += &format!("Model: {}.\n", markdown_line(&team.model));
    for (_, agent) in team.in_order(graph) {
        text += &format!("\n## {}\n\n{}\n\n", markdown_line(&agent.name), markdown_line(&agent.role));
        for edge in team.sees(agent) {
            let view = match edge.view {
                EdgeView::Raw => "the whole output",
                EdgeView::Extracted => "the last `<answer>`",
                EdgeView::Summary => "a summary of the output",
            };
            text += &format!("- sees {view} of {}\n", markdown_line(&edge.from));
        }
        text += &format!("- at most {} new tokens\n\n", agent.max_new_tokens);
        text += &markdown_block(agent.prompt.text());
    }
    if team.system.edges.iter().any(|edge| edge.view == EdgeView::Summary) {
        text += &format!("\n## Request for a summary of at most {} words\n\n", team.summary_words);
        text += &markdown_block(team.summary.source());
    }
    text
}
