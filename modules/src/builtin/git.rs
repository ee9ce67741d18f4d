//! `git`: a checkout of a repository.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::facts::Fact;
use crate::host::{Command, Error, Host, Kind, Output};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// A git repository that is checked out at a version, by the host's git(1). What the version is there is asked of the repository
/// itself, also in a preview. Registers `before` and `after`.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("exclusive" = ["accept_hostkey|accept_newhostkey"]))]
#[serde(deny_unknown_fields)]
pub(super) struct Git {
    /// The repository's address. Must not be given a secret: use `key_file`, or a credential helper of git.
    #[schemars(extend("aliases" = ["name"]))]
    repo: Word,
    /// Where, absolute.
    dest: PathBuf,
    /// A branch, a tag, the hash of a commit, or `HEAD`, the repository's own choice.
    #[serde(default = "head")]
    version: Word,
    /// What the repository is called in the checkout.
    #[serde(default = "origin")]
    remote: Word,
    /// What is fetched beside, such as `refs/pull/1/head`.
    refspec: Option<Word>,
    /// A local repository to take objects from.
    reference: Option<PathBuf>,
    /// Whether changes of tracked files that were made in the checkout are lost, rather than an error.
    #[serde(default)]
    force: bool,
    /// How many commits of the history are fetched; all by default.
    depth: Option<u32>,
    /// Whether a checkout that is not there is made.
    #[serde(default = "common::yes")]
    clone: bool,
    /// Whether one that is there is brought to the version.
    #[serde(default = "common::yes")]
    update: bool,
    /// Whether there are no working files, only the repository.
    #[serde(default)]
    bare: bool,
    /// Whether submodules are checked out, too.
    #[serde(default = "common::yes")]
    recursive: bool,
    /// Whether only the version's branch is fetched.
    #[serde(default)]
    single_branch: bool,
    /// The private key for SSH, on the host.
    key_file: Option<PathBuf>,
    /// Options of ssh(1).
    ssh_opts: Option<Word>,
    /// Whether any key of the server is accepted. Ask for `accept_newhostkey` rather.
    #[serde(default)]
    accept_hostkey: bool,
    /// Whether the key of a server that is not known yet is accepted.
    #[serde(default)]
    accept_newhostkey: bool,
    /// The program; `git` by default.
    executable: Option<PathBuf>,
}

fn head() -> Word {
    Word("HEAD".into())
}

fn origin() -> Word {
    Word("origin".into())
}

/// What a version is in the repository, and which commit.
struct Target {
    kind: Ref,
    commit: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ref {
    Head,
    Branch,
    Tag,
    Commit,
}

impl Module for Git {
    const NAME: &'static str = "git";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        for (param, Word(word)) in [("version", &self.version), ("repo", &self.repo), ("remote", &self.remote)] {
            if word.is_empty() || word.starts_with('-') {
                return Err(Error::param(param, format!("`{word}` is none: it must not be empty or start with `-`")));
            }
        }
        let there = host.stat(&self.directory().join("config"))?.is_some();
        let plan = Plan::nothing().returning("before", Value::Null);
        match (there, self.clone, self.update) {
            (false, false, _) => {
                let target = self.target(host)?;
                Ok(plan.returning("after", target.commit))
            }
            (false, true, _) => self.cloned(host, plan),
            (true, _, false) => {
                let before = self.ask(host, &["rev-parse", "HEAD"])?;
                Ok(plan.returning("before", before.as_str()).returning("after", before))
            }
            (true, _, true) => self.updated(host, plan),
        }
    }

    fn intent(&self) -> Vec<Diff> {
        vec![self.diff(Shown::Unknown, Shown::Unknown)]
    }
}

impl Git {
    fn directory(&self) -> PathBuf {
        if self.bare { self.dest.clone() } else { self.dest.join(".git") }
    }

    fn address(&self) -> String {
        if self.repo.0.starts_with('/') { format!("file://{}", self.repo.0) } else { self.repo.0.clone() }
    }

    fn diff(&self, before: impl Into<Shown>, after: impl Into<Shown>) -> Diff {
        Diff::new(self.dest.display().to_string(), "commit", before, after)
    }

    fn git<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let program = self.executable.as_ref().map_or("git".to_owned(), |path| path.display().to_string());
        let command = Command::new(program, args).env("GIT_TERMINAL_PROMPT", "0");
        match self.ssh() {
            Some(ssh) => command.env("GIT_SSH_COMMAND", ssh),
            None => command,
        }
    }

    /// In the checkout.
    fn there<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        Command { cwd: Some(self.dest.clone()), ..self.git(args) }
    }

    /// The command that git has a shell run.
    fn ssh(&self) -> Option<String> {
        let mut ssh = String::from("ssh -o BatchMode=yes");
        let mut given = false;
        let mut add = |part: String| {
            ssh.push_str(&part);
            given = true;
        };
        if let Some(key) = &self.key_file {
            add(format!(" -o IdentitiesOnly=yes -i '{}'", key.display().to_string().replace('\'', "'\\''")));
        }
        if let Some(Word(opts)) = &self.ssh_opts {
            add(format!(" {opts}"));
        }
        if self.accept_hostkey || self.accept_newhostkey {
            add(format!(" -o StrictHostKeyChecking={}", if self.accept_hostkey { "no" } else { "accept-new" }));
        }
        given.then_some(ssh)
    }

    fn ask(&self, host: &dyn Host, args: &[&str]) -> Result<String, Error> {
        let command = self.there(args.iter().copied());
        let output = host.query(&command)?;
        if output.success() { Ok(output.stdout.trim_end().to_owned()) } else { Err(refused(&command, output)) }
    }

    /// Asks the repository what the version is there.
    fn target(&self, host: &dyn Host) -> Result<Target, Error> {
        let (version, address) = (self.version.0.as_str(), self.address());
        let branch = format!("refs/heads/{version}");
        let tag = format!("refs/tags/{version}");
        let peeled = format!("{tag}^{{}}");
        let command = self.git(["ls-remote", "--", &address, "HEAD", &branch, &tag, &peeled]);
        let output = host.query(&command)?;
        if !output.success() {
            // Ansible asks for the branch first.
            let program = match &self.executable {
                Some(program) => program.display().to_string(),
                None => common::whole_path(host, "git")?,
            };
            return Err(refused(&command, output).telling("cmd", format!("{program} ls-remote {address} -h {branch}")));
        }
        let find = |name: &str| {
            let mut lines = output.stdout.lines().filter_map(|line| line.split_once('\t'));
            lines.find(|(_, known)| *known == name).map(|(commit, _)| commit.to_owned())
        };
        let found = if version == "HEAD" {
            find("HEAD").map(|commit| (Ref::Head, commit))
        } else if let Some(commit) = find(&branch) {
            Some((Ref::Branch, commit))
        } else if let Some(commit) = find(&peeled).or_else(|| find(&tag)) {
            Some((Ref::Tag, commit))
        } else {
            let hash = (4..=64).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_hexdigit());
            hash.then(|| (Ref::Commit, version.to_owned()))
        };
        let Some((kind, commit)) = found else {
            let error = Error::param("version", format!("{address} has no branch and no tag `{version}`"));
            return Err(error.telling("msg", format!("Failed to checkout {version}")));
        };
        Ok(Target { kind, commit })
    }

    fn cloned(&self, host: &dyn Host, plan: Plan) -> Result<Plan, Error> {
        let target = self.target(host)?;
        let (version, dest, address) = (self.version.0.as_str(), self.dest.display().to_string(), self.address());
        let depth = self.depth.map(|depth| depth.to_string());
        let reference = self.reference.as_ref().map(|path| path.display().to_string());
        let mut args = vec!["clone"];
        args.extend(if self.bare { vec!["--bare"] } else { vec!["--origin", &self.remote.0] });
        let named = matches!(target.kind, Ref::Branch | Ref::Tag);
        if let Some(depth) = depth.as_deref().filter(|_| target.kind != Ref::Commit) {
            args.extend(["--depth", depth]);
        }
        args.extend((self.single_branch && target.kind != Ref::Commit).then_some("--single-branch"));
        if named && !self.bare {
            args.extend(["--branch", version]);
        }
        args.extend(reference.iter().flat_map(|path| ["--reference", path]));
        args.extend(["--", address.as_str(), dest.as_str()]);
        let mut edits = common::parents(host, &self.dest)?;
        edits.push(Edit::Run {
            command: self.git(args),
            effect: vec![self.diff(Shown::Absent, target.commit.as_str())],
            makes: vec![Fact::Path(self.dest.clone(), Kind::Dir, 0o755)],
            reach: Reach::Stated,
            progress: None,
        });
        edits.extend(self.more(&target, true));
        Ok(Plan { edits, ..plan }.returning("after", target.commit))
    }

    /// What git does after it has cloned or fetched.
    fn more(&self, target: &Target, new: bool) -> Vec<Edit> {
        let mut commands = Vec::new();
        let version = self.version.0.as_str();
        if let Some(Word(refspec)) = self.refspec.as_ref().filter(|_| new) {
            commands.push(self.there(["fetch", &self.remote.0, refspec]));
        }
        if !self.bare {
            let tracked = format!("{}/{version}", self.remote.0);
            match target.kind {
                Ref::Branch if new => {}
                Ref::Branch => commands.push(self.there(["checkout", "--force", "-B", version, "--track", &tracked])),
                Ref::Head if new => {}
                Ref::Head => commands.push(self.there(["reset", "--hard", &target.commit, "--"])),
                Ref::Tag if new => {}
                Ref::Tag | Ref::Commit => commands.push(self.there(["checkout", "--force", version, "--"])),
            }
            if self.recursive {
                commands.push(self.there(["submodule", "update", "--init", "--recursive"]));
            }
        }
        commands.into_iter().map(|command| Edit::run(command, Vec::new(), Reach::Stated)).collect()
    }

    fn updated(&self, host: &dyn Host, plan: Plan) -> Result<Plan, Error> {
        let before = self.ask(host, &["rev-parse", "HEAD"])?;
        let plan = plan.returning("before", before.as_str());
        let dirty = !self.bare && {
            let status = self.ask(host, &["status", "--porcelain"])?;
            status.lines().any(|line| !line.starts_with("??"))
        };
        let dest = self.dest.display().to_string();
        if dirty && !self.force {
            let error = Error::refused(
                dest.as_str(),
                "has changes that were never committed",
                "commit them, or say `force: true`",
            );
            let msg = format!("Local modifications exist in the destination: {dest} (force=no).");
            return Err(error.telling("msg", msg).telling("before", before));
        }
        let url = self.ask(host, &["ls-remote", "--get-url", &self.remote.0])?;
        let moved = url != self.address();
        let target = self.target(host)?;
        let there = target.commit == before || (target.kind == Ref::Commit && before.starts_with(&target.commit));
        let mut edits = Vec::new();
        if moved {
            let command = self.there(["remote", "set-url", "--", &self.remote.0, &self.address()]);
            let effect = vec![Diff::new(dest.as_str(), "repository", url, self.address())];
            edits.push(Edit::run(command, effect, Reach::Stated));
        }
        if dirty {
            let effect = vec![Diff::new(dest.as_str(), "changed files", "as they are", "as committed")];
            edits.push(Edit::run(self.there(["reset", "--hard", "HEAD", "--"]), effect, Reach::Stated));
        }
        if !there {
            edits.push(Edit::Run {
                command: self.fetch(&target),
                effect: vec![self.diff(before.as_str(), target.commit.as_str())],
                makes: vec![Fact::Path(self.dest.clone(), Kind::Dir, 0o755)],
                reach: Reach::Stated,
                progress: None,
            });
            edits.extend(self.more(&target, false));
        } else if self.recursive && !self.bare && host.stat(&self.dest.join(".gitmodules"))?.is_some() {
            let status = self.ask(host, &["submodule", "status", "--recursive"])?;
            if let Some(line) = status.lines().find(|line| line.starts_with(['-', '+'])) {
                let effect = vec![Diff::new(dest.as_str(), "submodules", line.trim(), "as committed")];
                edits.push(Edit::run(
                    self.there(["submodule", "update", "--init", "--recursive"]),
                    effect,
                    Reach::Stated,
                ));
            }
        }
        let after = if there { before } else { target.commit };
        let plan = Plan { edits, ..plan }.returning("after", after).returning("remote_url_changed", json!(moved));
        Ok(match dirty {
            true => plan.returning("msg", format!("Local modifications exist in the destination: {dest}")),
            false => plan,
        })
    }

    fn fetch(&self, target: &Target) -> Command {
        let (version, remote) = (self.version.0.as_str(), self.remote.0.as_str());
        let depth = self.depth.map(|depth| depth.to_string());
        let refs = match (self.bare, target.kind) {
            (true, _) => vec!["+refs/heads/*:refs/heads/*".to_owned(), "+refs/tags/*:refs/tags/*".into()],
            (false, Ref::Branch) => vec![format!("+refs/heads/{version}:refs/remotes/{remote}/{version}")],
            (false, Ref::Tag) => vec![format!("+refs/tags/{version}:refs/tags/{version}")],
            (false, Ref::Head) => vec!["HEAD".into()],
            (false, Ref::Commit) => Vec::new(),
        };
        let refspec = self.refspec.as_ref().map(|Word(refspec)| refspec.as_str());
        let mut args = vec!["fetch", "--force", "--tags"];
        if let Some(depth) = depth.as_deref().filter(|_| target.kind != Ref::Commit) {
            args.extend(["--depth", depth]);
        }
        args.push(remote);
        args.extend(refs.iter().map(String::as_str).chain(refspec));
        self.there(args)
    }
}

fn refused(command: &Command, output: Output) -> Error {
    let (msg, rc, said) = (output.stderr.trim_end().to_owned(), output.status, common::said(&output));
    let error = Error::Command { command: command.to_string(), output: Box::new(output) };
    said.into_iter()
        .fold(error.telling("msg", msg).telling("rc", rc), |error, (name, value)| error.telling(&name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_one_word_of_the_command() {
        let params = json!({"repo": "a", "dest": "/d", "key_file": "/k/it's", "accept_newhostkey": true});
        let git: Git = serde_json::from_value(params).unwrap();
        let wanted = "ssh -o BatchMode=yes -o IdentitiesOnly=yes -i '/k/it'\\''s' -o StrictHostKeyChecking=accept-new";
        assert_eq!(git.ssh().as_deref(), Some(wanted));
        assert_eq!(git.directory().to_str(), Some("/d/.git"));
    }
}
