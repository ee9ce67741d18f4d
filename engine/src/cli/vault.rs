//! `trueup vault`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::VaultKeys;

/// `trueup vault`.
#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Encrypt files in place.
    Encrypt(Encrypt),
    /// Decrypt files in place.
    Decrypt(Decrypt),
    /// Show what encrypted files hold.
    View(View),
    /// Write an encrypted file in an editor, which EDITOR names.
    Create(Create),
    /// Change encrypted files in an editor, which EDITOR names.
    Edit(View),
    /// Encrypt files with another password.
    Rekey(Rekey),
    /// Encrypt texts for a file of variables.
    #[command(alias = "encrypt_string")]
    EncryptString(EncryptString),
}

/// `trueup vault encrypt`.
#[derive(Debug, Args)]
pub struct Encrypt {
    /// The files; standard input if there is none or it is `-`.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write to this file, or with `-` to standard output, in the place of the file that is read.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What to encrypt with.
    #[command(flatten)]
    pub with: EncryptWith,
}

/// `trueup vault decrypt`.
#[derive(Debug, Args)]
pub struct Decrypt {
    /// The files; standard input if there is none or it is `-`.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write to this file, or with `-` to standard output, in the place of the file that is read.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What opens them.
    #[command(flatten)]
    pub keys: VaultKeys,
}

/// `trueup vault view` and `edit`.
#[derive(Debug, Args)]
pub struct View {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What opens them.
    #[command(flatten)]
    pub keys: VaultKeys,
}

/// `trueup vault create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The file, which must not exist.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What to encrypt with.
    #[command(flatten)]
    pub with: EncryptWith,
}

/// `trueup vault rekey`.
#[derive(Debug, Args)]
pub struct Rekey {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What opens them.
    #[command(flatten)]
    pub keys: VaultKeys,
    /// A file with the new password; one that is executable is run, and prints it.
    #[arg(long, value_name = "FILE", conflicts_with = "new_vault_id")]
    pub new_vault_password_file: Option<PathBuf>,
    /// The same for a vault id: `ID@FILE`, or `ID@prompt` to be asked. Without either, the new password is asked for.
    #[arg(long, value_name = "ID@FILE")]
    pub new_vault_id: Option<String>,
}

/// `trueup vault encrypt-string`.
#[derive(Debug, Args)]
pub struct EncryptString {
    /// The texts. Everybody on this machine can see them in the list of processes: better give `-` or `--stdin-name`.
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
    /// The name of the variable, once for each text.
    #[arg(short, long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// The name of the variable for what is read from standard input.
    #[arg(long, value_name = "NAME")]
    pub stdin_name: Option<String>,
    /// Ask for the text.
    #[arg(short, long, conflicts_with = "stdin_name")]
    pub prompt: bool,
    /// Write to this file in the place of standard output.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What to encrypt with.
    #[command(flatten)]
    pub with: EncryptWith,
}

/// What to encrypt with.
#[derive(Debug, Args)]
pub struct EncryptWith {
    /// The passwords.
    #[command(flatten)]
    pub keys: VaultKeys,
    /// The vault id whose password is taken; needed if there are several.
    #[arg(long, value_name = "ID", help_heading = "Vault")]
    pub encrypt_vault_id: Option<String>,
}
