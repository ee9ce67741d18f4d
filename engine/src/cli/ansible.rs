//! The command lines of Ansible's programs: Trueup called by their names takes their flags.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};

use super::VaultKeys;

/// Runs playbooks, as Ansible's program of that name does; Trueup does the work.
#[derive(Debug, Parser)]
#[command(name = "ansible-playbook", version)]
pub struct Playbook {
    /// Playbooks, run one after the other.
    #[arg(required = true, value_name = "playbook")]
    pub playbooks: Vec<PathBuf>,
    /// Where and how.
    #[command(flatten)]
    pub common: Common,
    /// Only tasks with one of these tags.
    #[arg(short, long, value_delimiter = ',')]
    pub tags: Vec<String>,
    /// No tasks with one of these tags.
    #[arg(long, value_delimiter = ',')]
    pub skip_tags: Vec<String>,
    /// Only look whether the playbooks can be read.
    #[arg(long)]
    pub syntax_check: bool,
    /// List the tasks of each play.
    #[arg(long)]
    pub list_tasks: bool,
    /// List the tags of each play.
    #[arg(long)]
    pub list_tags: bool,
    /// Begin at the task of this name, or the first that matches it as a pattern.
    #[arg(long, value_name = "START_AT_TASK")]
    pub start_at_task: Option<String>,
    /// Run the handlers of hosts that failed, too.
    #[arg(long)]
    pub force_handlers: bool,
    /// Ask before each task whether it is to be run.
    #[arg(long)]
    pub step: bool,
    /// Accepted: there are no modules in Python.
    #[arg(short = 'M', long)]
    pub module_path: Option<String>,
}

/// Runs one task, as Ansible's program of that name does; Trueup does the work.
#[derive(Debug, Parser)]
#[command(name = "ansible", version)]
pub struct AdHoc {
    /// The hosts.
    pub pattern: String,
    /// Where and how.
    #[command(flatten)]
    pub common: Common,
    /// The module.
    #[arg(short, long, default_value = "command")]
    pub module_name: String,
    /// Its parameters: `name=value …`, a dictionary in JSON, or for `command` and its like the line itself.
    #[arg(short = 'a', long = "args", default_value = "")]
    pub module_args: String,
    /// One line for each result.
    #[arg(short, long)]
    pub one_line: bool,
    /// Write each host's result to a file of its name in this directory.
    #[arg(short, long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// Let the task go on by itself, for at most so many seconds.
    #[arg(short = 'B', long, value_name = "SECONDS", default_value_t = 0)]
    pub background: u32,
    /// Seconds between two looks whether such a task has ended; 0 is not to wait for it.
    #[arg(short = 'P', long = "poll", value_name = "SECONDS", default_value_t = 15)]
    pub poll: u32,
    /// Seconds after which the task has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub task_timeout: u32,
    /// Accepted: there are no modules in Python.
    #[arg(short = 'M', long)]
    pub module_path: Option<String>,
    /// Accepted: relative paths start here anyway.
    #[arg(long)]
    pub playbook_dir: Option<PathBuf>,
}

/// Shows the inventory, as Ansible's program of that name does; Trueup does the work.
#[derive(Debug, Parser)]
#[command(name = "ansible-inventory", version)]
pub struct Inventory {
    /// For `--graph`: the group to begin with.
    pub group: Option<String>,
    /// Inventories; the later add to the earlier.
    #[arg(short, long, visible_alias = "inventory-file")]
    pub inventory: Vec<String>,
    /// All groups and hosts as JSON.
    #[arg(long)]
    pub list: bool,
    /// The variables of one host as JSON.
    #[arg(long)]
    pub host: Option<String>,
    /// The groups as a tree.
    #[arg(long)]
    pub graph: bool,
    /// YAML in the place of JSON.
    #[arg(short, long)]
    pub yaml: bool,
    /// With `--list`: each group and host with its own variables only, as it would be written.
    #[arg(long)]
    pub export: bool,
    /// Only these hosts.
    #[arg(short, long, value_name = "SUBSET")]
    pub limit: Option<String>,
    /// Variables of every host: `name=value`, YAML, JSON, or `@file`.
    #[arg(short, long, value_name = "VARS")]
    pub extra_vars: Vec<String>,
    /// Write it to this file.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// With `--graph`: variables, too.
    #[arg(long)]
    pub vars: bool,
    /// Where `group_vars` and `host_vars` are looked for, too.
    #[arg(long)]
    pub playbook_dir: Option<PathBuf>,
    /// Says first whose settings hold.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// What opens vaults.
    #[command(flatten)]
    pub vault: VaultKeys,
}

/// Encrypts and decrypts files, as Ansible's program of that name does; Trueup does the work.
#[derive(Debug, Parser)]
#[command(name = "ansible-vault", version)]
pub struct VaultProgram {
    /// What to do.
    #[command(subcommand)]
    pub verb: super::Vault,
}

/// Shows the settings, as Ansible's program of that name does; Trueup does the work.
#[derive(Debug, Parser)]
#[command(name = "ansible-config", version)]
pub struct Config {
    /// `list` says which settings there are, `dump` which hold, `view` shows the file, and `init` one with all of them.
    pub action: ConfigAction,
    /// Only what somebody has set.
    #[arg(long, visible_alias = "changed-only")]
    pub only_changed: bool,
    /// The form of `dump` and `list`.
    #[arg(short, long, default_value = "display")]
    pub format: ConfigFormat,
    /// The file of settings.
    #[arg(short, long)]
    pub config: Option<PathBuf>,
    /// Accepted: there are no settings of plugins.
    #[arg(short, long = "type", default_value = "base")]
    pub kind: String,
    /// Accepted: nothing is told beside.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// What `ansible-config` is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ConfigAction {
    /// All settings.
    List,
    /// What holds.
    Dump,
    /// The file.
    View,
    /// A file to begin with.
    Init,
}

/// The form of what `ansible-config` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ConfigFormat {
    /// For people.
    Display,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Shows the manuals of modules, as Ansible's program of that name does; Trueup does the work.
#[derive(Debug, Parser)]
#[command(name = "ansible-doc", version)]
pub struct Doc {
    /// The modules.
    pub modules: Vec<String>,
    /// List them all.
    #[arg(short, long)]
    pub list: bool,
    /// Only `module` is known.
    #[arg(short, long = "type", value_parser = ["module"], default_value = "module")]
    pub kind: String,
}

/// What `ansible-playbook` and `ansible` share.
#[derive(Debug, Args)]
pub struct Common {
    /// Inventories: a file, a directory, a program, or a list of hosts that contains a comma.
    #[arg(short, long, visible_alias = "inventory-file")]
    pub inventory: Vec<String>,
    /// List the hosts.
    #[arg(long)]
    pub list_hosts: bool,
    /// Only these hosts: a pattern, or `@FILE` with one a line.
    #[arg(short, long, value_name = "SUBSET")]
    pub limit: Option<String>,
    /// Variables that override all others: `name=value …`, YAML or JSON, or `@FILE`.
    #[arg(short, long)]
    pub extra_vars: Vec<String>,
    /// How many hosts are worked on at the same time.
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    pub forks: Option<u16>,
    /// Change nothing; show what would change.
    #[arg(short = 'C', long)]
    pub check: bool,
    /// Show what was changed in files.
    #[arg(short = 'D', long)]
    pub diff: bool,
    /// More is told, the more often it is given.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// The user to log in as, where nothing else is said.
    #[arg(short, long = "user")]
    pub user: Option<String>,
    /// The private key to log in with, where nothing else is said.
    #[arg(long, visible_alias = "key-file")]
    pub private_key: Option<PathBuf>,
    /// How to connect, where nothing else is said: `ssh` or `local`.
    #[arg(short, long)]
    pub connection: Option<String>,
    /// Seconds after which connecting is given up.
    #[arg(short = 'T', long)]
    pub timeout: Option<u32>,
    /// Arguments as of ssh(1).
    #[arg(long, allow_hyphen_values = true)]
    pub ssh_common_args: Option<String>,
    /// More arguments as of ssh(1).
    #[arg(long, allow_hyphen_values = true)]
    pub ssh_extra_args: Option<String>,
    /// Accepted: files go over the one connection.
    #[arg(long, allow_hyphen_values = true)]
    pub sftp_extra_args: Option<String>,
    /// Accepted: files go over the one connection.
    #[arg(long, allow_hyphen_values = true)]
    pub scp_extra_args: Option<String>,
    /// Become root where nothing else is said.
    #[arg(short, long = "become")]
    pub become_root: bool,
    /// Only `sudo` is known.
    #[arg(long, value_parser = ["sudo"])]
    pub become_method: Option<String>,
    /// Whom to become, where nothing else is said.
    #[arg(long)]
    pub become_user: Option<String>,
    /// Ask for the password for SSH.
    #[arg(short = 'k', long)]
    pub ask_pass: bool,
    /// Ask for the password for sudo.
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
    /// Accepted: there is no cache of facts.
    #[arg(long)]
    pub flush_cache: bool,
    /// What opens vaults.
    #[command(flatten)]
    pub vault: VaultKeys,
}
