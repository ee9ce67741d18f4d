//! `trueup vault edit` and `create`: an editor on a copy that only its owner can read.

use std::fs;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use zeroize::Zeroizing;

use super::{CommandError, Key, key, keys, open, replace};
use crate::cli::vault::{Create, View};

/// Changes each file; one that the editor leaves as it is stays sealed as it is.
pub(super) fn edit(args: &View) -> Result<(), CommandError> {
    let passwords = keys::passwords(&args.keys)?;
    for path in &args.files {
        let opened = open(path, &passwords)?;
        let edited = in_editor(&opened.content, path)?;
        if *edited != *opened.content {
            replace(path, Key { id: opened.id, password: opened.password }.seal(&edited)?.as_bytes())?;
        }
    }
    Ok(())
}

/// Makes a file.
pub(super) fn create(args: &Create) -> Result<(), CommandError> {
    if args.file.exists() {
        return Err(CommandError::Exists { path: args.file.clone() });
    }
    let key = key(&args.with)?;
    replace(&args.file, key.seal(&in_editor(b"", &args.file)?)?.as_bytes())
}

/// What becomes of a text in the editor that EDITOR names, `vi` without one.
fn in_editor(content: &[u8], path: &Path) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let editor = std::env::var("EDITOR").ok().filter(|editor| !editor.trim().is_empty()).unwrap_or("vi".into());
    with_editor(&editor, content, path)
}

fn with_editor(editor: &str, content: &[u8], path: &Path) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let system = |doing| move |source| CommandError::System { doing, source };
    let dir = tempfile::tempdir().map_err(system("make a temporary directory"))?;
    // The name tells the editor what kind of text it is.
    let copy = Copy(dir.path().join(path.file_name().unwrap_or("vault".as_ref())));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(&copy.0).and_then(|mut file| file.write_all(content));
    written.map_err(system("write a temporary file"))?;
    let mut words = editor.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("vi"));
    let status = command.args(words).arg(&copy.0).status();
    let status =
        status.map_err(|source| CommandError::File { doing: "start the editor", path: editor.into(), source })?;
    if !status.success() {
        return Err(CommandError::Editor { editor: editor.to_owned(), status });
    }
    fs::read(&copy.0).map(Into::into).map_err(system("read the temporary file"))
}

/// Overwrites itself when it is no longer needed.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        let wipe = || {
            let mut file = fs::OpenOptions::new().write(true).open(&self.0)?;
            let length = file.metadata()?.len();
            file.rewind()?;
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), length), &mut file)?;
            file.sync_all()
        };
        // The editor may have taken it away; then there is nothing to wipe.
        _ = wipe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_editor_makes_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, format!("{text}\n")).unwrap();
            path
        };
        let append = script("append", "test \"$(stat -c %a \"$1\")\" = 600 && echo b >>\"$1\"");
        let path = Path::new("/etc/app/vars.yml");
        let edited = with_editor(&format!("sh {}", append.display()), b"a\n", path).unwrap();
        assert_eq!(*edited, b"a\nb\n");
        let error = with_editor("false", b"", path).unwrap_err().to_string();
        assert_eq!(error, "failed to edit: `false` ended with exit status: 1");
        let error = with_editor("no-such-editor", b"", path).unwrap_err().to_string();
        assert!(error.starts_with("failed to start the editor `no-such-editor`: "), "{error}");
    }
}
