//! The command lines of apt-get and apt-mark.

use std::collections::BTreeMap;

use crate::edit::{Edit, Reach};
use crate::facts::Package;
use crate::host::{Command, Error, Host};
use crate::param::Word;

use super::wanted::{Wanted, automatic};
use super::{Packages, State};

impl Packages {
    /// What is asked for by name came not for another's sake: it stays when that goes. Ansible tells apt so, too.
    pub(super) fn keep(
        &self,
        wanted: &[Wanted],
        installed: &BTreeMap<String, Package>,
        host: &dyn Host,
    ) -> Result<Option<Edit>, Error> {
        if !matches!(self.state, State::Present | State::Latest | State::Fixed) {
            return Ok(None);
        }
        let there = wanted.iter().map(|wanted| wanted.name).filter(|name| installed.contains_key(*name));
        let names = automatic(there, host)?;
        let command = |names| Command::new("apt-mark", ["manual".to_owned(), "--".into()].into_iter().chain(names));
        Ok((!names.is_empty()).then(|| Edit::run(command(names), Vec::new(), Reach::Stated)))
    }

    pub(super) fn dpkg_options(&self) -> impl Iterator<Item = &str> {
        self.dpkg_options.0.split(',').map(str::trim).filter(|option| !option.is_empty())
    }

    pub(super) fn apt_get<'a>(&self, verb: &'a str, names: impl Iterator<Item = &'a str>) -> Command {
        // Another apt at work, such as unattended upgrades, is waited for.
        let lock = format!("--option=DPkg::Lock::Timeout={}", self.lock_timeout);
        let mut args = vec!["--yes".to_owned(), lock];
        args.extend(self.dpkg_options().map(|option| format!("--option=Dpkg::Options::=--{option}")));
        args.extend(self.default_release.as_ref().map(|Word(release)| format!("--target-release={release}")));
        let flags = [
            (self.install_recommends == Some(true), "--install-recommends"),
            (self.install_recommends == Some(false), "--no-install-recommends"),
            (self.allow_downgrade, "--allow-downgrades"),
            (self.only_upgrade, "--only-upgrade"),
            (self.allow_unauthenticated, "--allow-unauthenticated"),
            (self.allow_change_held_packages, "--allow-change-held-packages"),
            (self.autoremove && !["autoclean", "autoremove"].contains(&verb), "--auto-remove"),
            (self.purge && verb == "autoremove", "--purge"),
            (self.fail_on_autoremove, "--no-remove"),
            (self.state == State::Fixed, "--fix-broken"),
            (self.force, "--force-yes"),
            // Without aptitude, what is new and needed comes along (Ansible's `use_apt_get`).
            (verb == "upgrade", "--with-new-pkgs"),
        ];
        let flags = flags.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag);
        args.extend(flags.chain([verb, "--"]).chain(names).map(str::to_owned));
        Command::new("apt-get", args).env("DEBIAN_FRONTEND", "noninteractive")
    }
}
