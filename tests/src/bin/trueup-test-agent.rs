//! The agent, built with the tests so that it is never older than they are.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    trueup_modules::agent::main(&args)
}
