//! `trueup agent serve` and `trueup as-user`: this program in the place of the agent, where a host is this machine.

use std::io;

use super::CommandError;

/// Serves this machine.
pub(super) fn serve() -> Result<u8, CommandError> {
    let program =
        std::env::current_exe().map_err(|source| CommandError::System { doing: "find this program", source })?;
    trueup_modules::agent::run(&program)?;
    Ok(0)
}

/// Serves this machine as the user that sudo made us.
pub(super) fn as_user() -> Result<u8, CommandError> {
    trueup_modules::proxy::serve(io::stdin(), io::stdout())?;
    Ok(0)
}

/// Starts a job, or is one.
pub(super) fn job(args: &[String]) -> Result<u8, CommandError> {
    trueup_modules::job::run(args)?;
    Ok(0)
}
