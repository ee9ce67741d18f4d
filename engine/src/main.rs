//! The program `trueup`.

fn main() -> std::process::ExitCode {
    trueup::command::main(std::env::args_os())
}
