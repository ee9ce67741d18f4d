//! The agent that the controller starts on a host. What to do comes over standard input.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    trueup_modules::agent::main(&args)
}
