//! Users, groups, packages and units: what modules ask a host for by name, and what edits can claim to make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::{Command, Error, Host, Kind, Look};

/// Something that an edit will have made true. In a preview, looks are answered from these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The account exists, like this.
    User(User),
    /// There is no account of that name.
    NoUser(String),
    /// The group exists, like this.
    Group(Group),
    /// There is no group of that name.
    NoGroup(String),
    /// The package is installed; the version is not always known beforehand.
    Package(Package),
    /// The package is not installed.
    NoPackage(String),
    /// The unit is in this state.
    Unit(Unit),
    /// Something is at the path, with these permission bits. What it holds is not known beforehand.
    Path(PathBuf, Kind, u32),
}

/// A line of passwd(5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Login name.
    pub name: String,
    /// `None` in a preview: chosen when the account is made.
    pub uid: Option<u32>,
    /// The primary group's number; `None` likewise.
    pub gid: Option<u32>,
    /// The comment field.
    pub gecos: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// A line of group(5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `None` in a preview: chosen when the group is made.
    pub gid: Option<u32>,
    /// Login names listed as members.
    pub members: Vec<String>,
}

/// An installed package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// `None` in a preview where the package manager did not say.
    pub version: Option<String>,
}

/// What `systemctl show` says of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name with suffix.
    pub name: String,
    /// `loaded`, `not-found`, `masked`.
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`.
    pub active: String,
    /// `enabled`, `disabled`, `static`, `masked`, or empty.
    pub enabled: String,
    /// Its file was changed since systemd read it.
    pub needs_reload: bool,
}

impl Unit {
    /// Whether a file is this unit's, or its template's, or one that amends it (systemd.unit(5)).
    pub(crate) fn is_defined_by(&self, path: &Path) -> bool {
        let template = self.name.split_once('@').zip(self.name.rsplit_once('.'));
        let template = template.map(|((stem, _), (_, suffix))| format!("{stem}@.{suffix}"));
        let names = [Some(self.name.as_str()), template.as_deref()];
        let of_it =
            |file: &str| names.iter().flatten().any(|name| file == *name || file.strip_suffix(".d") == Some(*name));
        let dirs =
            ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
        dirs.iter().filter_map(|dir| path.strip_prefix(dir).ok()?.iter().next()?.to_str()).any(of_it)
    }

    /// The unit once its file has other content: it exists, and systemd has to read the file again if the unit runs.
    pub(crate) fn redefined(self, content: &[u8]) -> Self {
        if self.load == "not-found" {
            let installable = String::from_utf8_lossy(content).lines().any(|line| line.trim() == "[Install]");
            let enabled = if installable { "disabled" } else { "static" };
            return Self { load: "loaded".into(), enabled: enabled.into(), ..self };
        }
        Self { needs_reload: self.needs_reload || self.active == "active", ..self }
    }
}

pub(crate) fn user<H: Host + ?Sized>(host: &H, name: &str) -> Look<Option<User>> {
    let Some(line) = entry(host, "passwd", name)? else { return Ok(None) };
    let field: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, gecos, home, shell] = field[..] else {
        return Err(Error::Failed(format!("getent printed no passwd line: {line}")));
    };
    Ok(Some(User {
        name: name.into(),
        uid: uid.parse().ok(),
        gid: gid.parse().ok(),
        gecos: gecos.into(),
        home: home.into(),
        shell: shell.into(),
    }))
}

/// The name of an account, where it has one. The file is read first: getent(1) costs a process.
pub(crate) fn user_name<H: Host + ?Sized>(host: &H, uid: u32) -> Option<String> {
    listed(host, "/etc/passwd", uid).or_else(|| Some(host.user(&uid.to_string()).ok()??.name))
}

/// The same of a group.
pub(crate) fn group_name<H: Host + ?Sized>(host: &H, gid: u32) -> Option<String> {
    listed(host, "/etc/group", gid).or_else(|| Some(host.group(&gid.to_string()).ok()??.name))
}

/// The name in the first field of a line whose third is that number.
fn listed<H: Host + ?Sized>(host: &H, file: &str, id: u32) -> Option<String> {
    let bytes = host.read(Path::new(file)).ok()??;
    let text = String::from_utf8_lossy(&bytes);
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    };
    text.lines().find_map(name)
}

pub(crate) fn group<H: Host + ?Sized>(host: &H, name: &str) -> Look<Option<Group>> {
    let Some(line) = entry(host, "group", name)? else { return Ok(None) };
    let field: Vec<&str> = line.split(':').collect();
    let [name, _, gid, members] = field[..] else {
        return Err(Error::Failed(format!("getent printed no group line: {line}")));
    };
    let members = members.split(',').filter(|m| !m.is_empty()).map(Into::into).collect();
    Ok(Some(Group { name: name.into(), gid: gid.parse().ok(), members }))
}

pub(crate) fn memberships<H: Host + ?Sized>(host: &H, user: &str) -> Look<BTreeSet<String>> {
    let file = host.read(Path::new("/etc/group"))?.unwrap_or_default();
    let lists = |line: &str| {
        let field: Vec<&str> = line.split(':').collect();
        let [group, _, _, members] = field[..] else { return None };
        members.split(',').any(|member| member == user).then(|| group.to_owned())
    };
    Ok(String::from_utf8_lossy(&file).lines().filter_map(lists).collect())
}

/// A static binary has no NSS plugins, so `getent` is asked; its status 2 means "no such key" (getent(1)).
fn entry<H: Host + ?Sized>(host: &H, database: &str, key: &str) -> Look<Option<String>> {
    let output = host.query(&Command::new("getent", [database, "--", key]))?;
    match output.status {
        0 => Ok(Some(output.stdout.trim_end().to_owned())),
        2 => Ok(None),
        _ => Err(Error::Command { command: format!("getent {database} {key}"), output: Box::new(output) }),
    }
}

pub(crate) fn packages<H: Host + ?Sized>(host: &H, names: &[&str]) -> Look<BTreeMap<String, Package>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let format = "${Package}\\t${Architecture}\\t${db:Status-Status}\\t${Version}\\n";
    let args = ["--show", "--showformat", format, "--"].into_iter().chain(names.iter().copied());
    // Status 1: nothing known of one of the names (dpkg-query(1)).
    let output = host.query(&Command::new("dpkg-query", args))?;
    let mut installed = BTreeMap::new();
    for line in output.stdout.lines() {
        let field: Vec<&str> = line.split('\t').collect();
        let [package, architecture, "installed", version] = field[..] else { continue };
        let asked = |name: &&&str| **name == package || name.split_once(':') == Some((package, architecture));
        for name in names.iter().filter(asked) {
            let found = Package { name: (*name).into(), version: Some(version.into()) };
            installed.entry((*name).to_owned()).or_insert(found);
        }
    }
    Ok(installed)
}

pub(crate) fn unit<H: Host + ?Sized>(host: &H, name: &str) -> Look<Unit> {
    let properties = "--property=LoadState,ActiveState,UnitFileState,NeedDaemonReload";
    let command = Command::new("systemctl", ["show", properties, "--", name]);
    let output = host.query(&command)?;
    if !output.success() {
        return Err(Error::Command { command: command.to_string(), output: Box::new(output) });
    }
    let get = |key: &str| {
        let line = output.stdout.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().to_owned()
    };
    Ok(Unit {
        name: name.into(),
        load: get("LoadState"),
        active: get("ActiveState"),
        enabled: get("UnitFileState"),
        needs_reload: get("NeedDaemonReload") == "yes",
    })
}
