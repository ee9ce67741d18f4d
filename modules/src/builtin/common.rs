//! What the modules for files share: following links safely, owners and modes, and putting a file in place.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use fancy_regex::Regex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::flags;
use crate::attributes;
use crate::digest::Algorithm;
use crate::edit::{Blob, Diff, Edit, Owner, Reach, Shown, Text};
use crate::host::{Command, Error, Host, Input, Kind, Known, Look, Output, Stat, known};
use crate::param::{Mode, SECRET_KEY};
use crate::plan::{Data, Plan};
use crate::preview::hex;

/// As many links as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// For `#[serde(default = "yes")]`.
pub(super) fn yes() -> bool {
    true
}

/// What Ansible says where a file that is edited is not there; `rc` is its, too.
pub(super) fn no_file(error: Error, path: &Path) -> Error {
    error.telling("msg", format!("Path {} does not exist !", path.display())).telling("rc", 257)
}

/// The same where it is a directory.
pub(super) fn no_regular_file(path: &Path, now: &Stat) -> Error {
    let error = Error::path("edit", path, "it is not a regular file");
    let dir = now.is_dir().then(|| format!("Path {} is a directory !", path.display()));
    dir.into_iter().fold(error, |error, msg| error.telling("msg", msg).telling("rc", 256))
}

/// What was done to the content, and whether owners or permissions of a file that is there change beside.
pub(super) fn edited(plan: Plan, said: &str) -> Plan {
    let beside = plan.edits.iter().any(|edit| matches!(edit, Edit::Mode { .. } | Edit::Owner { .. }));
    let both = if said.is_empty() { "" } else { " and " };
    let msg = if beside { format!("{said}{both}ownership, perms or SE linux context changed") } else { said.into() };
    plan.returning("msg", msg)
}

/// The text of a file, which is empty if there is none.
pub(super) fn text(host: &dyn Host, path: &Path) -> Result<String, Error> {
    String::from_utf8(host.read(path)?.unwrap_or_default())
        .map_err(|_| Error::path("edit", path, "it is not UTF-8 text"))
}

/// A file of the system's with that text: links are followed, owners and permissions stay.
pub(super) fn put(host: &dyn Host, path: &Path, text: impl Into<Vec<u8>>) -> Result<Plan, Error> {
    let (path, now) = resolve(host, path)?;
    let (after, attributes) = (Text::plain(text), Attributes::default());
    Wanted { path, now, after, attributes, backup: false, validate: None }.plan(host)
}

/// What a program prints that only asks and must succeed.
pub(super) fn asked(host: &dyn Host, command: &Command) -> Result<String, Error> {
    let output = host.query(command)?;
    if output.success() {
        return Ok(output.stdout);
    }
    Err(Error::Command { command: command.to_string(), output: Box::new(output) })
}

/// A program's whole path, which Ansible tells; its name where it is in none of the usual places.
pub(super) fn whole_path(host: &dyn Host, program: &str) -> Result<String, Error> {
    for dir in ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"] {
        let path = Path::new(dir).join(program);
        if host.stat(&path)?.is_some() {
            return Ok(path.display().to_string());
        }
    }
    Ok(program.to_owned())
}

/// What the program of an edit has said, as Ansible tells it beside.
pub(super) fn said(output: &Output) -> Data {
    let lines = |text: &str| json!(lines(text));
    Data::from_iter([
        ("stdout".to_owned(), json!(output.stdout)),
        ("stdout_lines".to_owned(), lines(&output.stdout)),
        ("stderr".to_owned(), json!(output.stderr)),
        ("stderr_lines".to_owned(), lines(&output.stderr)),
    ])
}

/// The directories that are missing above a path, from the top on.
pub(super) fn parents(host: &dyn Host, path: &Path) -> Result<Vec<Edit>, Error> {
    let mut missing = Vec::new();
    for above in path.ancestors().skip(1) {
        if host.stat(above)?.is_some() {
            break;
        }
        missing.push(Edit::Dir { path: above.into(), mode: None, owner: Owner::default() });
    }
    missing.reverse();
    Ok(missing)
}

/// A regular expression that a parameter gives.
pub(super) fn regex(param: &str, pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| Error::param(param, format!("`{pattern}` is no regular expression: {error}")))
}

/// A text in which `\n`, `\t`, `\r` and `\\` are what they are in C; other backslashes stand for themselves.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(escaped @ ('n' | 't' | 'r' | '\\'))) => {
                chars.next();
                plain.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
            }
            _ => plain.push(c),
        }
    }
    plain
}

/// The lines of what a program has printed, as Ansible tells them: by Python's `str.splitlines`.
pub(super) fn lines(text: &str) -> Vec<&str> {
    const ENDS: [char; 9] = ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}'];
    let ends = |c: char| ENDS.contains(&c) || c == '\u{2029}';
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(ends) {
        lines.push(&rest[..end]);
        let after = &rest[end..];
        let width = if after.starts_with("\r\n") { 2 } else { after.chars().next().map_or(1, char::len_utf8) };
        rest = &after[width..];
    }
    lines.extend((!rest.is_empty()).then_some(rest));
    lines
}

/// A pattern of fnmatch(3) as a regular expression.
pub(super) fn glob(pattern: &str) -> String {
    let mut regex = String::from("(?s)^");
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            // A bracket that is not closed stands for itself; a `]` right after it does not close it.
            '[' => match class(rest.as_str()) {
                Some((class, after)) => {
                    regex.push_str(&class);
                    rest = after.chars();
                }
                None => regex.push_str("\\["),
            },
            c => regex.push_str(&fancy_regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push_str("\\z");
    regex
}

fn class(after: &str) -> Option<(String, &str)> {
    let (not, body) = after.strip_prefix('!').map_or(("", after), |body| ("^", body));
    let first = body.chars().next()?.len_utf8();
    let end = first + body[first..].find(']')?;
    let members = body[..end].replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]").replace('^', "\\^");
    Some((format!("[{not}{members}]"), &body[end + 1..]))
}

/// Whether something has a path that matches a pattern of glob(7). Without `*`, `?` and `[` it is the path itself.
pub(super) fn exists(host: &dyn Host, pattern: &Path) -> Look<bool> {
    let magic = |part: &Path| part.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte));
    if !magic(pattern) {
        return Ok(host.stat(pattern)?.is_some());
    }
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = Path::new(part.as_os_str());
        if !magic(part) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let regex = regex("creates", &glob(&part.to_string_lossy()))?;
        let mut next = Vec::new();
        for dir in found {
            // What is no directory has nothing in it.
            for path in host.list(&dir).unwrap_or_default() {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let hidden = name.starts_with('.') && !part.to_string_lossy().starts_with('.');
                if !hidden && regex.is_match(&name).unwrap_or(false) {
                    next.push(path);
                }
            }
        }
        found = next;
    }
    for path in found {
        if host.stat(&path)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A path with every symbolic link in it followed, and what is there.
///
/// A link is followed only if nobody but root or the owner of what it points to can have put it there: in a directory
/// that another user can write, a link to `/etc/shadow` would otherwise make us overwrite that.
pub(super) fn resolve(host: &dyn Host, path: &Path) -> Result<(PathBuf, Option<Stat>), Error> {
    follow(host, path, 0)
}

/// Where a file goes: what `dest` names; below it, under that name, if it is a directory or ends in `/`. A link that is
/// there is followed or, without `follow`, is what will be replaced.
pub(super) fn destination(
    host: &dyn Host,
    dest: &Path,
    follow: bool,
    name: &dyn Fn() -> Result<PathBuf, Error>,
) -> Result<(PathBuf, Option<Stat>), Error> {
    let is_dir = |path: &Path| Ok::<_, Error>(host.stat(&path.join("."))?.is_some_and(|stat| stat.is_dir()));
    let place = |path: &Path| if follow { resolve(host, path) } else { resolve_parent(host, path) };
    let (path, now) = place(dest)?;
    let below = dest.as_os_str().as_encoded_bytes().ends_with(b"/");
    let dir = now.as_ref().is_some_and(|now| now.is_dir() || now.is_link()) && is_dir(dest)?;
    if below || dir || now.as_ref().is_some_and(Stat::is_dir) {
        let (dir, _) = resolve(host, dest)?;
        return place(&dir.join(name()?));
    }
    Ok((path, now))
}

/// Takes away the link that stands where a file will be.
pub(super) fn unlinked(path: &Path, now: Option<Stat>) -> (Option<Edit>, Option<Stat>) {
    match now {
        Some(Stat { kind: before @ Kind::Link(_), .. }) => (Some(Edit::Remove { path: path.into(), before }), None),
        now => (None, now),
    }
}

/// What Ansible tells of a file that was put in place: `dest`, `size` and `checksum` (SHA-1), with `md5sum` if there is new
/// content and `path` if there is not. What is told of a secret is one, too.
pub(super) fn told(plan: Plan, dest: &str, content: &Text) -> Plan {
    let sum = |algorithm: Algorithm| -> Value {
        let sum = algorithm.of(&content.bytes);
        if content.secret { json!({ SECRET_KEY: sum }) } else { sum.into() }
    };
    let new = plan.edits.iter().any(|edit| matches!(edit, Edit::Write { .. } | Edit::Place { .. }));
    let plan = plan.returning("dest", dest).returning("size", content.bytes.len());
    let plan = plan.returning("checksum", sum(Algorithm::Sha1));
    if new { plan.returning("md5sum", sum(Algorithm::Md5)) } else { plan.returning("path", dest) }
}

/// As [`resolve`], but a link that `path` itself names is not followed.
pub(super) fn resolve_parent(host: &dyn Host, path: &Path) -> Result<(PathBuf, Option<Stat>), Error> {
    let path = &*absolute(host, path)?;
    let resolved = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => follow(host, parent, 0)?.0.join(name),
        _ => return follow(host, path, 0),
    };
    let stat = host.stat(&resolved)?;
    Ok((resolved, stat))
}

fn absolute<'a>(host: &dyn Host, path: &'a Path) -> Result<Cow<'a, Path>, Error> {
    attributes::absolute(host, path)?
        .ok_or_else(|| Error::param("path", format!("`{}` is not absolute: it must start with `/`", path.display())))
}

fn follow(host: &dyn Host, path: &Path, links: usize) -> Result<(PathBuf, Option<Stat>), Error> {
    let path = &*absolute(host, path)?;
    // Where no link is on the way, one look tells all.
    if path.components().all(|part| part != Component::ParentDir)
        && let Some(stat) = host.straight(path)?
    {
        return Ok((path.components().collect(), Some(stat)));
    }
    let mut at = PathBuf::from("/");
    let mut last = None;
    let mut rest = path.components();
    while let Some(part) = rest.next() {
        match part {
            Component::ParentDir => drop(at.pop()),
            Component::Normal(name) => at.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
        last = host.stat(&at)?;
        let Some(link) = &last else { continue };
        let Kind::Link(target) = &link.kind else { continue };
        if links >= MAX_LINKS {
            return Err(Error::path("follow", path, "too many symbolic links"));
        }
        let parent = at.parent().unwrap_or(&at);
        let (target, _) = follow(host, &parent.join(target), links + 1)?;
        trust(host, &at, link, &target)?;
        return follow(host, &target.join(rest.as_path()), links + 1);
    }
    Ok((at, last))
}

/// Refuses a link that somebody else may have put there.
fn trust(host: &dyn Host, at: &Path, link: &Stat, target: &Path) -> Result<(), Error> {
    let owner = owner_of(host, target)?;
    let directory = host.stat(at.parent().unwrap_or(at))?;
    // An owner that is not known is that of something an earlier task makes.
    let ours = |uid: Option<u32>| uid.is_none_or(|uid| uid == 0 || Some(uid) == owner);
    let sound = directory.is_none_or(|directory| {
        let closed = directory.mode & 0o022 == 0 || directory.mode & 0o1000 != 0;
        closed && ours(directory.uid) && ours(link.uid)
    });
    match sound {
        true => Ok(()),
        false => Err(Error::refused(
            at.display().to_string(),
            "is a symbolic link that another user may have put there",
            format!("name what it points to: {}", target.display()),
        )),
    }
}

/// The owner of what is there, or of the nearest directory above it.
fn owner_of(host: &dyn Host, path: &Path) -> Look<Option<u32>> {
    for above in path.ancestors() {
        if let Some(stat) = host.stat(above)? {
            return Ok(stat.uid);
        }
    }
    Ok(None)
}

/// The permission bits and owners that a task gives.
#[derive(Clone, Copy, Default)]
pub(super) struct Attributes<'a> {
    /// Permission bits.
    pub mode: Option<&'a Mode>,
    /// A login name or a number.
    pub owner: Option<&'a str>,
    /// A group's name or a number.
    pub group: Option<&'a str>,
    /// Flags as chattr(1) takes them.
    pub flags: Option<&'a str>,
    /// The parameter that gives a part of the SELinux label.
    pub label: Option<&'static str>,
}

impl Attributes<'_> {
    /// A label is for nothing where there is no SELinux, as in Ansible; elsewhere it would be read and not heeded.
    fn no_label(&self, host: &dyn Host) -> Result<(), Error> {
        match self.label {
            Some(param) if super::seboolean::enabled(host)? => Err(Error::Unsupported(format!(
                "this host has SELinux, and `{param}` is not set from here: use `command: chcon`"
            ))),
            _ => Ok(()),
        }
    }

    /// The owner to be, for something new. An account that nobody will make is an error.
    pub(super) fn owner(&self, host: &dyn Host) -> Result<Owner, Error> {
        self.no_label(host)?;
        user_id(host, self.owner)?;
        group_id(host, self.group)?;
        Ok(Owner { user: self.owner.map(Into::into), group: self.group.map(Into::into) })
    }

    /// What has to be done about something that is there. First the owner: changing it clears the set-id bits.
    pub(super) fn edits(&self, host: &dyn Host, path: &Path, now: &Stat) -> Result<Vec<Edit>, Error> {
        self.no_label(host)?;
        let mut edits: Vec<Edit> = self.owner_edit(host, path, now)?.into_iter().collect();
        let flags = if now.is_link() { None } else { flags::due(host, path, self.flags)? };
        let Some(mode) = self.mode.filter(|_| !now.is_link()) else {
            edits.extend(flags);
            return Ok(edits);
        };
        let before = if !edits.is_empty() && now.is_file() { now.mode & !0o6000 } else { now.mode };
        let after = mode.over(now.mode, &now.kind);
        if before != after {
            edits.push(Edit::Mode { path: path.into(), before, after });
        }
        edits.extend(flags);
        Ok(edits)
    }

    /// What sets the flags of something new.
    pub(super) fn flags_edit(&self, path: &Path) -> Option<Edit> {
        self.flags.and_then(|flags| flags::set(path, flags))
    }

    fn owner_edit(&self, host: &dyn Host, path: &Path, now: &Stat) -> Result<Option<Edit>, Error> {
        let (uid, gid) = (user_id(host, self.owner)?, group_id(host, self.group)?);
        let user = self.owner.filter(|_| uid.is_none() || uid != now.uid);
        let group = self.group.filter(|_| gid.is_none() || gid != now.gid);
        if user.is_none() && group.is_none() {
            return Ok(None);
        }
        let before = Owner {
            user: user.and(now.uid).map(|uid| {
                let found = host.user(&uid.to_string()).ok().flatten();
                found.map_or(uid.to_string(), |user| user.name)
            }),
            group: group.and(now.gid).map(|gid| {
                let found = host.group(&gid.to_string()).ok().flatten();
                found.map_or(gid.to_string(), |group| group.name)
            }),
        };
        let after = Owner { user: user.map(Into::into), group: group.map(Into::into) };
        Ok(Some(Edit::Owner { path: path.into(), before, after }))
    }

    /// What a preview shows of them where the host can't be asked.
    pub(super) fn intent(&self, path: &Path) -> Vec<Diff> {
        let path = path.display().to_string();
        let show = |aspect, value: Option<&str>| value.map(|value| Diff::new(&path, aspect, Shown::Unknown, value));
        let mode = match self.mode {
            Some(Mode::Bits(bits)) => Some(format!("{bits:04o}")),
            Some(Mode::Symbolic(clauses)) => Some(clauses.clone()),
            None => None,
        };
        let flags = self.flags.and_then(flags::wanted);
        let owners = [show("mode", mode.as_deref()), show("owner", self.owner), show("group", self.group)];
        owners.into_iter().chain([show("attributes", flags.as_deref())]).flatten().collect()
    }
}

/// As chown(1) takes them; nothing if there is neither. A colon with nothing behind it would mean the user's own group.
pub(super) fn chown(user: Option<&str>, group: Option<&str>) -> String {
    match (user, group) {
        (user, None) => user.unwrap_or_default().to_owned(),
        (user, Some(group)) => format!("{}:{group}", user.unwrap_or_default()),
    }
}

/// The number of an account; `None` if none is named, or if an earlier task has yet to make it.
fn user_id(host: &dyn Host, name: Option<&str>) -> Result<Option<u32>, Error> {
    let Some(name) = name else { return Ok(None) };
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    match known(host.user(name))? {
        Known::Yes(Some(user)) => Ok(user.uid),
        Known::Yes(None) => Err(Error::param("owner", format!("there is no user `{name}`"))
            .telling("msg", format!("chown failed: failed to look up user {name}"))),
        Known::No(_) => Ok(None),
    }
}

/// The same for a group.
fn group_id(host: &dyn Host, name: Option<&str>) -> Result<Option<u32>, Error> {
    let Some(name) = name else { return Ok(None) };
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    match known(host.group(name))? {
        Known::Yes(Some(group)) => Ok(group.gid),
        Known::Yes(None) => Err(Error::param("group", format!("there is no group `{name}`"))
            .telling("msg", format!("chgrp failed: failed to look up group {name}"))),
        Known::No(_) => Ok(None),
    }
}

/// A file as it shall be: what `copy`, `template` and `file_line` come down to.
pub(super) struct Wanted<'a> {
    /// Where, with links followed.
    pub path: PathBuf,
    /// What is there.
    pub now: Option<Stat>,
    /// The content to be.
    pub after: Text,
    /// Permission bits and owners.
    pub attributes: Attributes<'a>,
    /// Whether to keep the old content beside the file.
    pub backup: bool,
    /// A command that accepts or refuses the content; `%s` stands for a file that holds it.
    pub validate: Option<&'a str>,
}

/// A file as it shall be, with content that the controller has and that is never held whole.
pub(super) struct Placed<'a> {
    /// Where, with links followed.
    pub path: PathBuf,
    /// What is there.
    pub now: Option<Stat>,
    /// The content to be.
    pub content: Blob,
    /// Permission bits and owners.
    pub attributes: Attributes<'a>,
}

impl Placed<'_> {
    /// The edits that put it in place. Bits are taken away before the content comes, and given after.
    pub(super) fn plan(self, host: &dyn Host) -> Result<Plan, Error> {
        let Self { path, now, content, attributes } = self;
        let Some(now) = now else {
            has_directory(host, &path)?;
            let mode = attributes.mode.map(|mode| mode.over(0o644, &Kind::File));
            let owner = attributes.owner(host)?;
            let flags = attributes.flags_edit(&path);
            let mut plan = Plan::nothing().with(Edit::Place { path, before: None, after: content, mode, owner });
            plan.edits.extend(flags);
            return Ok(plan);
        };
        if !now.is_file() {
            return Err(Error::path("write", path, "it is not a regular file"));
        }
        let edits = attributes.edits(host, &path, &now)?;
        // Another size is other content: then there is no need to read it.
        if now.size == content.size && host.sha256(&path)?.as_deref() == Some(&content.sha256) {
            return Ok(Plan { edits, ..Plan::nothing() });
        }
        let flags = attributes.flags_edit(&path);
        let (later, sooner) = around(edits);
        let place = Edit::Place { path, before: Some(now), after: content, mode: None, owner: Owner::default() };
        let edits = sooner.into_iter().chain([place]).chain(later).chain(flags).collect();
        Ok(Plan { edits, ..Plan::nothing() })
    }
}

/// What comes after a file is put in place anew, and what before: permissions that go away go before new content comes, those
/// that are added come after old content is gone. Flags are those of the old file.
fn around(edits: Vec<Edit>) -> (Vec<Edit>, Vec<Edit>) {
    let kept = edits.into_iter().filter(|edit| !matches!(edit, Edit::Run { .. }));
    kept.partition(|edit| matches!(edit, Edit::Mode { before, after, .. } if after & !before != 0))
}

/// A new file needs a directory.
pub(super) fn has_directory(host: &dyn Host, path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(path);
    if host.stat(parent)?.is_some_and(|stat| stat.is_dir()) {
        return Ok(());
    }
    let error = Error::refused(
        path.display().to_string(),
        format!("the directory {} does not exist", parent.display()),
        "make it with a `file` task that says `state: directory`",
    );
    Err(error.telling("msg", format!("Destination directory {} does not exist", parent.display())))
}

impl Wanted<'_> {
    /// The edits that put it in place.
    pub(super) fn plan(self, host: &dyn Host) -> Result<Plan, Error> {
        match &self.now {
            None => has_directory(host, &self.path).and_then(|()| self.create(host)),
            Some(now) if now.is_file() => self.change(host, now),
            Some(_) => Err(Error::path("write", self.path, "it is not a regular file")),
        }
    }

    /// The same, and before them those that make the directories on the way.
    pub(super) fn plan_below(self, host: &dyn Host) -> Result<Plan, Error> {
        let dirs = parents(host, &self.path)?;
        if dirs.is_empty() {
            return self.plan(host);
        }
        let mut plan = self.create(host)?;
        plan.edits.splice(..0, dirs);
        Ok(plan)
    }

    /// The same where the content is what it shall be, as far as it was just read.
    pub(super) fn kept(self, host: &dyn Host) -> Result<Plan, Error> {
        match &self.now {
            Some(now) if now.is_file() => self.keep(host, now),
            // It is yet to be made, though with nothing in it.
            _ => self.plan_below(host),
        }
    }

    fn keep(&self, host: &dyn Host, now: &Stat) -> Result<Plan, Error> {
        let mode = self.attributes.mode.map_or(now.mode, |mode| mode.over(now.mode, &now.kind));
        let mut plan = self.warned(mode);
        plan.edits = self.attributes.edits(host, &self.path, now)?;
        Ok(plan)
    }

    fn create(&self, host: &dyn Host) -> Result<Plan, Error> {
        let base = if self.after.secret { 0o600 } else { 0o644 };
        let mode = self.attributes.mode.map(|mode| mode.over(base, &Kind::File));
        let owner = self.attributes.owner(host)?;
        let mut plan = self.warned(mode.unwrap_or(base));
        plan.edits.extend(self.validation()?);
        plan.edits.push(Edit::Write { path: self.path.clone(), before: None, after: self.after.clone(), mode, owner });
        plan.edits.extend(self.attributes.flags_edit(&self.path));
        Ok(plan)
    }

    fn change(&self, host: &dyn Host, now: &Stat) -> Result<Plan, Error> {
        let mut plan = self.keep(host, now)?;
        let before = host.read(&self.path)?.unwrap_or_default();
        if before == self.after.bytes {
            return Ok(plan);
        }
        let attributes = std::mem::take(&mut plan.edits);
        let before = Text { bytes: before, secret: self.after.secret };
        plan.edits.extend(self.validation()?);
        if self.backup {
            plan = self.backed_up(host, plan, now, &before)?;
        }
        let (later, sooner) = around(attributes);
        plan.edits.extend(sooner);
        let (path, after) = (self.path.clone(), self.after.clone());
        plan.edits.push(Edit::Write { path, before: Some(before), after, mode: None, owner: Owner::default() });
        plan.edits.extend(later);
        plan.edits.extend(self.attributes.flags_edit(&self.path));
        Ok(plan)
    }

    fn warned(&self, mode: u32) -> Plan {
        let mut plan = Plan::nothing();
        if self.after.secret && mode & 0o004 != 0 {
            let path = self.path.display();
            plan.warnings.push(format!("{path} holds a secret that every user can read; give `mode: \"0600\"`"));
        }
        plan
    }

    /// The name tells the content, not the time: the same content is never kept twice.
    fn backed_up(&self, host: &dyn Host, plan: Plan, now: &Stat, before: &Text) -> Result<Plan, Error> {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{}.bak", &hex(&Sha256::digest(&before.bytes))[..12]));
        let path = PathBuf::from(name);
        let plan = plan.returning("backup_file", path.display().to_string());
        if host.stat(&path)?.is_some() {
            return Ok(plan);
        }
        let owner = Owner { user: now.uid.map(|uid| uid.to_string()), group: now.gid.map(|gid| gid.to_string()) };
        Ok(plan.with(Edit::Write { path, before: None, after: before.clone(), mode: Some(now.mode), owner }))
    }

    /// Hands the content to the command in a temporary file that only the agent's user can read.
    fn validation(&self) -> Result<Option<Edit>, Error> {
        let Some(validate) = self.validate else { return Ok(None) };
        if !validate.contains("%s") {
            let error = Error::param("validate", "must have `%s` where the file's name belongs");
            return Err(error.telling("msg", format!("validate must contain %s: {validate}")));
        }
        let content = String::from_utf8(self.after.bytes.clone())
            .map_err(|_| Error::param("validate", "the content is not UTF-8 text"))?;
        let named = ["'%s'", "\"%s\"", "%s"]
            .iter()
            .fold(validate.to_owned(), |command, mark| command.replace(mark, "\"$candidate\""));
        let script = format!(
            "candidate=$(mktemp) && trap 'rm -f \"$candidate\"' EXIT && cat >\"$candidate\" || exit 1\n{named}"
        );
        let input =
            if self.after.secret { Input::Secret(crate::secret::Secret::new(content)) } else { Input::Plain(content) };
        let command = Command { stdin: Some(input), ..Command::new("/bin/sh", ["-c", &script]) };
        Ok(Some(Edit::run(command, Vec::new(), Reach::Stated)))
    }
}

/// What to say when a `validate` command has refused.
pub(super) fn refused_content(validate: Option<&str>, error: &Error) -> Option<String> {
    let validate = validate.filter(|_| matches!(error, Error::Command { .. }))?;
    Some(format!("`{validate}` refused the new content; the file was not changed"))
}

/// What Ansible's modules register then: those that edit a file say why.
pub(super) fn unvalidated(validate: Option<&str>, error: &Error) -> Option<String> {
    match error {
        Error::Command { output, .. } if validate.is_some() => {
            Some(format!("failed to validate: rc:{} error:{}", output.status, output.stderr))
        }
        _ => None,
    }
}

/// A number of bytes for people: `960 B`, `23.1 MiB`.
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only base backups say how large they are"))]
pub(super) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut left = bytes;
    let mut tenths = 0;
    let mut unit = None;
    for next in units {
        if left < 1024 {
            break;
        }
        (tenths, left, unit) = (left % 1024 * 10 / 1024, left / 1024, Some(next));
    }
    unit.map_or_else(|| format!("{bytes} B"), |unit| format!("{left}.{tenths} {unit}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes() {
        for (bytes, wanted) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (24_223_744, "23.1 MiB"), (u64::MAX, "16777215.9 TiB")]
        {
            assert_eq!(super::size(bytes), wanted);
        }
    }
}
