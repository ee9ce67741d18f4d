//! `filesystem`: what a device is formatted with.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// A filesystem on a device, or none. A device that has another one is left alone, unless `force` says that it may be lost.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filesystem {
    /// The device, or a file that stands for one.
    #[schemars(extend("aliases" = ["device"]))]
    dev: PathBuf,
    /// Which one.
    #[schemars(extend("aliases" = ["type"]))]
    fstype: Option<Kind>,
    /// Whether there is one.
    #[serde(default)]
    state: State,
    /// Options for the program that makes it.
    opts: Option<Word>,
    /// Whether what is on the device may be lost.
    #[serde(default)]
    force: bool,
    /// Whether it grows to the size of the device.
    #[serde(default)]
    resizefs: bool,
    /// The identifier that a new one has.
    uuid: Option<Word>,
    /// The name that a new one has.
    label: Option<Word>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// btrfs.
    Btrfs,
    /// ext2.
    Ext2,
    /// ext3.
    Ext3,
    /// ext4.
    Ext4,
    /// The same.
    Ext4dev,
    /// f2fs.
    F2fs,
    /// A physical volume of LVM.
    Lvm,
    /// Swap space.
    Swap,
    /// FAT.
    Vfat,
    /// XFS.
    Xfs,
}

impl Module for Filesystem {
    const NAME: &'static str = "filesystem";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let dev = self.dev.display().to_string();
        let (device, now) = common::resolve(host, &self.dev)?;
        let Some(now) = now else {
            let msg = format!("Device {dev} not found.");
            if self.state == State::Absent {
                return Ok(Plan::nothing().returning("msg", msg));
            }
            return Err(Error::path("format", &self.dev, "there is no such device").telling("msg", msg));
        };
        let probe = Command::new("blkid", ["-c", "/dev/null", "-o", "value", "-s", "TYPE", &dev]);
        let has = host.query(&probe)?.stdout.trim().to_owned();
        let diff = |after: Shown| {
            let before = if has.is_empty() { Shown::Absent } else { has.as_str().into() };
            Diff::new(dev.as_str(), "filesystem", before, after)
        };
        if self.state == State::Absent {
            if has.is_empty() {
                return Ok(Plan::nothing());
            }
            let wipe = Command::new("wipefs", ["--all", &dev]);
            return Ok(Plan::nothing().with(Edit::run(wipe, vec![diff(Shown::Absent)], Reach::Stated)));
        }
        let Some(kind) = self.fstype else {
            let error = Error::param("fstype", "is missing: which filesystem?");
            return Err(error.telling("msg", "state is present but all of the following are missing: fstype"));
        };
        let same = kind.is(&has);
        if same && self.resizefs {
            return self.grown(host, kind, &device, now.is_file());
        }
        if same && !self.force && self.uuid.is_none() {
            return Ok(Plan::nothing());
        }
        if same && self.uuid.is_some() && !self.force {
            let reason = "it has a filesystem already, whose identifier is not changed";
            return Err(Error::refused(dev, reason, "leave out `uuid`, or say `force: true` to lose what is on it"));
        }
        if !has.is_empty() && !self.force {
            let msg = format!("'{dev}' is already used as {has}, use force=true to overwrite");
            let error = Error::refused(dev.as_str(), format!("it is used as {has}"), "say `force: true` to lose that");
            return Err(error.telling("msg", msg).telling("rc", 0).telling("err", ""));
        }
        let make = self.making(kind, &dev)?;
        Ok(Plan::nothing().with(Edit::run(make, vec![diff(kind.word().into())], Reach::Stated)))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = self.fstype.filter(|_| self.state == State::Present).map(Kind::word);
        vec![Diff::new(self.dev.display().to_string(), "filesystem", Shown::Unknown, after)]
    }

    fn report(&self, applied: &Applied) -> Data {
        let said = applied.outputs.last().filter(|_| self.resizefs).map(|output| output.stdout.as_str());
        said.map(|said| ("msg".to_owned(), said.into())).into_iter().collect()
    }

    /// What is made by force is made each time; whether a filesystem has grown, its own programs tell only then.
    fn converges(&self) -> bool {
        !self.force && !self.resizefs
    }
}

impl Filesystem {
    fn making(&self, kind: Kind, dev: &str) -> Result<Command, Error> {
        let (program, force, uuid, label): (&str, &[&str], &str, &str) = match kind {
            Kind::Ext2 => ("mkfs.ext2", &["-F"], "-U", "-L"),
            Kind::Ext3 => ("mkfs.ext3", &["-F"], "-U", "-L"),
            Kind::Ext4 | Kind::Ext4dev => ("mkfs.ext4", &["-F"], "-U", "-L"),
            Kind::Xfs => ("mkfs.xfs", &["-f"], "-m", "-L"),
            Kind::Btrfs => ("mkfs.btrfs", &["-f"], "-U", "-L"),
            Kind::F2fs => ("mkfs.f2fs", &["-f"], "", "-l"),
            Kind::Vfat => ("mkfs.vfat", &[], "", "-n"),
            Kind::Swap => ("mkswap", &["-f"], "-U", "-L"),
            Kind::Lvm => ("pvcreate", &["-f"], "--uuid", ""),
        };
        let none = |param: &str| Err(Error::param(param, format!("{} takes none", kind.word())));
        let mut args: Vec<String> = Vec::new();
        if self.force {
            args.extend(force.iter().map(|flag| (*flag).to_owned()));
        }
        match &self.uuid {
            Some(_) if uuid.is_empty() => return none("uuid"),
            Some(Word(value)) if kind == Kind::Xfs => args.extend([uuid.into(), format!("uuid={value}")]),
            Some(Word(value)) => args.extend([uuid.into(), value.clone()]),
            None => {}
        }
        match &self.label {
            Some(_) if label.is_empty() => return none("label"),
            Some(Word(value)) => args.extend([label.into(), value.clone()]),
            None => {}
        }
        let opts = self.opts.as_ref().map_or("", |Word(opts)| opts.as_str());
        args.extend(opts.split_whitespace().map(str::to_owned));
        args.push(dev.to_owned());
        Ok(Command::new(program, args))
    }

    /// It grows if the device is larger, where the filesystem's own programs tell how large it is.
    fn grown(&self, host: &dyn Host, kind: Kind, dev: &Path, is_file: bool) -> Result<Plan, Error> {
        let path = dev.display().to_string();
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let size = match is_file {
            true => host.stat(dev)?.map(|stat| stat.size),
            false => number(&common::asked(host, &Command::new("blockdev", ["--getsize64", &path]))?),
        };
        let (has, grow) = match kind {
            Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Ext4dev => {
                let told = common::asked(host, &Command::new("tune2fs", ["-l", &path]))?;
                let field = |name: &str| {
                    let line = told.lines().find_map(|line| line.strip_prefix(name))?;
                    number(line.trim_start_matches(':'))
                };
                let has = field("Block count").zip(field("Block size")).map(|(count, size)| (count * size, size));
                (has, Command::new("resize2fs", [&path]))
            }
            Kind::Xfs | Kind::Btrfs => {
                let place =
                    common::asked(host, &Command::new("findmnt", ["-no", "TARGET", &path])).map_err(|error| {
                        error.telling("msg", format!("{path} needs to be mounted for {} operations", kind.word()))
                    })?;
                let place = place.lines().next().unwrap_or_default().trim();
                let grow = match kind {
                    Kind::Xfs => Command::new("xfs_growfs", [place]),
                    _ => Command::new("btrfs", ["filesystem", "resize", "max", place]),
                };
                (None, grow)
            }
            Kind::Lvm => {
                let ask = ["--noheadings", "--nosuffix", "--units", "b", "-o", "pv_size", &path];
                let has = number(&common::asked(host, &Command::new("pvs", ask))?).map(|size| (size, 4 << 20));
                (has, Command::new("pvresize", [&path]))
            }
            Kind::F2fs | Kind::Swap | Kind::Vfat => {
                let error = Error::param("resizefs", format!("{} is not known to grow", kind.word()));
                let msg = format!("module does not support resizing {} filesystem yet.", kind.word());
                return Err(error.telling("msg", msg));
            }
        };
        if let (Some((has, unit)), Some(size)) = (has, size)
            && size < has.saturating_add(unit)
        {
            return Ok(Plan::nothing());
        }
        let shown = |size: Option<u64>| size.map_or(Shown::Unknown, |size| format!("{size} B").into());
        let diff = Diff::new(path, "size of the filesystem", shown(has.map(|(has, _)| has)), shown(size));
        Ok(Plan::nothing().with(Edit::run(grow, vec![diff], Reach::Stated)))
    }
}

impl Kind {
    /// As blkid(8) calls it.
    fn word(self) -> &'static str {
        match self {
            Self::Btrfs => "btrfs",
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 | Self::Ext4dev => "ext4",
            Self::F2fs => "f2fs",
            Self::Lvm => "LVM2_member",
            Self::Swap => "swap",
            Self::Vfat => "vfat",
            Self::Xfs => "xfs",
        }
    }

    fn is(self, has: &str) -> bool {
        has == self.word() || (self.word() == "ext4" && has == "ext4dev")
    }
}
