//! `trueup vault`: files as ansible-vault makes them.

mod edit;
mod string;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use trueup_modules::secret::Secret;
use zeroize::Zeroizing;

use super::{CommandError, ask, keys, settings};
use crate::cli::VaultKeys;
use crate::cli::vault::{Create, Decrypt, Encrypt, EncryptString, EncryptWith, Rekey, Vault, View};
use crate::report::print::{self, Color};
use crate::vault::{self, Opened};

/// Runs the verb, with the passwords that the settings name after those of the command line.
pub(super) fn run(mut verb: Vault, color: Color) -> Result<u8, CommandError> {
    let found = settings::load(color)?;
    match &mut verb {
        Vault::Encrypt(Encrypt { with, .. })
        | Vault::Create(Create { with, .. })
        | Vault::EncryptString(EncryptString { with, .. }) => {
            settings::keys(&mut with.keys, &found);
            with.encrypt_vault_id = with.encrypt_vault_id.take().or_else(|| found.text("vault_encrypt_identity"));
        }
        Vault::Decrypt(Decrypt { keys, .. })
        | Vault::View(View { keys, .. })
        | Vault::Edit(View { keys, .. })
        | Vault::Rekey(Rekey { keys, .. }) => settings::keys(keys, &found),
    }
    dispatch(&verb)
}

fn dispatch(verb: &Vault) -> Result<u8, CommandError> {
    match verb {
        Vault::Encrypt(args) => encrypt(args)?,
        Vault::Decrypt(args) => decrypt(args)?,
        Vault::View(args) => view(args)?,
        Vault::Create(args) => edit::create(args)?,
        Vault::Edit(args) => edit::edit(args)?,
        Vault::Rekey(args) => rekey(args)?,
        Vault::EncryptString(args) => string::encrypt(args)?,
    }
    Ok(0)
}

fn encrypt(args: &Encrypt) -> Result<(), CommandError> {
    let key = key(&args.with)?;
    each(&args.files, args.output.as_deref(), |path| {
        let content = read(path)?;
        if std::str::from_utf8(&content).is_ok_and(vault::is_vault) {
            return Err(CommandError::Sealed { path: path.to_owned() });
        }
        Ok(Zeroizing::new(key.seal(&content)?.into_bytes()))
    })
}

fn decrypt(args: &Decrypt) -> Result<(), CommandError> {
    let passwords = keys::passwords(&args.keys)?;
    each(&args.files, args.output.as_deref(), |path| Ok(open(path, &passwords)?.content))
}

fn view(args: &View) -> Result<(), CommandError> {
    let passwords = keys::passwords(&args.keys)?;
    args.files.iter().try_for_each(|path| show(&open(path, &passwords)?.content))
}

fn rekey(args: &Rekey) -> Result<(), CommandError> {
    let passwords = keys::passwords(&args.keys)?;
    let new = VaultKeys {
        files: args.new_vault_password_file.iter().cloned().collect(),
        ids: args.new_vault_id.iter().cloned().collect(),
        ask: args.new_vault_password_file.is_none() && args.new_vault_id.is_none(),
    };
    let key = key(&EncryptWith { keys: new, encrypt_vault_id: None })?;
    // All are opened before the first is changed: a wrong password must not leave half of them behind.
    let opened: Vec<Opened> = args.files.iter().map(|path| open(path, &passwords)).collect::<Result<_, _>>()?;
    for (path, opened) in args.files.iter().zip(opened) {
        replace(path, key.seal(&opened.content)?.as_bytes())?;
    }
    Ok(())
}

/// Replaces each file by what becomes of it; standard input becomes standard output.
fn each(
    files: &[PathBuf],
    output: Option<&Path>,
    change: impl Fn(&Path) -> Result<Zeroizing<Vec<u8>>, CommandError>,
) -> Result<(), CommandError> {
    let stdin = [PathBuf::from(STDIN)];
    let files = if files.is_empty() { &stdin } else { files };
    if output.is_some() && files.len() > 1 {
        return Err(CommandError::OneOutput);
    }
    for path in files {
        put(output.unwrap_or(path), &change(path)?)?;
    }
    Ok(())
}

/// How standard input, and output, are named.
const STDIN: &str = "-";

/// The password to encrypt with, and its vault id.
struct Key {
    id: Option<String>,
    password: Secret,
}

impl Key {
    fn seal(&self, content: &[u8]) -> Result<String, CommandError> {
        let mut salt = [0; 32];
        File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut salt))
            .map_err(|source| CommandError::System { doing: "get random bytes", source })?;
        Ok(vault::encrypt(content, &self.password, self.id.as_deref(), &salt))
    }
}

/// The one key that the options name, or choose.
fn key(with: &EncryptWith) -> Result<Key, CommandError> {
    let mut keys = keys::read(&with.keys, ask::new_password)?;
    let name = |key: &keys::Key| key.id.clone().unwrap_or_else(|| "default".to_owned());
    if let Some(id) = &with.encrypt_vault_id {
        keys.retain(|key| name(key) == *id);
        let key = keys.into_iter().next().ok_or_else(|| CommandError::NoSuchVaultId { id: id.clone() })?;
        return Ok(Key { id: key.id, password: key.password });
    }
    match keys.len() {
        0 => Err(CommandError::NoPassword),
        1 => Ok(keys.pop().map(|key| Key { id: key.id, password: key.password }).ok_or(CommandError::NoPassword)?),
        _ => Err(CommandError::WhichVaultId { ids: keys.iter().map(name).collect::<Vec<_>>().join(", ") }),
    }
}

fn open(path: &Path, passwords: &vault::VaultPasswords) -> Result<Opened, CommandError> {
    let sealed = read(path)?;
    let name = format!("file `{}`", path.display());
    Ok(vault::open(&String::from_utf8_lossy(&sealed), passwords, &name)?)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    if path == Path::new(STDIN) {
        let mut content = Zeroizing::new(Vec::new());
        io::stdin()
            .read_to_end(&mut content)
            .map_err(|source| CommandError::System { doing: "read standard input", source })?;
        return Ok(content);
    }
    fs::read(path).map(Into::into).map_err(|source| CommandError::File { doing: "read", path: path.to_owned(), source })
}

fn put(path: &Path, content: &[u8]) -> Result<(), CommandError> {
    if path == Path::new(STDIN) { show(content) } else { replace(path, content) }
}

fn show(content: &[u8]) -> Result<(), CommandError> {
    print::data(content).map_err(|source| CommandError::System { doing: "write to standard output", source })
}

/// Puts a content in a file's place, atomically, for its owner's eyes only. Of a link, its target is replaced.
fn replace(path: &Path, content: &[u8]) -> Result<(), CommandError> {
    let write = || {
        let target = fs::canonicalize(path).or_else(|_| std::path::absolute(path))?;
        let mut file = tempfile::NamedTempFile::new_in(target.parent().unwrap_or(Path::new("/")))?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(&target)?;
        Ok(())
    };
    write().map_err(|source| CommandError::File { doing: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn keys(ids: &[&str]) -> VaultKeys {
        VaultKeys { files: Vec::new(), ids: ids.iter().map(|&id| id.to_owned()).collect(), ask: false }
    }

    fn with(ids: &[&str], choice: Option<&str>) -> EncryptWith {
        EncryptWith { keys: keys(ids), encrypt_vault_id: choice.map(str::to_owned) }
    }

    #[test]
    fn a_file_is_sealed_opened_and_sealed_anew_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (file, one, two) = (at("vars.yml", "secret: 1\n"), at("one", "hunter2\n"), at("two", "hunter3\n"));
        let (one, two) = (format!("a@{}", one.display()), format!("b@{}", two.display()));
        let files = vec![file.clone()];
        let text = || fs::read_to_string(&file).unwrap();
        let decrypt = |key: &str| Vault::Decrypt(Decrypt { files: files.clone(), output: None, keys: keys(&[key]) });
        let encrypt =
            || Vault::Encrypt(Encrypt { files: files.clone(), output: None, with: with(&[&one, &two], Some("a")) });

        dispatch(&encrypt()).unwrap();
        assert!(text().starts_with("$ANSIBLE_VAULT;1.2;AES256;a\n"), "{}", text());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(dispatch(&encrypt()), Err(CommandError::Sealed { .. })));

        let rekey = Rekey {
            files: files.clone(),
            keys: keys(&[&one]),
            new_vault_password_file: None,
            new_vault_id: Some(two.clone()),
        };
        dispatch(&Vault::Rekey(rekey)).unwrap();
        assert!(text().starts_with("$ANSIBLE_VAULT;1.2;AES256;b\n"), "{}", text());
        assert!(matches!(dispatch(&decrypt(&one)), Err(CommandError::Vault(_))));

        dispatch(&decrypt(&two)).unwrap();
        assert_eq!(text(), "secret: 1\n");
        let error = dispatch(&decrypt(&two)).unwrap_err().to_string();
        assert!(error.contains("is not a readable vault"), "{error}");
        assert_eq!(text(), "secret: 1\n");
    }

    #[test]
    fn one_of_several_passwords_must_be_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let password = dir.path().join("password");
        fs::write(&password, "x").unwrap();
        let (a, b) = (format!("a@{}", password.display()), format!("b@{}", password.display()));
        let error = |with: &EncryptWith| key(with).err().map(|error| error.to_string());
        assert_eq!(error(&with(&[&a, &b], Some("b"))), None);
        let several = "there are passwords for the vault ids a, b, and one must be chosen";
        assert_eq!(error(&with(&[&a, &b], None)).as_deref(), Some(several));
        assert_eq!(error(&with(&[&a], Some("c"))).as_deref(), Some("there is no password for the vault id `c`"));
        assert_eq!(error(&with(&[], None)).as_deref(), Some("no vault password was given"));
        let files = vec![PathBuf::from("x"), PathBuf::from("y")];
        let both = each(&files, Some(Path::new("-")), |_| Ok(Vec::new().into())).unwrap_err().to_string();
        assert_eq!(both, "`--output` takes what one file holds, and there are several");
    }
}
