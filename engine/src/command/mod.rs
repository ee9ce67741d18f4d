//! The verbs of the command line, one a file.

mod agent;
mod ask;
mod dropin;
mod graph;
mod inventory;
mod keys;
mod modules;
mod run;
mod settings;
mod vault;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Verb};
use crate::report::print::{self, Color};
use crate::vault::VaultError;

/// Exit status: an error of the program's own.
const ERROR: u8 = 1;
/// Exit status: a wrong option.
const WRONG_OPTION: u8 = 5;
/// Exit status of Ansible's programs: a command line that cannot be read.
const WRONG_USAGE: u8 = 2;
/// The variable that asks for the program's own log, such as `TRUEUP_LOG=trueup=debug`.
const LOG: &str = "TRUEUP_LOG";

/// Does what the command line says.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = dropin::program(args.first().map(OsString::as_os_str));
    let (done, color) = match program {
        Some(program) => (dropin::main(program, args), Color::Auto),
        None => match Cli::try_parse_from(args) {
            Ok(cli) => (trueup(cli.verb, cli.color), cli.color),
            Err(error) => (Err(error.into()), Color::Auto),
        },
    };
    ExitCode::from(done.unwrap_or_else(|error| {
        if let CommandError::Usage(error) = &error {
            // If nobody reads it, there is nobody to tell.
            _ = error.print();
        } else {
            print::error(&error.to_string(), error.hint().as_deref(), color.for_errors());
        }
        match error {
            // Python's argparse has another status for it than Ansible has for options that are wrong by what they mean.
            CommandError::Usage(error) if program.is_some() && error.use_stderr() => WRONG_USAGE,
            error => error.code(),
        }
    }))
}

fn trueup(verb: Verb, color: Color) -> Result<u8, CommandError> {
    if std::env::var_os(LOG).is_some() {
        let filter = tracing_subscriber::EnvFilter::from_env(LOG);
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    }
    match verb {
        Verb::Plan(args) => run::plan(args, color),
        Verb::Apply(args) => run::apply(args, color),
        Verb::Graph(args) => graph::run(args, color),
        Verb::Modules(args) => modules::run(&args, color.for_output()),
        Verb::Config(args) => settings::run(&args, color),
        Verb::Vault(verb) => vault::run(verb, color),
        Verb::Agent(crate::cli::Agent::Serve) => agent::serve(),
        Verb::AsUser => agent::as_user(),
        Verb::Job { args } => agent::job(&args),
    }
}

/// Why a command could not do its work. A run that fails is no error here: its verdict is the exit status.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// A file could not be used.
    #[error("failed to {doing} `{}`: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    /// Something else of the system's did not work.
    #[error("failed to {doing}: {source}")]
    System { doing: &'static str, source: io::Error },
    /// A password cannot be asked for.
    #[error("failed to ask for the {what}: there is no terminal")]
    NoTerminal { what: String },
    /// Asked twice, told two things.
    #[error("the two passwords are not the same")]
    Mismatch,
    /// A vault stays closed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A program that should print a password.
    #[error("failed to get a vault password: `{}` ended with {status}", path.display())]
    PasswordScript { path: PathBuf, status: std::process::ExitStatus },
    /// A password file that holds none.
    #[error("`{}` holds no password", path.display())]
    EmptyPassword { path: PathBuf },
    /// No password at all.
    #[error("no vault password was given")]
    NoPassword,
    /// Encrypted already.
    #[error("`{}` is encrypted already", path.display())]
    Sealed { path: PathBuf },
    /// Several passwords to encrypt with.
    #[error("there are passwords for the vault ids {ids}, and one must be chosen")]
    WhichVaultId { ids: String },
    /// The one to encrypt with is not among them.
    #[error("there is no password for the vault id `{id}`")]
    NoSuchVaultId { id: String },
    /// `create` where something is.
    #[error("`{}` exists already", path.display())]
    Exists { path: PathBuf },
    /// The editor ended with a failure.
    #[error("failed to edit: `{editor}` ended with {status}")]
    Editor { editor: String, status: std::process::ExitStatus },
    /// Nothing to encrypt.
    #[error("there is nothing to encrypt: the text is empty")]
    NoText,
    /// `--output` with several files.
    #[error("`--output` takes what one file holds, and there are several")]
    OneOutput,
    /// `--vault-id` without a source.
    #[error("`--vault-id {given}` does not say where the password is")]
    VaultId { given: String },
    /// The command line is wrong, or asked for help only.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The settings are wrong; that has been said.
    #[error("the settings are wrong")]
    Settings,
    /// Nothing says where the hosts are.
    #[error("no inventory was given")]
    NoInventory,
    /// `ansible-inventory` is asked for nothing, or for two things, or for what there is not: in Ansible's words.
    #[error("No action selected, at least one of --host, --graph or --list needs to be specified.")]
    NoAction,
    #[error("Conflicting options used, only one of --host, --graph or --list can be used at the same time.")]
    ManyActions,
    #[error("You must pass a single valid host to --host parameter")]
    NoSuchHost { nearest: Option<String> },
    #[error("Pattern must be valid group name when using --graph")]
    NoSuchGroup,
    /// `ansible` with a module that needs a command line, and none.
    #[error("No argument passed to {module} module")]
    NoArgument { module: String },
    /// `--limit` leaves nothing.
    #[error("Specified inventory, host pattern and/or --limit leaves us with no hosts to target.")]
    NoTarget,
    /// `ansible-config view` without a file.
    #[error("Invalid or no config file was supplied")]
    NoConfig,
    /// One of Ansible's programs that there is not.
    #[error("Trueup has no {name}")]
    NoProgram { name: &'static str, hint: &'static str },
    /// A playbook that is not there.
    #[error("the playbook: {} could not be found", path.display())]
    NoPlaybook { path: PathBuf },
    /// No such module.
    #[error("there is no module `{name}`")]
    NoModule { name: String, nearest: Option<String> },
    /// What was spoken on the wire made no sense.
    #[error("failed to serve: {0}")]
    Wire(#[from] trueup_modules::wire::WireError),
    /// A job could not be started.
    #[error("failed to run a job: {0}")]
    Job(#[from] trueup_modules::error::Error),
}

impl CommandError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoTerminal { .. } => Some("start this from a terminal, or take a key or a password file".to_owned()),
            Self::Vault(VaultError::NoPassword { .. }) | Self::NoPassword => {
                Some("give it with `--vault-password-file FILE`, or `--ask-vault-pass`".to_owned())
            }
            Self::WhichVaultId { .. } => Some("say which with `--encrypt-vault-id ID`".to_owned()),
            Self::NoSuchVaultId { id } => Some(format!("add `--vault-id {id}@FILE`")),
            Self::Exists { .. } => Some("change it with `trueup vault edit`".to_owned()),
            Self::VaultId { .. } => Some("write `ID@FILE`, or `ID@prompt`".to_owned()),
            Self::NoSuchHost { nearest } => nearest.as_ref().map(|nearest| format!("did you mean `{nearest}`?")),
            Self::NoProgram { hint, .. } => Some((*hint).to_owned()),
            Self::NoInventory => Some("name it with `-i INVENTORY`, or set `inventory` in trueup.toml".to_owned()),
            Self::NoModule { nearest, .. } => Some(match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "`trueup modules` lists them".to_owned(),
            }),
            _ => None,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Usage(error) if !error.use_stderr() => 0,
            Self::Usage(_) | Self::NoInventory => WRONG_OPTION,
            Self::NoAction | Self::ManyActions | Self::NoSuchHost { .. } | Self::NoSuchGroup => WRONG_OPTION,
            Self::NoArgument { .. } => WRONG_OPTION,
            Self::VaultId { .. } | Self::OneOutput | Self::WhichVaultId { .. } => WRONG_OPTION,
            Self::Settings => run::WRONG_INPUT,
            _ => ERROR,
        }
    }
}
