//! The agent that the controller starts on a host. What to do comes over standard input.

use std::process::ExitCode;

/// musl's own gives memory back to the kernel at once and fetches it anew, four times for a task.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    trueup_modules::agent::main(&args)
}
