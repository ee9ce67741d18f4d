//! `trueup vault`: files as ansible-vault makes them.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use super::{CommandError, ask, keys};
use crate::cli::{Vault, VaultFile};
use crate::report::print;
use crate::vault::{self, VaultPasswords};

/// Runs the verb.
pub(super) fn run(verb: &Vault) -> Result<u8, CommandError> {
    match verb {
        Vault::Encrypt(args) => encrypt(args)?,
        Vault::Decrypt(args) => replace(&args.file, &open(args)?)?,
        Vault::View(args) => print::data(&open(args)?)
            .map_err(|source| CommandError::System { doing: "write to standard output", source })?,
    }
    Ok(0)
}

fn encrypt(args: &VaultFile) -> Result<(), CommandError> {
    let content = read(&args.file)?;
    if std::str::from_utf8(&content).is_ok_and(vault::is_vault) {
        return Err(CommandError::Sealed { path: args.file.clone() });
    }
    let keys = keys::read(&args.keys, ask::new_password)?;
    let key = keys.first().ok_or(CommandError::NoPassword)?;
    replace(&args.file, vault::encrypt(&content, &key.password, key.id.as_deref(), &salt()?).as_bytes())
}

fn open(args: &VaultFile) -> Result<zeroize::Zeroizing<Vec<u8>>, CommandError> {
    let sealed = read(&args.file)?;
    let passwords: VaultPasswords = keys::passwords(&args.keys)?;
    let name = format!("file `{}`", args.file.display());
    Ok(vault::decrypt(&String::from_utf8_lossy(&sealed), &passwords, &name)?)
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, CommandError> {
    fs::read(path).map(Into::into).map_err(|source| CommandError::File { doing: "read", path: path.to_owned(), source })
}

/// Puts a content in a file's place, atomically, for its owner's eyes only. Of a link, its target is replaced.
fn replace(path: &Path, content: &[u8]) -> Result<(), CommandError> {
    let write = || {
        let target = fs::canonicalize(path)?;
        let mut file = tempfile::NamedTempFile::new_in(target.parent().unwrap_or(Path::new("/")))?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(&target)?;
        Ok(())
    };
    write().map_err(|source| CommandError::File { doing: "write", path: path.to_owned(), source })
}

fn salt() -> Result<[u8; 32], CommandError> {
    let mut salt = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut salt))
        .map_err(|source| CommandError::System { doing: "get random bytes", source })?;
    Ok(salt)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::cli::VaultKeys;

    #[test]
    fn a_file_is_sealed_and_opened_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let (file, password) = (dir.path().join("vars.yml"), dir.path().join("password"));
        fs::write(&file, "secret: 1\n").unwrap();
        fs::write(&password, "hunter2\n").unwrap();
        let args = || VaultFile {
            file: file.clone(),
            keys: VaultKeys { files: vec![password.clone()], ids: Vec::new(), ask: false },
        };

        run(&Vault::Encrypt(args())).unwrap();
        assert!(vault::is_vault(&fs::read_to_string(&file).unwrap()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(run(&Vault::Encrypt(args())), Err(CommandError::Sealed { .. })));

        run(&Vault::Decrypt(args())).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "secret: 1\n");
        let error = run(&Vault::Decrypt(args())).unwrap_err().to_string();
        assert!(error.contains("is not a readable vault"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "secret: 1\n");
    }
}
