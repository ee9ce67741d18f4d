//! The agent, built with the tests so that it is never older than they are. As `apart` it says that it is on a machine of its own.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args[0].ends_with("apart") {
        let name = std::process::id().to_string();
        return match trueup_modules::agent::run_as(Path::new(&args[0]), name) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    trueup_modules::agent::main(&args[1..])
}
