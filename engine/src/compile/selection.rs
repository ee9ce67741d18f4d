//! What of the playbooks is to run, and what settings say for plays.

use super::prompt::Asker;
use crate::vault::VaultPasswords;

/// What of the playbooks is to run.
#[derive(Clone, Default)]
pub struct Selection {
    /// `--limit`, a host pattern.
    pub limit: Option<String>,
    /// `--tags`; empty means all.
    pub tags: Vec<String>,
    /// `--skip-tags`.
    pub skip_tags: Vec<String>,
    /// What opens `vars_files` and imported playbooks.
    pub vault: VaultPasswords,
    /// Gather facts though nothing reads them.
    pub gather_always: bool,
    /// `--start-at-task`: the name of the first task, or a pattern for it.
    pub start_at: Option<String>,
    /// `--force-handlers`: what plays mean that do not say it.
    pub force_handlers: bool,
    /// What plays mean that do not say it.
    pub plays: PlayDefaults,
    /// What becomes of plays without hosts.
    pub idle: Idle,
    /// What is wrong with a task fails it when its turn comes.
    pub fails_late: bool,
    /// Whom to ask for the variables of `vars_prompt`; without, they have their defaults.
    pub asker: Option<Asker>,
}

/// What becomes of plays that have no host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// They are passed over; where no play at all has one, since nobody knows what they ask for, that is a mistake.
    #[default]
    Mistaken,
    /// They are passed over, be it all of them.
    PassedOver,
    /// They are compiled as well, to be listed.
    Kept,
}

/// What settings say for plays that do not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayDefaults {
    /// Facts are gathered only where a play asks for it (`gathering = explicit`).
    pub gather_explicitly: bool,
    /// A failure on one host ends the play on all.
    pub any_errors_fatal: bool,
}
