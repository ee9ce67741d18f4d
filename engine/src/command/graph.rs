//! `trueup graph`: what comes after what, and why.

use super::{CommandError, run};
use crate::cli::Run;
use crate::diagnostic::Diagnostics;
use crate::execute;
use crate::report::graph;
use crate::report::print::{self, Color};

/// Compiles, and shows the graph.
pub(super) fn run(args: Run, color: Color) -> Result<u8, CommandError> {
    let options = run::options(args, color)?;
    let mut diagnostics = Diagnostics::new();
    let program = execute::compile(&options, &mut diagnostics);
    print::diagnostics(&diagnostics, color.for_errors());
    let Some(program) = program else { return Ok(run::WRONG_INPUT) };
    print::data(graph::text(program.steps()).as_bytes())
        .map_err(|source| CommandError::System { doing: "write to standard output", source })?;
    Ok(0)
}
