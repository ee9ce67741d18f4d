//! The agent, built with the tests so that it is never older than they are.

use std::process::ExitCode;

fn main() -> ExitCode {
    let program = std::env::current_exe().unwrap_or_default();
    if trueup_modules::agent::run(&program).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
