//! `trueup modules`: the manual, from the modules' schemas.

use trueup_modules::builtin::{all, find, names};

use super::CommandError;
use crate::cli::Modules;
use crate::diagnostic::{Paint, nearest};
use crate::report::{manual, print};

/// Lists the modules, or shows one.
pub(super) fn run(args: &Modules, paint: Paint) -> Result<u8, CommandError> {
    let text = match &args.name {
        None => manual::list(&all(), paint),
        // A fully qualified name (`ansible.builtin.copy`) means its last word.
        Some(name) => match find(name.rsplit('.').next().unwrap_or(name)) {
            Some(entry) => manual::page(entry, paint),
            None => {
                let nearest = nearest(name, names()).map(str::to_owned);
                return Err(CommandError::NoModule { name: name.clone(), nearest });
            }
        },
    };
    print::data(text.as_bytes())
        .map_err(|source| CommandError::System { doing: "write to standard output", source })?;
    Ok(0)
}
