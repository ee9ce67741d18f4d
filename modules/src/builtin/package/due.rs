//! What there is to do.

use std::collections::BTreeMap;

use crate::facts::Package;
use crate::host::{Command, Error, Host};
use crate::param::Word;

use super::apt::last_update;
use super::wanted::Wanted;
use super::{Packages, State, Upgrade};

/// How long lists count as fresh where nothing was said: an hour, in seconds.
const FRESH: i64 = 3600;

impl Packages {
    /// What Ansible does not let stand together.
    pub(super) fn possible(&self) -> Result<(), Error> {
        let upgrade = self.upgrade != Upgrade::No;
        let given = [self.deb.is_some(), !self.name.is_empty(), upgrade];
        if given.iter().filter(|given| **given).count() > 1 {
            let error = Error::param("name", "`deb`, `name` and `upgrade` exclude each other");
            return Err(error.telling("msg", "parameters are mutually exclusive: deb|package|upgrade"));
        }
        if self.deb.is_some() && self.state != State::Present {
            return Err(
                Error::param("state", "a file can only be `present`").telling("msg", "deb only supports state=present")
            );
        }
        let all = self.name.iter().any(|Word(name)| name == "*");
        if all && (self.name.len() > 1 || self.state != State::Latest) {
            let reason = "`*` is all that is installed: it goes with `state: latest` and no other name";
            return Err(Error::param("name", reason)
                .telling("msg", "unable to install additional packages when upgrading all installed packages"));
        }
        Ok(())
    }

    /// What apt-get has to do, and with which of the packages.
    pub(super) fn due<'a>(
        &self,
        wanted: &'a [Wanted<'a>],
        installed: &BTreeMap<String, Package>,
        host: &dyn Host,
    ) -> Result<(&'static str, Vec<&'a Wanted<'a>>), Error> {
        let mut due = Vec::new();
        for wanted in wanted {
            let is_due = match (self.state, installed.get(wanted.name)) {
                (State::Absent, found) => found.is_some(),
                (State::Present | State::Fixed, Some(found)) => !wanted.accepts(found, host)?,
                (State::Latest, None) if self.only_upgrade => false,
                _ => true,
            };
            due.extend(is_due.then_some(wanted));
        }
        let verb = match self.state {
            _ if self.upgrade == Upgrade::Dist => "dist-upgrade",
            _ if self.everything() => "upgrade",
            _ if wanted.is_empty() && self.autoclean => "autoclean",
            _ if wanted.is_empty() && self.autoremove => "autoremove",
            State::Absent if self.purge => "purge",
            State::Absent => "remove",
            State::BuildDep => "build-dep",
            State::Present | State::Latest | State::Fixed => "install",
        };
        Ok((verb, due))
    }

    /// Whether the package lists have to be refreshed: see the manual of `cache_valid_time`.
    pub(super) fn update_due(&self, something_due: bool, host: &dyn Host) -> Result<bool, Error> {
        if !self.update_cache && self.cache_valid_time.is_none() {
            return Ok(false);
        }
        let valid = match (self.cache_valid_time, self.state) {
            (Some(seconds), _) => i64::from(seconds),
            (None, State::Latest) => FRESH,
            (None, _) if self.name.is_empty() => FRESH,
            (None, State::Absent) => return Ok(false),
            (None, _) => return Ok(something_due),
        };
        let Some(updated) = last_update(host)? else { return Ok(true) };
        let now = host.query(&Command::new("date", ["+%s"]))?.stdout.trim().parse::<i64>();
        let now = now.map_err(|_| Error::Failed("`date +%s` printed no number".into()))?;
        Ok(now - updated > valid)
    }
}
