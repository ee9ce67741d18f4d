//! `package`: which Debian packages are installed.

pub(super) mod apt;
mod wanted;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common;
use crate::edit::{Diff, Edit, Owner, Shown, Text};
use crate::facts::Package;
use crate::host::{Command, Error, Host, Look, Output};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

use apt::{Change, Simulated, change_edit, last_update, refused, simulate, update_edit};
use wanted::{Wanted, automatic, expand, missing, not_yet_known};

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

/// How long lists count as fresh where nothing was said: an hour, in seconds.
const FRESH: i64 = 3600;

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
            Ok(found) if nothing_due && !(update && self.state == State::Latest && !due.is_empty()) => {
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
        self.guarded(&mut plan, change_edit(command, &changes), host)?;
        plan.edits.extend(self.keep(&wanted, &installed, host)?);
        Ok(plan)
    }

    fn report(&self, applied: &Applied) -> Data {
        let outputs = &applied.outputs;
        // What is marked as wanted at the end has little to say.
        let telling = outputs.iter().rev().find(|output| !output.stdout.is_empty()).or(outputs.last());
        let Some(output) = telling else { return Data::new() };
        let mut data = said(output);
        self.told(output, &mut data);
        data
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
    /// What Ansible does not let stand together.
    fn possible(&self) -> Result<(), Error> {
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

    /// All that is installed is to be the newest.
    fn everything(&self) -> bool {
        self.upgrade != Upgrade::No || self.name.iter().any(|Word(name)| name == "*")
    }

    fn cleaning(&self) -> Plan {
        let alone = !self.converges();
        let effect = alone.then(|| Diff::new("apt's cache of archives", "state", Shown::Unknown, "empty"));
        let clean = Edit::Run {
            command: Command::new("apt-get", ["clean"]),
            effect: effect.into_iter().collect(),
            makes: Vec::new(),
            reach: crate::edit::Reach::Stated,
            progress: None,
        };
        Plan { edits: self.clean.then_some(clean).into_iter().collect(), ..Plan::default() }
    }

    /// What apt-get has to do, and with which of the packages.
    fn due<'a>(
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

    /// What is to go is among the changes, also if apt-get does not see yet that it will be there.
    fn with_named(&self, mut found: Simulated, due: &[&Wanted], installed: &BTreeMap<String, Package>) -> Simulated {
        if self.state == State::Absent {
            let named = missing(&found.changes, due, installed, &Shown::Absent);
            found.changes.extend(named);
        }
        found
    }

    /// A file with a package: the version that it has is there, or it is installed.
    fn plan_file(&self, plan: Plan, file: &str, host: &dyn Host) -> Result<Plan, Error> {
        if file.contains("://") {
            let reason = "a URL is not fetched: name a file of the host, which `get_url` can bring there";
            return Err(Error::param("deb", reason));
        }
        let show = Command::new("dpkg-deb", ["--show", "--showformat=${Package}\\t${Version}", "--", file]);
        let output = host.query(&show)?;
        let Some((name, version)) = output.stdout.split_once('\t').filter(|_| output.success()) else {
            let msg = format!("Unable to install package: {}", output.stderr.trim());
            return Err(Error::Command { command: show.to_string(), output: Box::new(output) }.telling("msg", msg));
        };
        let there = host.packages(&[name])?.get(name).and_then(|package| package.version.clone());
        if there.as_deref() == Some(version) {
            let nothing = said(&Output::default());
            return Ok(Plan { data: nothing, ..plan });
        }
        let mut asked = file.to_owned();
        if !asked.contains('/') {
            asked.insert_str(0, "./");
        }
        let mut command = self.apt_get("install", std::iter::once(asked.as_str()));
        let mut changes = match simulate(&command, host)? {
            Ok(found) => found.changes,
            Err(output) => return Err(refused(&command, &[], output)),
        };
        if changes.iter().all(|change| change.name != name) {
            let before = there.map_or(Shown::Absent, Shown::Plain);
            changes.push(Change { name: name.into(), before, after: version.into() });
        }
        if changes.iter().all(|change| change.name == name) {
            // Nothing comes along: dpkg is enough, as in Ansible.
            let options = self.dpkg_options().map(|option| format!("--{option}"));
            command.program = "dpkg".into();
            command.args = options.chain(["--install".into(), "--".into(), asked]).collect();
        }
        let mut plan = plan;
        self.guarded(&mut plan, change_edit(command, &changes), host)?;
        Ok(plan)
    }

    /// With `policy_rc_d`, the script that packages' scripts ask is there meanwhile, and nothing stays of it.
    fn guarded(&self, plan: &mut Plan, edit: Edit, host: &dyn Host) -> Result<(), Error> {
        let Some(code) = self.policy_rc_d else {
            plan.edits.push(edit);
            return Ok(());
        };
        let path = std::path::PathBuf::from("/usr/sbin/policy-rc.d");
        let before = host.read(&path)?.map(Text::plain);
        let mode = host.stat(&path)?.map(|stat| stat.mode);
        let ours = Text::plain(format!("#!/bin/sh\nexit {code}\n"));
        let write = |before: Option<Text>, after: Text, mode| Edit::Write {
            path: path.clone(),
            before,
            after,
            mode,
            owner: Owner::default(),
        };
        plan.edits.push(write(before.clone(), ours.clone(), Some(0o755)));
        plan.edits.push(edit);
        plan.edits.push(match before {
            Some(before) => write(Some(ours), before, mode),
            None => Edit::Remove { path, before: crate::host::Kind::File },
        });
        plan.all_or_nothing = true;
        Ok(())
    }

    /// What is asked for by name came not for another's sake: it stays when that goes. Ansible tells apt so, too.
    fn keep(
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
        Ok((!names.is_empty()).then(|| Edit::Run {
            command: Command::new("apt-mark", ["manual".to_owned(), "--".into()].into_iter().chain(names)),
            effect: Vec::new(),
            makes: Vec::new(),
            reach: crate::edit::Reach::Stated,
            progress: None,
        }))
    }

    /// Ansible says what apt-get says in `msg` as well, where no package is named.
    fn told(&self, output: &Output, data: &mut Data) {
        if self.everything() || !self.converges() {
            data.insert("msg".into(), json!(output.stdout));
        }
    }

    /// Whether the package lists have to be refreshed: see the manual of `cache_valid_time`.
    fn update_due(&self, something_due: bool, host: &dyn Host) -> Result<bool, Error> {
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

    fn dpkg_options(&self) -> impl Iterator<Item = &str> {
        self.dpkg_options.0.split(',').map(str::trim).filter(|option| !option.is_empty())
    }

    fn apt_get<'a>(&self, verb: &'a str, names: impl Iterator<Item = &'a str>) -> Command {
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

/// What apt-get has said.
fn said(output: &Output) -> Data {
    let lines = |text: &str| json!(common::lines(text));
    Data::from_iter([
        ("stdout".to_owned(), json!(output.stdout)),
        ("stdout_lines".to_owned(), lines(&output.stdout)),
        ("stderr".to_owned(), json!(output.stderr)),
        ("stderr_lines".to_owned(), lines(&output.stderr)),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::builtin;
    use crate::edit::{Edit, Reach};
    use crate::facts::Fact;
    use crate::fake::Fake;
    use crate::interpret;

    const QUERY: &str =
        r"dpkg-query --show --showformat '${Package}\t${Architecture}\t${db:Status-Status}\t${Version}\n' --";
    const FLAGS: &str = "--yes --option=DPkg::Lock::Timeout=120 \
                         --option=Dpkg::Options::=--force-confdef --option=Dpkg::Options::=--force-confold";
    const UPDATE: &str = "apt-get --quiet --option=APT::Update::Error-Mode=any --option=DPkg::Lock::Timeout=120 \
                          '--option=APT::Update::Post-Invoke-Success::=touch /var/lib/apt/periodic/update-success-stamp' update";
    const INST: &str = "Reading state information...\nInst nginx-common (1.22 Debian:12/stable [all])\n\
                        Inst nginx [1.18] (1.22 Debian:12/stable [amd64]) []\nConf nginx (1.22 Debian:12/stable [amd64])\n";

    fn plan(params: Value, host: &Fake) -> Result<Plan, Error> {
        builtin::find("apt").unwrap().load(params).unwrap().plan(host)
    }

    fn host(query: &str, dpkg: &str) -> Fake {
        Fake::new().answer(&format!("{QUERY} {query}"), 0, dpkg)
    }

    fn shown(plan: &Plan) -> String {
        let show = |edit: &Edit| {
            let Edit::Run { command, .. } = edit else { panic!("only commands are planned") };
            let command = command.to_string().replace(FLAGS, "FLAGS").replace(UPDATE, "UPDATE");
            let diffs = edit.diffs();
            let diffs = diffs.iter().map(|diff| format!("  {} {:?} -> {:?}", diff.subject, diff.before, diff.after));
            std::iter::once(command).chain(diffs).collect::<Vec<_>>().join("\n")
        };
        plan.edits.iter().map(show).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_comes_along_is_shown() {
        let host = host("nginx", "").answer(
            &format!("apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} install -- nginx"),
            0,
            INST,
        );
        insta::assert_snapshot!(shown(&plan(json!({"name": "nginx"}), &host).unwrap()), @r#"
        apt-get FLAGS install -- nginx
          package nginx-common Absent -> Plain("1.22")
          package nginx Plain("1.18") -> Plain("1.22")
        "#);
    }

    #[test]
    fn what_comes_along_is_stated_too() {
        let simulation = format!("apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} install -- nginx");
        let plan = plan(json!({"name": "nginx"}), &host("nginx", "").answer(&simulation, 0, INST)).unwrap();
        let [Edit::Run { makes, reach, .. }] = &plan.edits[..] else { panic!("{plan:?}") };
        let package = |name: &str| Fact::Package(Package { name: name.into(), version: Some("1.22".into()) });
        assert_eq!(makes[..], [package("nginx-common"), package("nginx")]);
        // Its scripts may do anything.
        assert_eq!(*reach, Reach::Anything);
    }

    #[test]
    fn versions_are_not_known_before_the_lists_are_refreshed() {
        let simulation = format!(
            "apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} --no-install-recommends install -- nginx 'tool=2.*'"
        );
        let params = json!({"name": ["nginx", "tool=2.*"], "update_cache": true, "install_recommends": false});
        let host = host("nginx tool", "tool\tamd64\tinstalled\t1.0\n");
        let lacks = host.clone().answer(&simulation, 100, "E: Unable to locate package nginx");
        insta::assert_snapshot!(shown(&plan(params.clone(), &lacks).unwrap()), @r#"
        UPDATE
          package lists Plain("outdated") -> Plain("refreshed")
        apt-get FLAGS --no-install-recommends install -- nginx 'tool=2.*'
          package nginx Absent -> Unknown
          package tool Plain("1.0") -> Unknown
        "#);
        let knows = host.answer(&simulation, 0, INST);
        insta::assert_snapshot!(shown(&plan(params, &knows).unwrap()), @r#"
        UPDATE
          package lists Plain("outdated") -> Plain("refreshed")
        apt-get FLAGS --no-install-recommends install -- nginx 'tool=2.*'
          package nginx-common Absent -> Unknown
          package nginx Plain("1.18") -> Unknown
          package tool Plain("1.0") -> Unknown
        "#);
    }

    #[test]
    fn nothing_is_done_twice() {
        let simulation = format!("apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} install -- a");
        let table = [
            (json!({"name": "a", "update_cache": true}), "provided by another: see the simulation"),
            (json!({"name": "a"}), "a\tamd64\tinstalled\t1.0\n"),
            (json!({"name": "a=1.0", "update_cache": true}), "a\tamd64\tinstalled\t1.0\n"),
            (json!({"name": "a=1.*"}), "a\tamd64\tinstalled\t1.0\n"),
            (json!({"name": "a", "state": "absent", "update_cache": true}), ""),
            (json!({"name": "a", "state": "removed"}), "a\tamd64\tconfig-files\t1.0\n"),
        ];
        for (params, dpkg) in table {
            let plan = plan(params.clone(), &host("a", dpkg).answer(&simulation, 0, "")).unwrap();
            assert!(plan.is_empty(), "{params}: {}", shown(&plan));
        }
    }

    #[test]
    fn lists_are_refreshed_once_they_are_old() {
        let with_lists = || host("a", "a\tamd64\tinstalled\t1.0\n").file("/var/lib/apt/lists/x_InRelease", "", 0o644);
        let table = [
            (json!({"update_cache": true}), "3600", false),
            (json!({"update_cache": true}), "3601", true),
            (json!({"name": "a", "cache_valid_time": 60}), "60", false),
            (json!({"name": "a", "cache_valid_time": 60}), "61", true),
        ];
        for (params, now, wanted) in table {
            let plan = plan(params.clone(), &with_lists().answer("date +%s", 0, now)).unwrap();
            assert_eq!(!plan.is_empty(), wanted, "{params} at {now}");
        }
        let bare = plan(json!({"update_cache": true}), &Fake::new()).unwrap();
        assert_eq!(shown(&bare), "UPDATE\n  package lists Plain(\"outdated\") -> Plain(\"refreshed\")");
    }

    #[test]
    fn removing_converges() {
        let remove = format!("apt-get {FLAGS} --auto-remove purge -- a");
        let mut host = host("a", "a\tamd64\tinstalled\t1.0\n")
            .answer(
                &format!("apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} --auto-remove purge -- a"),
                0,
                "Purg a [1.0]\nPurg b [2.0]\n",
            )
            .effect(&remove, |host| host.set_answer(&format!("{QUERY} a"), 1, "no packages found"));
        let params = json!({"name": "a", "state": "absent", "purge": true, "autoremove": true});
        let first = plan(params.clone(), &host).unwrap();
        insta::assert_snapshot!(shown(&first), @r#"
        apt-get FLAGS --auto-remove purge -- a
          package a Plain("1.0") -> Absent
          package b Plain("2.0") -> Absent
        "#);
        interpret::apply(&first, &mut host, &mut |_| {}).unwrap();
        assert!(plan(params, &host).unwrap().is_empty());
    }

    #[test]
    fn an_unknown_package_is_named() {
        let simulation = format!("apt-get --simulate --option=Dir::Log::Planner=/dev/null {FLAGS} install -- ngnix");
        let host = host("ngnix", "").answer(&simulation, 100, "E: Unable to locate package ngnix");
        let error = plan(json!({"name": "ngnix"}), &host).unwrap_err();
        assert_eq!(error.to_string(), "package ngnix: apt knows no package of that name");
        let error = plan(json!({"name": "a"}), &Fake::new()).unwrap_err();
        assert_eq!(error.to_string(), "this host has no dpkg-query: `package` knows Debian only");
    }
}
