//! Vault passwords, from files, scripts and the terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use trueup_modules::secret::Secret;
use zeroize::Zeroizing;

use super::{CommandError, ask};
use crate::cli::VaultKeys;
use crate::vault::VaultPasswords;

/// A password, and the vault id it is for.
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) password: Secret,
}

/// How to ask where asking is wanted.
pub(super) type Ask = fn(&str) -> Result<Secret, CommandError>;

/// The passwords that the options name, in the order of precedence: ids, files, the terminal.
pub(super) fn read(keys: &VaultKeys, ask: Ask) -> Result<Vec<Key>, CommandError> {
    let mut found = Vec::new();
    for given in &keys.ids {
        let Some((id, source)) = given.split_once('@').filter(|(_, source)| !source.is_empty()) else {
            return Err(CommandError::VaultId { given: given.clone() });
        };
        let password = match source {
            "prompt" => ask(&format!("vault password ({id})"))?,
            file => from_file(Path::new(file))?,
        };
        found.push(Key { id: Some(id.to_owned()).filter(|id| !id.is_empty()), password });
    }
    for file in &keys.files {
        found.push(Key { id: None, password: from_file(file)? });
    }
    if keys.ask {
        found.push(Key { id: None, password: ask("vault password")? });
    }
    Ok(found)
}

/// As [`read`], for opening vaults.
pub(super) fn passwords(keys: &VaultKeys) -> Result<VaultPasswords, CommandError> {
    let mut passwords = VaultPasswords::none();
    for key in read(keys, ask::password)? {
        passwords.add(key.id.as_deref(), &key.password);
    }
    Ok(passwords)
}

/// The password in a file; one that is executable is run, and prints it.
fn from_file(path: &Path) -> Result<Secret, CommandError> {
    let failed = |doing| move |source| CommandError::File { doing, path: path.to_owned(), source };
    let about = fs::metadata(path).map_err(failed("read"))?;
    let text = Zeroizing::new(if about.is_file() && about.permissions().mode() & 0o111 != 0 {
        // By its whole path: a bare name would be looked up in PATH.
        let program: PathBuf = fs::canonicalize(path).map_err(failed("find"))?;
        let output = Command::new(program).stderr(Stdio::inherit()).output().map_err(failed("run"))?;
        if !output.status.success() {
            return Err(CommandError::PasswordScript { path: path.to_owned(), status: output.status });
        }
        String::from_utf8_lossy(&output.stdout).into_owned()
    } else {
        fs::read_to_string(path).map_err(failed("read"))?
    });
    match text.trim() {
        "" => Err(CommandError::EmptyPassword { path: path.to_owned() }),
        password => Ok(Secret::new(password)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(files: &[&Path], ids: &[String]) -> VaultKeys {
        VaultKeys { files: files.iter().map(PathBuf::from).collect(), ids: ids.to_vec(), ask: false }
    }

    fn nobody(what: &str) -> Result<Secret, CommandError> {
        Err(CommandError::NoTerminal { what: what.to_owned() })
    }

    #[test]
    fn files_scripts_and_ids() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let plain = file("plain", "one\n", 0o600);
        let script = file("script", "#!/bin/sh\necho two\n", 0o700);
        let bad = file("bad", "#!/bin/sh\nexit 3\n", 0o700);
        let empty = file("empty", "\n", 0o600);

        let found = read(&keys(&[&plain, &script], &[format!("prod@{}", plain.display())]), nobody).unwrap();
        let found: Vec<_> = found.iter().map(|key| (key.id.as_deref(), key.password.expose())).collect();
        assert_eq!(found, [(Some("prod"), "one"), (None, "one"), (None, "two")]);

        let error = |keys: &VaultKeys| read(keys, nobody).err().unwrap().to_string();
        assert!(error(&keys(&[&bad], &[])).ends_with("ended with exit status: 3"));
        assert!(error(&keys(&[&empty], &[])).ends_with("holds no password"));
        assert!(error(&keys(&[], &["prod".into()])).contains("does not say where"));
        assert!(error(&keys(&[], &["prod@prompt".into()])).contains("no terminal"));
        assert!(error(&keys(&[&dir.path().join("none")], &[])).contains("failed to read"));
    }
}
