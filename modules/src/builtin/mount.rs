//! `mount`: a file system in its place.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common::{self, Attributes, Wanted};
use crate::edit::{Diff, Edit, Owner, Reach, Shown, Text};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// A file system that is mounted, and a line of fstab(5) by which it is when the host starts. A line that is there for the same
/// path is replaced. If mounting fails, the file is put back as it was.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mount {
    /// Where.
    #[schemars(extend("aliases" = ["name"]))]
    path: PathBuf,
    /// What of this there shall be.
    state: State,
    /// What is mounted: a device, `UUID=…`, `HOST:/path`, a directory.
    src: Option<Word>,
    /// The kind of file system, such as `ext4`.
    fstype: Option<Word>,
    /// Options, separated by commas. Must not be given a secret.
    #[serde(default = "defaults")]
    opts: Word,
    /// Taken for Ansible's sake, which may hide the options: name a file of `credentials` in them.
    #[serde(default)]
    #[expect(dead_code, reason = "options are no secrets")]
    opts_no_log: bool,
    /// Whether dump(8) saves it.
    #[serde(default = "zero")]
    dump: Word,
    /// When it is checked at the start.
    #[serde(default = "zero")]
    passno: Word,
    /// Whether it is mounted when the host starts.
    #[serde(default = "common::yes")]
    boot: bool,
    /// The file.
    #[serde(default = "fstab")]
    fstab: PathBuf,
    /// Whether to keep the old content beside the file, as `fstab.HASH.bak`.
    #[serde(default)]
    backup: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Mounted, and in the file.
    Mounted,
    /// In the file.
    Present,
    /// Not mounted, and not in the file; the empty directory goes, too.
    Absent,
    /// Not in the file.
    AbsentFromFstab,
    /// Not mounted.
    Unmounted,
    /// Mounted again with its options, each time.
    Remounted,
    /// Mounted, whatever the file says.
    Ephemeral,
}

fn defaults() -> Word {
    Word("defaults".into())
}

fn zero() -> Word {
    Word("0".into())
}

fn fstab() -> PathBuf {
    "/etc/fstab".into()
}

/// Not every file system can be mounted again with other options.
const REMOUNT: &str = r#"for path do :; done; mount -o remount "$@" || { umount "$path" && mount "$@"; }"#;

impl Module for Mount {
    const NAME: &'static str = "mount";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let source = self.source()?;
        let mounted = mounted(host, &self.path)?;
        let (fstab, now) = common::resolve(host, &self.fstab)?;
        let before = common::text(host, &fstab)?;
        let after = match self.state {
            State::Mounted | State::Present => self.with(&before, source),
            State::Absent | State::AbsentFromFstab => self.without(&before),
            State::Unmounted | State::Remounted | State::Ephemeral => before.clone(),
        };
        let listed = after != before;
        let mut plan = Plan { all_or_nothing: true, ..self.told() };
        let makes = matches!(self.state, State::Mounted | State::Ephemeral);
        if makes && host.stat(&self.path)?.is_none() {
            plan.edits.extend(common::parents(host, &self.path)?);
            plan.edits.push(Edit::Dir { path: self.path.clone(), mode: None, owner: Owner::default() });
        }
        if listed {
            let (after, attributes) = (Text::plain(after), Attributes::default());
            let wanted = Wanted { path: fstab, now, after, attributes, backup: self.backup, validate: None };
            let written = wanted.plan_below(host)?;
            plan.edits.extend(written.edits);
            plan.data.extend(written.data);
        }
        let path = self.path.display().to_string();
        let mut run = |program: &str, args: Vec<String>, before: Option<&str>, after: Shown| {
            let diff = Diff::new(format!("mount {path}"), "state", before, after);
            plan.edits.push(Edit::run(Command::new(program, args), vec![diff], Reach::Anything));
        };
        let now = mounted.as_deref();
        match (self.state, now) {
            (State::Mounted, None) => run("mount", self.by_file(), None, source.into()),
            (State::Ephemeral, None) => {
                let fstype = self.fstype.as_ref().map_or("auto", |Word(fstype)| fstype);
                let args = ["-t", fstype, "-o", &self.options().0, "--", source, &path].map(str::to_owned);
                run("mount", args.into(), None, source.into());
            }
            (State::Ephemeral, Some(other)) if other != source => {
                let error = Error::refused(
                    path,
                    format!("is mounted from {other}, not from {source}"),
                    "unmount it by an earlier task",
                );
                let msg = "Ephemeral mount point is already mounted with a different source than the specified one. Failing in order to prevent an unwanted unmount or override operation. Try replacing this command with a \"state: unmounted\" followed by a \"state: ephemeral\", or use a different destination path.";
                return Err(error.telling("msg", msg));
            }
            (State::Mounted, Some(_)) if listed => run("/bin/sh", self.again(), now, "mounted again".into()),
            (State::Remounted, _) => run("/bin/sh", self.again(), now, "mounted again".into()),
            (State::Unmounted, Some(_)) => run("umount", vec![path.clone()], now, Shown::Absent),
            (State::Absent, _) if listed || now.is_some() => {
                if now.is_some() {
                    run("umount", vec![path.clone()], now, Shown::Absent);
                }
                if host.stat(&self.path)?.is_some() {
                    let gone = vec![Diff::new(path.as_str(), "state", "directory", Shown::Absent)];
                    plan.edits.push(Edit::run(Command::new("rmdir", ["--", &path]), gone, Reach::Anything));
                }
            }
            _ => {}
        }
        Ok(plan)
    }

    fn intent(&self) -> Vec<Diff> {
        let after = match self.state {
            State::Absent | State::AbsentFromFstab | State::Unmounted => Shown::Absent,
            _ => self.src.as_ref().map_or(Shown::Unknown, |Word(src)| src.as_str().into()),
        };
        let subject = match self.state {
            State::Present | State::AbsentFromFstab => self.fstab.display().to_string(),
            _ => format!("mount {}", self.path.display()),
        };
        vec![Diff::new(subject, "state", Shown::Unknown, after)]
    }

    fn converges(&self) -> bool {
        self.state != State::Remounted
    }
}

impl Mount {
    /// What is mounted, which some states need.
    fn source(&self) -> Result<&str, Error> {
        let needs = match self.state {
            State::Mounted => "mounted",
            State::Present => "present",
            State::Ephemeral => "ephemeral",
            _ => return Ok(self.src.as_ref().map_or("", |Word(src)| src)),
        };
        let missing: Vec<&str> = [("src", &self.src), ("fstype", &self.fstype)]
            .into_iter()
            .filter_map(|(name, word)| word.is_none().then_some(name))
            .collect();
        match (&self.src, missing.first()) {
            (Some(Word(src)), None) => Ok(src),
            (_, first) => {
                let error = Error::param(first.unwrap_or(&"src"), format!("is missing; `state: {needs}` needs it"));
                let all = missing.join(", ");
                Err(error.telling("msg", format!("state is {needs} but all of the following are missing: {all}")))
            }
        }
    }

    fn options(&self) -> Word {
        let all = &self.opts.0;
        let noauto = all.split(',').any(|opt| opt == "noauto");
        Word(if self.boot || noauto { all.clone() } else { format!("{all},noauto") })
    }

    fn told(&self) -> Plan {
        let word = |word: &Option<Word>| word.as_ref().map(|Word(word)| word.clone());
        let mut plan = Plan::nothing();
        let pairs = [
            ("name", json!(self.path)),
            ("opts", json!(self.options().0)),
            ("dump", json!(self.dump.0)),
            ("passno", json!(self.passno.0)),
            ("fstab", json!(self.fstab)),
            ("boot", json!(if self.boot || self.options().0 == self.opts.0 { "yes" } else { "no" })),
            ("backup_file", json!("")),
        ];
        plan.data.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
        plan.data.extend(word(&self.src).map(|src| ("src".to_owned(), json!(src))));
        plan.data.extend(word(&self.fstype).map(|fstype| ("fstype".to_owned(), json!(fstype))));
        if self.boot && self.opts.0.split(',').any(|opt| opt == "noauto") {
            plan.warnings.push("Ignore the 'boot' due to 'opts' contains 'noauto'.".into());
        }
        plan
    }

    /// The arguments of mount(8) that has the file say the rest.
    fn by_file(&self) -> Vec<String> {
        let file = (self.fstab != fstab()).then(|| ["-T".to_owned(), self.fstab.display().to_string()]);
        file.into_iter().flatten().chain([self.path.display().to_string()]).collect()
    }

    fn again(&self) -> Vec<String> {
        let opts = (self.state == State::Remounted && self.opts.0 != "defaults")
            .then(|| ["-o".to_owned(), self.opts.0.clone()]);
        let script = ["-c".to_owned(), REMOUNT.into(), "mount".into()];
        script.into_iter().chain(opts.into_iter().flatten()).chain(self.by_file()).collect()
    }

    fn fields(&self, source: &str) -> [String; 6] {
        let fstype = self.fstype.as_ref().map_or("", |Word(fstype)| fstype);
        let path = self.path.display().to_string();
        [source, &path, fstype, &self.options().0, &self.dump.0, &self.passno.0].map(escaped)
    }

    fn with(&self, before: &str, source: &str) -> String {
        let wanted = self.fields(source);
        let mut found = false;
        let mut after = String::new();
        for line in before.lines() {
            let now = self.is_it(line);
            found |= now.is_some();
            match now.filter(|now| *now != wanted) {
                Some(_) => after.push_str(&wanted.join(" ")),
                None => after.push_str(line),
            }
            after.push('\n');
        }
        if !found {
            after.push_str(&format!("{}\n", wanted.join(" ")));
        }
        after
    }

    fn without(&self, before: &str) -> String {
        if !before.lines().any(|line| self.is_it(line).is_some()) {
            return before.to_owned();
        }
        before.split_inclusive('\n').filter(|line| self.is_it(line).is_none()).collect()
    }

    /// The six fields of a line, if it is about the same path; of swap space, which has none, about the same device.
    fn is_it(&self, line: &str) -> Option<[String; 6]> {
        let fields: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if !(4..=6).contains(&fields.len()) {
            return None;
        }
        let field = |at: usize| fields.get(at).copied().unwrap_or("0").to_owned();
        let swap = fields[1] == "none" && fields[2] == "swap";
        let other = swap && self.src.as_ref().is_some_and(|Word(src)| src != fields[0]);
        let same = fields[1] == escaped(&self.path.display().to_string()) && !other;
        same.then(|| [0, 1, 2, 3, 4, 5].map(field))
    }
}

/// As fstab(5) has blanks.
fn escaped(field: &str) -> String {
    field.replace('\\', "\\134").replace(' ', "\\040").replace('&', "\\046")
}

/// What is mounted at a path (proc_pid_mountinfo(5)): the device, of a directory of another file system that directory.
fn mounted(host: &dyn Host, path: &Path) -> Result<Option<String>, Error> {
    let table = common::text(host, Path::new("/proc/self/mountinfo"))?;
    let wanted = path.display().to_string();
    let wanted = if wanted.len() > 1 { wanted.trim_end_matches('/') } else { &wanted };
    let at = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let fields: Vec<&str> = left.split(' ').collect();
        let [_, _, _, root, at, ..] = fields[..] else { return None };
        let device = right.split(' ').nth(1)?;
        let plain = |text: &str| text.replace("\\040", " ").replace("\\134", "\\");
        (plain(at) == wanted).then(|| plain(if root == "/" || !device.starts_with('/') { device } else { root }))
    };
    Ok(table.lines().filter_map(at).next_back())
}
