//! `package`: which Debian packages are installed.

pub(super) mod apt;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::edit::{Diff, Shown};
use crate::facts::Package;
use crate::host::{Command, Error, Host, Look};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

use apt::{Change, change_edit, last_update, refused, simulate, update_edit};

/// Debian packages: installed, up to date, or gone; and the lists of what there is.
///
/// The packages that come along as dependencies are shown beforehand, as apt-get's simulation tells them. Where the
/// package lists have to be refreshed first, versions are not known before that.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Packages {
    /// Names; one may have a version (`nginx=1.22.1-9`, or with a wildcard, `nginx=1.22*`) or an architecture (`libc6:i386`).
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
const WHOLE: [&str; 3] = ["autoremove", "upgrade", "dist-upgrade"];

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
}

/// How long lists count as fresh where nothing was said: an hour, in seconds.
const FRESH: i64 = 3600;

impl Module for Packages {
    const NAME: &'static str = "package";
    const ALIASES: &'static [&'static str] = &["apt"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let wanted: Vec<Wanted> = self.name.iter().map(|Word(name)| Wanted::parse(name)).collect();
        let names: Vec<&str> = wanted.iter().map(|wanted| wanted.name).collect();
        let installed = host.packages(&names).map_err(|error| match error {
            Error::Program { .. } => {
                Error::Unsupported("this host has no dpkg-query: `package` knows Debian only".into())
            }
            other => other,
        })?;
        let (verb, due) = self.due(&wanted, &installed);
        let command = self.apt_get(verb, due.iter().map(|wanted| wanted.typed));
        let changes = match due.is_empty() && !WHOLE.contains(&verb) {
            true => Ok(Vec::new()),
            false => simulate(&command, host)?.map(|changes| self.with_named(changes, &due, &installed)),
        };
        // Such as a virtual package that an installed one provides.
        let nothing_due = matches!(&changes, Ok(changes) if changes.is_empty());
        let update = self.update_due(!nothing_due, host)?;
        let mut plan = Plan::nothing().returning("cache_updated", update);
        if update {
            plan.edits.push(update_edit());
        }
        let changes = match changes {
            // Newer versions may be in the lists then.
            Ok(_) if nothing_due && !(update && self.state == State::Latest && !due.is_empty()) => return Ok(plan),
            Ok(changes) if update => not_yet_known(changes, &due, &installed),
            Ok(changes) => changes,
            // Lists that are missing or old may not know them yet.
            Err(_) if update => not_yet_known(Vec::new(), &due, &installed),
            Err(output) => return Err(refused(&command, output)),
        };
        plan.edits.push(change_edit(command, &changes));
        Ok(plan)
    }

    fn report(&self, applied: &Applied) -> Data {
        let said = applied.outputs.last().map(|output| {
            let lines = |text: &str| json!(text.lines().collect::<Vec<_>>());
            [
                ("stdout", json!(output.stdout)),
                ("stdout_lines", lines(&output.stdout)),
                ("stderr", json!(output.stderr)),
                ("stderr_lines", lines(&output.stderr)),
            ]
        });
        said.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        let updated = last_update(host)?.unwrap_or_default();
        Ok(Data::from_iter([("cache_update_time".to_owned(), json!(updated))]))
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
    /// What apt-get has to do, and with which of the packages.
    fn due<'a>(
        &self,
        wanted: &'a [Wanted<'a>],
        installed: &BTreeMap<String, Package>,
    ) -> (&'static str, Vec<&'a Wanted<'a>>) {
        let due = |wanted: &&Wanted| match (self.state, installed.get(wanted.name)) {
            (State::Absent, found) => found.is_some(),
            (State::Present, Some(found)) => !wanted.accepts(found),
            (State::Present, None) | (State::Latest, _) => true,
        };
        let verb = match self.state {
            _ if wanted.is_empty() && self.upgrade == Upgrade::Yes => "upgrade",
            _ if wanted.is_empty() && self.upgrade == Upgrade::Dist => "dist-upgrade",
            _ if wanted.is_empty() && self.autoremove => "autoremove",
            State::Absent if self.purge => "purge",
            State::Absent => "remove",
            State::Present | State::Latest => "install",
        };
        (verb, wanted.iter().filter(due).collect())
    }

    /// What is to go is among the changes, also if apt-get does not see yet that it will be there.
    fn with_named(
        &self,
        mut changes: Vec<Change>,
        due: &[&Wanted],
        installed: &BTreeMap<String, Package>,
    ) -> Vec<Change> {
        if self.state == State::Absent {
            let named = missing(&changes, due, installed, &Shown::Absent);
            changes.extend(named);
        }
        changes
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
            (None, State::Present) => return Ok(something_due),
            (None, State::Absent) => return Ok(false),
        };
        let Some(updated) = last_update(host)? else { return Ok(true) };
        let now = host.query(&Command::new("date", ["+%s"]))?.stdout.trim().parse::<i64>();
        let now = now.map_err(|_| Error::Failed("`date +%s` printed no number".into()))?;
        Ok(now - updated > valid)
    }

    fn apt_get<'a>(&self, verb: &'a str, names: impl Iterator<Item = &'a str>) -> Command {
        // Another apt at work, such as unattended upgrades, is waited for.
        let lock = format!("--option=DPkg::Lock::Timeout={}", self.lock_timeout);
        let mut args = vec!["--quiet".to_owned(), "--yes".into(), lock, "--option=Dpkg::Use-Pty=0".into()];
        let options = self.dpkg_options.0.split(',').map(str::trim).filter(|option| !option.is_empty());
        args.extend(options.map(|option| format!("--option=Dpkg::Options::=--{option}")));
        args.extend(self.default_release.as_ref().map(|Word(release)| format!("--target-release={release}")));
        let flags = [
            (self.install_recommends == Some(true), "--install-recommends"),
            (self.install_recommends == Some(false), "--no-install-recommends"),
            (self.allow_downgrade, "--allow-downgrades"),
            (self.only_upgrade, "--only-upgrade"),
            (self.allow_unauthenticated, "--allow-unauthenticated"),
            (self.allow_change_held_packages, "--allow-change-held-packages"),
            (self.autoremove && !WHOLE.contains(&verb), "--auto-remove"),
        ];
        let flags = flags.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag);
        args.extend(flags.chain([verb, "--"]).chain(names).map(str::to_owned));
        Command::new("apt-get", args).env("DEBIAN_FRONTEND", "noninteractive")
    }
}

/// A package as it is asked for: `name`, `name=version`, `name=1.2*`.
struct Wanted<'a> {
    typed: &'a str,
    name: &'a str,
    version: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn parse(typed: &'a str) -> Self {
        let (name, version) = typed.split_once('=').map_or((typed, None), |(name, version)| (name, Some(version)));
        Self { typed, name, version }
    }

    /// Whether the installed one will do. Of wildcards, only the one at the end is known here, which is the usual one.
    fn accepts(&self, installed: &Package) -> bool {
        match (self.version, &installed.version) {
            (Some(wanted), Some(version)) => match wanted.strip_suffix('*') {
                Some(start) => version.starts_with(start),
                None => version == wanted,
            },
            _ => true,
        }
    }
}

/// With the lists refreshed, apt-get may find other versions; the packages named change in any case.
fn not_yet_known(changes: Vec<Change>, due: &[&Wanted], installed: &BTreeMap<String, Package>) -> Vec<Change> {
    let named = missing(&changes, due, installed, &Shown::Unknown);
    let vague = |change| match change {
        Change { after: Shown::Plain(_), .. } => Change { after: Shown::Unknown, ..change },
        removed => removed,
    };
    changes.into_iter().map(vague).chain(named).collect()
}

/// The packages named that are not among the changes.
fn missing(changes: &[Change], due: &[&Wanted], installed: &BTreeMap<String, Package>, after: &Shown) -> Vec<Change> {
    let named = due.iter().filter(|wanted| !changes.iter().any(|change| change.name == wanted.name));
    let change = |wanted: &&Wanted| {
        let version = |package: &Package| package.version.clone().map_or(Shown::Unknown, Shown::Plain);
        let before = installed.get(wanted.name).map_or(Shown::Absent, version);
        Change { name: wanted.name.into(), before, after: after.clone() }
    };
    named.map(change).collect()
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
    const FLAGS: &str = "--quiet --yes --option=DPkg::Lock::Timeout=120 --option=Dpkg::Use-Pty=0 \
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
