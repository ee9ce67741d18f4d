//! The agent that the controller starts on a host. It takes no options: what to do comes over standard input.

use std::process::ExitCode;

fn main() -> ExitCode {
    let as_user = std::env::args().nth(1).is_some_and(|word| word == "as-user");
    let served = match (as_user, std::env::current_exe()) {
        (true, _) => trueup_modules::proxy::serve(std::io::stdin(), std::io::stdout()),
        (false, program) => trueup_modules::agent::run(&program.unwrap_or_default()),
    };
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
