//! The graph of a program as text.

use std::fmt::Write as _;

use crate::compile::Program;
use crate::compile::graph::Why;

/// One line a step with its play and place, and below it why it comes after others. That it is listed after the one before
/// is not said.
pub fn text(program: &Program) -> String {
    let mut text = String::new();
    let mut play = None;
    for (at, step) in program.steps.iter().enumerate() {
        if play.replace(step.play) != Some(step.play) {
            let plan = &program.plays[step.play];
            // Writing to a text does not fail.
            let _ = writeln!(text, "play {} ({})", plan.name, plan.hosts.join(", "));
        }
        let kind = if step.handler.is_some() { "handler " } else { "" };
        let _ = writeln!(text, "{at:4}  {kind}{}  {}", step.name(), step.task.span);
        for (cause, why) in program.graph.causes(at).into_iter().filter(|(_, why)| !matches!(why, Why::Order)) {
            let _ = writeln!(text, "        after {cause} {}: {why}", program.steps[cause].name());
        }
    }
    text
}
