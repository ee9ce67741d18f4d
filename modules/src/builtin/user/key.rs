//! An account's own SSH key.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::UserModule;
use crate::edit::{Diff, Edit, Owner, Reach, Shown};
use crate::facts::User;
use crate::host::{Command, Error, Host, Input, Look};
use crate::param::Word;
use crate::plan::Data;
use crate::secret::Secret;

impl UserModule {
    /// Makes the key if there is none; one that is there stays as it is. What is made belongs to the account.
    pub(super) fn make_key(&self, user: &User, host: &dyn Host) -> Result<Vec<Edit>, Error> {
        if !self.generate_ssh_key {
            return Ok(Vec::new());
        }
        let path = self.key_file(user);
        if host.stat(&path)?.is_some() {
            return Ok(Vec::new());
        }
        let owner = Owner { user: Some(user.name.clone()), group: user.gid.map(|gid| gid.to_string()) };
        let mut edits = Vec::new();
        let dir = path.parent().unwrap_or(&path);
        if host.stat(dir)?.is_none() {
            edits.push(Edit::Dir { path: dir.into(), mode: Some(0o700), owner: owner.clone() });
        }
        let shown = path.display().to_string();
        let mut args = vec!["-q".to_owned(), "-t".into(), self.key_kind().into()];
        args.extend(self.ssh_key_bits.iter().flat_map(|bits| ["-b".to_owned(), bits.to_string()]));
        args.extend(["-C".to_owned(), self.key_comment(host)?]);
        if self.ssh_key_passphrase.is_none() {
            args.extend(["-N".to_owned(), String::new()]);
        }
        args.extend(["-f".to_owned(), shown.clone()]);
        let effect = vec![Diff::new(&shown, "key", Shown::Absent, self.key_kind())];
        let command = match &self.ssh_key_passphrase {
            Some(passphrase) => sealed(args, passphrase),
            None => Command::new("ssh-keygen", args),
        };
        edits.push(Edit::Run { command, effect, makes: Vec::new(), reach: Reach::Stated, progress: None });
        for path in [path.clone(), public(&path)] {
            edits.push(Edit::Owner { path, before: Owner::default(), after: owner.clone() });
        }
        Ok(edits)
    }

    /// What is told of it.
    pub(super) fn tell_key(&self, user: &User, host: &dyn Host) -> Look<Data> {
        let path = self.key_file(user);
        if !self.generate_ssh_key || host.stat(&path)?.is_none() {
            return Ok(Data::new());
        }
        let key = String::from_utf8_lossy(&host.read(&public(&path))?.unwrap_or_default()).trim().to_owned();
        let shown = path.display().to_string();
        let print = host.query(&Command::new("ssh-keygen", ["-l", "-f", &shown]))?.stdout;
        let pairs = [("ssh_key_file", shown), ("ssh_public_key", key), ("ssh_fingerprint", print.trim().to_owned())];
        Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
    }

    fn key_kind(&self) -> &str {
        self.ssh_key_type.as_ref().map_or("rsa", |Word(kind)| kind)
    }

    fn key_file(&self, user: &User) -> PathBuf {
        let default = || PathBuf::from(format!(".ssh/id_{}", self.key_kind()));
        Path::new(&user.home).join(self.ssh_key_file.clone().unwrap_or_else(default))
    }

    fn key_comment(&self, host: &dyn Host) -> Result<String, Error> {
        if let Some(Word(comment)) = &self.ssh_key_comment {
            return Ok(comment.clone());
        }
        let name = host.read(Path::new("/proc/sys/kernel/hostname"))?.unwrap_or_default();
        Ok(format!("ansible-generated on {}", String::from_utf8_lossy(&name).trim()))
    }
}

/// Everybody could see a passphrase among the arguments, so ssh-keygen(1) asks for it, as ssh(1) has it of `SSH_ASKPASS`.
fn sealed(args: Vec<String>, passphrase: &Secret) -> Command {
    const SCRIPT: &str = "\
        dir=$(mktemp -d) && trap 'rm -rf \"$dir\"' EXIT || exit 1\n\
        IFS= read -r passphrase\n\
        export passphrase SSH_ASKPASS=\"$dir/ask\" SSH_ASKPASS_REQUIRE=force DISPLAY=none\n\
        printf '#!/bin/sh\\nprintf \"%%s\\\\n\" \"$passphrase\"\\n' >\"$SSH_ASKPASS\" && chmod 700 \"$SSH_ASKPASS\" || exit 1\n\
        ssh-keygen \"$@\" </dev/null";
    let line = Secret::new(format!("{}\n", passphrase.expose()));
    let words = ["-c", SCRIPT, "ssh-keygen"].map(str::to_owned).into_iter().chain(args);
    Command { stdin: Some(Input::Secret(line)), ..Command::new("/bin/sh", words) }
}

fn public(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_no_argument() {
        let command = sealed(vec!["-f".into(), "/k".into()], &Secret::new("open sesame"));
        assert!(matches!(&command.stdin, Some(Input::Secret(line)) if line.expose() == "open sesame\n"));
        let words = format!("{command}");
        assert!(words.ends_with("ssh-keygen -f /k") && !words.contains("sesame"), "{words}");
    }
}
