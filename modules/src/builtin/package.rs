//! `package`: which Debian packages are installed.

pub(super) mod apt;
mod command;
mod deb;
mod due;
mod policy;
mod wanted;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common::said;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::facts::Package;
use crate::host::{Command, Error, Host, Look, Output};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

use apt::{Simulated, change_edit, fetched_lists, last_update, refused, simulate, update_edit};
use wanted::{Wanted, expand, missing, not_yet_known};

/// Debian packages: installed, up to date, or gone; and the lists of what there is.
///
/// The packages that come along as dependencies are shown beforehand, as apt-get's simulation tells them. Where the
/// package lists have to be refreshed first, versions are not known before that.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Packages {
    /// Names; one may have a version (`nginx=1.22.1-9`, or with a wildcard, `nginx=1.22*`, or `nginx>=1.22`) or an
    /// architecture (`libc6:i386`), or be a pattern (`php8.2-*`). `*` with `state: latest` is all that is installed.
    #[serde(default)]
    #[schemars(extend("aliases" = ["pkg", "package"]))]
    name: Vec<Word>,
    /// Whether they are installed.
    #[serde(default)]
    #[schemars(extend("listed" = ["absent", "build-dep", "fixed", "latest", "present"]))]
    state: State,
    /// Refresh the package lists first: when something is to be installed, or when they are older than `cache_valid_time`.
    #[serde(default)]
    #[schemars(extend("aliases" = ["update-cache"]))]
    update_cache: bool,
    /// Seconds for which the package lists count as fresh; giving it implies `update_cache`. Without it they are always
    /// refreshed before an installation, and after an hour for `state: latest` and where no package is named.
    cache_valid_time: Option<u32>,
    /// Whether recommended packages come along. As the host is configured, if not given.
    #[schemars(extend("aliases" = ["install-recommends"]))]
    install_recommends: Option<bool>,
    /// A package named with a version may replace a newer one.
    #[serde(default)]
    #[schemars(extend("aliases" = ["allow-downgrade", "allow_downgrades", "allow-downgrades"]))]
    allow_downgrade: bool,
    /// With `state: absent`, remove configuration files too.
    #[serde(default)]
    purge: bool,
    /// Also remove packages that came as dependencies and are no longer needed.
    #[serde(default)]
    autoremove: bool,
    /// Remove from apt's cache the archives that can't be downloaded any more. Without `name`.
    #[serde(default)]
    autoclean: bool,
    /// Remove all archives from apt's cache: always.
    #[serde(default)]
    clean: bool,
    /// Rather fail than remove a package for the sake of another.
    #[serde(default)]
    fail_on_autoremove: bool,
    /// A file with a package, on the host; what it depends on comes along.
    deb: Option<Word>,
    /// Take what nobody has signed, and do what breaks others, too: as apt-get's `--force-yes`, which it warns of.
    #[serde(default)]
    force: bool,
    /// What `policy-rc.d` answers packages' scripts that want to start a service meanwhile: 101 keeps them from it.
    policy_rc_d: Option<i32>,
    /// Bring all that is installed up to date. Without `name`.
    #[serde(default)]
    upgrade: Upgrade,
    /// Which release packages are taken from, such as `bookworm-backports`.
    #[schemars(extend("aliases" = ["default-release"]))]
    default_release: Option<Word>,
    /// Install nothing that is not installed yet.
    #[serde(default)]
    only_upgrade: bool,
    /// Install packages that nobody has signed.
    #[serde(default)]
    #[schemars(extend("aliases" = ["allow-unauthenticated"]))]
    allow_unauthenticated: bool,
    /// Change packages that are on hold, too.
    #[serde(default)]
    allow_change_held_packages: bool,
    /// Seconds to wait for another apt at work.
    #[serde(default = "lock_timeout")]
    lock_timeout: u32,
    /// What dpkg is told of configuration files that were changed here.
    #[serde(default = "dpkg_options")]
    dpkg_options: Word,
    /// Taken for Ansible's sake: it is always apt-get that is used.
    #[serde(default)]
    #[expect(dead_code, reason = "there is nothing to choose")]
    force_apt_get: bool,
    /// Taken for Ansible's sake: the package manager is the host's.
    #[serde(rename = "use")]
    #[expect(dead_code, reason = "there is nothing to choose")]
    manager: Option<String>,
    /// Taken for Ansible's sake: apt-get tries again by itself.
    #[expect(dead_code, reason = "apt-get does it")]
    update_cache_retries: Option<u32>,
    /// See `update_cache_retries`.
    #[expect(dead_code, reason = "apt-get does it")]
    update_cache_retry_max_delay: Option<u32>,
    /// Taken for Ansible's sake: no library is needed here.
    #[serde(default = "super::common::yes")]
    #[expect(dead_code, reason = "there is nothing to install")]
    auto_install_module_deps: bool,
}

fn lock_timeout() -> u32 {
    120
}

fn dpkg_options() -> Word {
    Word("force-confdef,force-confold".into())
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Upgrade {
    /// Only what is named.
    #[default]
    No,
    /// All, but nothing new and nothing away. Also `safe`.
    #[serde(alias = "safe")]
    #[schemars(extend("enum" = ["yes", "safe"]))]
    Yes,
    /// All, with what that needs. Also `full`.
    #[serde(alias = "full")]
    #[schemars(extend("enum" = ["dist", "full"]))]
    Dist,
}

/// What apt-get does with no package named.
const WHOLE: [&str; 4] = ["autoclean", "autoremove", "upgrade", "dist-upgrade"];

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Installed, in any version or the one given. Also `installed`.
    #[default]
    #[serde(alias = "installed")]
    #[schemars(extend("enum" = ["present", "installed"]))]
    Present,
    /// Installed, in the newest version that the lists know.
    Latest,
    /// Not installed. Also `removed`.
    #[serde(alias = "removed")]
    #[schemars(extend("enum" = ["absent", "removed"]))]
    Absent,
    /// What it is built from is installed.
    #[serde(rename = "build-dep")]
    BuildDep,
    /// Installed, and what is broken is mended.
    Fixed,
}

impl Module for Packages {
    const NAME: &'static str = "package";
    const ALIASES: &'static [&'static str] = &["apt"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.possible()?;
        let plan = self.cleaning();
        if let Some(Word(file)) = &self.deb {
            return self.plan_file(plan, file, host);
        }
        let names = expand(self.name.iter().map(|Word(name)| name.trim()).filter(|name| *name != "*"), host)?;
        let wanted: Vec<Wanted> = names.iter().map(|name| Wanted::parse(name)).collect();
        let plain: Vec<&str> = wanted.iter().map(|wanted| wanted.name).collect();
        let installed = host.packages(&plain).map_err(|error| match error {
            Error::Program { .. } => {
                Error::Unsupported("this host has no dpkg-query: `package` knows Debian only".into())
            }
            other => other,
        })?;
        let (verb, due) = self.due(&wanted, &installed, host)?;
        let command = self.apt_get(verb, due.iter().map(|wanted| wanted.asked()));
        let found = match due.is_empty() && !WHOLE.contains(&verb) {
            true => Ok(Simulated::default()),
            false => simulate(&command, host)?.map(|found| self.with_named(found, &due, &installed)),
        };
        // Such as a virtual package that an installed one provides.
        let nothing_due = matches!(&found, Ok(found) if found.changes.is_empty());
        let update = self.update_due(!nothing_due, host)?;
        let mut plan = plan.returning("cache_updated", update);
        if update {
            plan.edits.push(update_edit());
        }
        let changes = match found {
            // Newer versions may be in the lists then.
            Ok(found) if nothing_due && !(update && self.asks_for_newer(&due)) => {
                if WHOLE.contains(&verb) {
                    plan.data.extend(said(&found.output));
                    self.told(&found.output, &mut plan.data);
                }
                plan.edits.extend(self.keep(&wanted, &installed, host)?);
                return Ok(plan);
            }
            Ok(found) if update => not_yet_known(found.changes, &due, &installed),
            Ok(found) => {
                plan.data.extend(said(&found.output));
                self.told(&found.output, &mut plan.data);
                found.changes
            }
            // Lists that are missing or old may not know them yet.
            Err(_) if update => not_yet_known(Vec::new(), &due, &installed),
            Err(output) => return Err(refused(&command, &due, output)),
        };
        let mut edit = change_edit(command, &changes);
        if let (true, Edit::Run { effect, .. }) = (changes.is_empty(), &mut edit) {
            effect.push(Diff::new("packages", "version", Shown::Unknown, Shown::Unknown));
        }
        self.guarded(&mut plan, edit, host)?;
        plan.edits.extend(self.keep(&wanted, &installed, host)?);
        Ok(plan)
    }

    fn report(&self, applied: &Applied) -> Data {
        let outputs = &applied.outputs;
        // What is marked as wanted at the end has little to say.
        let last = outputs.iter().rev().find(|output| !output.stdout.is_empty()).or(outputs.last());
        let mut data = match outputs.iter().find(|output| apt::summary(output).is_some()).or(last) {
            Some(_) if self.was_idle(applied) && !self.everything() => Data::new(),
            Some(output) => {
                let mut data = said(output);
                self.told(output, &mut data);
                data
            }
            None => return Data::new(),
        };
        let updated = outputs.iter().find_map(fetched_lists);
        data.extend(updated.map(|updated| ("cache_updated".to_owned(), updated.into())));
        data
    }

    /// Lists that are as new as before are no change, if nothing else was to be done; and where newer packages were looked for,
    /// the lists are none by themselves.
    fn verdict(&self, applied: &Applied) -> Result<bool, Error> {
        if self.was_idle(applied) {
            return Ok(false);
        }
        let more = self.everything() || self.autoremove || self.autoclean || self.clean || self.deb.is_some();
        let alone = self.name.is_empty() && !more;
        Ok(!alone || applied.outputs.iter().find_map(fetched_lists).unwrap_or(true))
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        let updated = last_update(host)?.unwrap_or_default();
        Ok(Data::from_iter([("cache_update_time".to_owned(), json!(updated))]))
    }

    fn converges(&self) -> bool {
        !(self.clean && self.name.is_empty() && self.deb.is_none() && self.upgrade == Upgrade::No)
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Absent { Shown::Absent } else { Shown::Unknown };
        let show = |Word(name): &Word| {
            Diff::new(format!("package {}", Wanted::parse(name).name), "version", Shown::Unknown, after.clone())
        };
        let mut diffs: Vec<Diff> = self.name.iter().map(show).collect();
        if self.name.is_empty() && self.upgrade != Upgrade::No {
            diffs.push(Diff::new("packages", "version", Shown::Unknown, Shown::Unknown));
        } else if self.name.is_empty() && self.autoremove {
            diffs.push(Diff::new("packages no longer needed", "state", Shown::Unknown, Shown::Absent));
        } else if self.name.is_empty() {
            diffs.push(Diff::new("package lists", "state", Shown::Unknown, "refreshed"));
        }
        diffs
    }
}

impl Packages {
    /// All that is installed is to be the newest.
    fn everything(&self) -> bool {
        self.upgrade != Upgrade::No || self.name.iter().any(|Word(name)| name == "*")
    }

    /// What is the newest is known only with lists that are.
    fn asks_for_newer(&self, due: &[&Wanted]) -> bool {
        self.everything() || self.state == State::Latest && !due.is_empty()
    }

    /// It has looked for newer packages and found none.
    fn was_idle(&self, applied: &Applied) -> bool {
        let looked = self.everything() || self.state == State::Latest;
        looked && applied.outputs.iter().find_map(apt::summary).is_some_and(|line| line.starts_with(apt::IDLE))
    }

    fn cleaning(&self) -> Plan {
        let alone = !self.converges();
        let effect = alone.then(|| Diff::new("apt's cache of archives", "state", Shown::Unknown, "empty"));
        let clean = Edit::run(Command::new("apt-get", ["clean"]), effect.into_iter().collect(), Reach::Stated);
        Plan { edits: self.clean.then_some(clean).into_iter().collect(), ..Plan::default() }
    }

    /// What is to go is among the changes, also if apt-get does not see yet that it will be there.
    fn with_named(&self, mut found: Simulated, due: &[&Wanted], installed: &BTreeMap<String, Package>) -> Simulated {
        if self.state == State::Absent {
            let named = missing(&found.changes, due, installed, &Shown::Absent);
            found.changes.extend(named);
        }
        found
    }

    /// Ansible says what apt-get says in `msg` as well, where no package is named.
    fn told(&self, output: &Output, data: &mut Data) {
        if self.everything() || !self.converges() {
            data.insert("msg".into(), json!(output.stdout));
        }
    }
}

#[cfg(test)]
mod tests;
