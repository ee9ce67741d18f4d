//! The command line: clap's types, and nothing else. Their comments are the manual.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub mod ansible;
pub mod vault;

pub use vault::Vault;

use crate::report::print::Color;

/// Brings hosts into the state that YAML playbooks describe, and shows beforehand exactly what would change.
///
/// Exit status: 0 all is well; 1 an error of this program's own, or a role, file or `--limit` that names what is not
/// there; 2 a task failed; 3 there are pending changes (with `plan --exit-code`); 4 a host could not be reached, or a playbook
/// or inventory is wrong; 5 a wrong option; 99 ended by Ctrl-C; 250 something unexpected.
#[derive(Debug, Parser)]
#[command(name = "trueup", version, arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// When there are colours; `auto` is on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: Color,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what playbooks would change. Changes nothing.
    Plan(Plan),
    /// Bring hosts into the state that playbooks describe.
    Apply(Apply),
    /// Show the tasks of playbooks in the order of a run, and what has to come after what: tasks that read what others
    /// set, handlers, plays. Reaches no host.
    Graph(Run),
    /// List the modules, or show the manual of one.
    Modules(Modules),
    /// Show the settings, and where each comes from.
    Config(Config),
    /// Encrypt, decrypt, view and change files, as ansible-vault does.
    #[command(subcommand)]
    Vault(Vault),
    /// What a controller starts on this machine.
    #[command(subcommand, hide = true)]
    Agent(Agent),
    /// What an agent starts as another user.
    #[command(hide = true)]
    AsUser,
    /// What an agent starts for a task that goes on by itself.
    #[command(hide = true)]
    Job {
        /// What to do.
        args: Vec<String>,
    },
}

/// `trueup plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// What, where and how.
    #[command(flatten)]
    pub run: Run,
    /// End with status 3 if something would change, or can't be known yet.
    #[arg(long)]
    pub exit_code: bool,
}

/// `trueup apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// What, where and how.
    #[command(flatten)]
    pub run: Run,
    /// Show what was changed, as `plan` does.
    #[arg(short = 'D', long)]
    pub diff: bool,
    /// Ask before each task whether it is to be run.
    #[arg(long)]
    pub step: bool,
}

/// What `plan` and `apply` share.
#[derive(Debug, Args)]
pub struct Run {
    /// Playbooks, run one after the other.
    #[arg(required = true, value_name = "PLAYBOOK")]
    pub playbooks: Vec<PathBuf>,
    /// A file, a directory, a program, or a list of hosts that contains a comma; the later add to the earlier. Without any,
    /// those of the settings.
    #[arg(short, long = "inventory", value_name = "INVENTORY")]
    pub inventories: Vec<String>,
    /// Only these hosts: a pattern as in `hosts:`, or `@FILE` with one a line.
    #[arg(short, long, value_name = "PATTERN")]
    pub limit: Option<String>,
    /// Only tasks with one of these tags.
    #[arg(short, long, value_name = "TAGS", value_delimiter = ',')]
    pub tags: Vec<String>,
    /// No tasks with one of these tags.
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub skip_tags: Vec<String>,
    /// Begin at the task of this name, or the first that matches it as a pattern.
    #[arg(long, value_name = "NAME")]
    pub start_at_task: Option<String>,
    /// Run the handlers of hosts that failed, too.
    #[arg(long)]
    pub force_handlers: bool,
    /// Variables that override all others: `name=value …`, YAML or JSON, or `@FILE`.
    #[arg(short, long, value_name = "VARS")]
    pub extra_vars: Vec<String>,
    /// How many hosts are worked on at the same time; 50 by default.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub forks: Option<u16>,
    /// Events as JSON lines on standard output.
    #[arg(long)]
    pub json: bool,
    /// Tell all results, with their data, connections, and what commands print.
    #[arg(short, long)]
    pub verbose: bool,
    /// How hosts are reached.
    #[command(flatten)]
    pub reach: Reach,
    /// What opens vaults.
    #[command(flatten)]
    pub vault: VaultKeys,
}

/// How hosts are reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Reach {
    /// The user to log in as, where the inventory has none.
    #[arg(short, long)]
    pub user: Option<String>,
    /// The private key to log in with, where the inventory has none.
    #[arg(long, visible_alias = "key-file", value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// Become root where nothing else is said.
    #[arg(short, long = "become")]
    pub become_root: bool,
    /// Ask for the password for SSH.
    #[arg(short = 'k', long)]
    pub ask_pass: bool,
    /// Ask for the password for sudo.
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
    /// Accept and remember the keys of hosts that no known_hosts file knows. A changed key is still refused.
    #[arg(long)]
    pub accept_new_host_keys: bool,
    /// Read this file in the place of ~/.ssh/config.
    #[arg(long, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
}

/// What opens vaults.
#[derive(Debug, Args)]
#[command(next_help_heading = "Vault")]
pub struct VaultKeys {
    /// A file with a vault password; one that is executable is run, and prints it.
    #[arg(id = "vault_files", long = "vault-password-file", visible_alias = "vault-pass-file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The same for a vault id: `ID@FILE`, or `ID@prompt` to be asked.
    #[arg(id = "vault_ids", long = "vault-id", value_name = "ID@FILE")]
    pub ids: Vec<String>,
    /// Ask for the vault password.
    #[arg(short = 'J', long = "ask-vault-pass", visible_alias = "ask-vault-password")]
    pub ask: bool,
}

/// `trueup config`.
#[derive(Debug, Args)]
pub struct Config {
    /// Only what somebody has set.
    #[arg(long)]
    pub only_changed: bool,
}

/// `trueup modules`.
#[derive(Debug, Args)]
pub struct Modules {
    /// The module whose manual to show.
    pub name: Option<String>,
}

/// `trueup agent`.
#[derive(Debug, Subcommand)]
pub enum Agent {
    /// Serve this machine on standard input and output.
    Serve,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn everything_is_documented() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no manual", command.get_name());
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {} has no manual", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
        let programs = [
            ansible::Playbook::command(),
            ansible::AdHoc::command(),
            ansible::Inventory::command(),
            ansible::VaultProgram::command(),
            ansible::Config::command(),
            ansible::Doc::command(),
        ];
        programs.iter().for_each(check);
        programs.into_iter().for_each(clap::Command::debug_assert);
    }
}
