//! The agent that the controller starts on a host. What to do comes over standard input.

use std::process::ExitCode;

/// musl's own gives memory back to the kernel at once and fetches it anew, four times for a task.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    trueup_modules::agent::main(&args)
}

/// What walks the stack for the standard library where `RUST_BACKTRACE` is set: here there are no tables to walk it by. Said
/// here, where the optimizer sees it, and not to the linker, what would read debugging information for the names on the stack
/// falls away with it: a fourteenth of the agent.
#[cfg(panic = "abort")]
#[expect(unsafe_code, reason = "the attribute gives the function a name that C would know; nothing in it is unsafe")]
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_: *const u8, _: *const u8) -> i32 {
    0
}
