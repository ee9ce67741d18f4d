//! `dnf`: which packages of rpm are installed.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// Packages of rpm: installed, up to date, or gone, by rpm(8) and dnf(8). What comes along is not known before.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Dnf {
    /// Names, files or addresses of packages; `@group`; `*` with `state: latest` is all that is installed.
    #[serde(default)]
    #[schemars(extend("aliases" = ["pkg"]))]
    name: Vec<Word>,
    /// Whether they are installed. `absent` with `autoremove`, `present` otherwise.
    state: Option<State>,
    /// Repositories that are used, too.
    #[serde(default)]
    enablerepo: Vec<Word>,
    /// Repositories that are not.
    #[serde(default)]
    disablerepo: Vec<Word>,
    /// Packages that are left out.
    #[serde(default)]
    exclude: Vec<Word>,
    /// Whether lists are fetched anew before.
    #[serde(default)]
    #[schemars(extend("aliases" = ["expire-cache"]))]
    update_cache: bool,
    /// Whether nothing is installed that is not there yet.
    #[serde(default)]
    update_only: bool,
    /// Whether only what mends what is dangerous comes.
    #[serde(default)]
    security: bool,
    /// Whether only what mends errors comes.
    #[serde(default)]
    bugfix: bool,
    /// Whether packages that came as dependencies and are no longer needed go.
    #[serde(default)]
    autoremove: bool,
    /// Whether packages may be unsigned.
    #[serde(default)]
    disable_gpg_check: bool,
    /// Whether a package may be replaced by an older one.
    #[serde(default)]
    allow_downgrade: bool,
    /// Whether packages may go for another's sake.
    #[serde(default = "common::yes")]
    allowerasing: bool,
    /// Whether packages that cannot be installed are passed over.
    #[serde(default)]
    skip_broken: bool,
    /// Whether the newest version must be possible.
    #[serde(default = "common::yes")]
    nobest: bool,
    /// Whether packages that those named recommend come along.
    #[serde(default = "common::yes")]
    install_weak_deps: bool,
    /// Whether packages are fetched and nothing else.
    #[serde(default)]
    download_only: bool,
    /// Which release packages are for.
    releasever: Option<Word>,
    /// Another place for all of it.
    installroot: Option<Word>,
    /// Taken for Ansible's sake: it is always dnf.
    #[expect(dead_code, reason = "there is nothing to choose")]
    use_backend: Option<String>,
    /// Taken for Ansible's sake: dnf waits for another one at work.
    #[expect(dead_code, reason = "dnf does it")]
    lock_timeout: Option<i64>,
    /// Taken for Ansible's sake: dnf checks certificates as its configuration says.
    #[serde(default = "common::yes")]
    #[expect(dead_code, reason = "dnf's configuration says so")]
    validate_certs: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Installed, in any version. Also `installed`.
    #[serde(alias = "installed")]
    #[schemars(extend("enum" = ["present", "installed"]))]
    Present,
    /// Installed, in the newest version.
    Latest,
    /// Not installed. Also `removed`.
    #[serde(alias = "removed")]
    #[schemars(extend("enum" = ["absent", "removed"]))]
    Absent,
}

impl Module for Dnf {
    const NAME: &'static str = "dnf";
    const ALIASES: &'static [&'static str] = &["yum", "dnf5"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let names: Vec<&str> = self.name.iter().flat_map(|Word(name)| name.split(',')).map(str::trim).collect();
        let state = self.state();
        let mut plan = Plan::nothing();
        if self.update_cache {
            let refresh = self.command("makecache", &["--refresh"], &[]);
            if self.only_lists() {
                return Ok(plan.with(Edit::run(refresh, Vec::new(), Reach::Stated)).returning("msg", "Cache updated"));
            }
            plan.edits.push(Edit::run(refresh, Vec::new(), Reach::Stated));
        }
        let mut due = Vec::new();
        for name in &names {
            let installed = self.installed(host, name)?;
            let is_due = match (state, &installed) {
                (State::Absent, installed) => installed.is_some(),
                (State::Present, installed) => installed.is_none() && !self.update_only,
                (State::Latest, None) => !self.update_only,
                (State::Latest, Some(_)) => {
                    !host.query(&self.command("check-update", &["--quiet"], &[*name]))?.success()
                }
            };
            due.extend(is_due.then_some((*name, installed)));
        }
        if due.is_empty() && !(names.is_empty() && self.autoremove) {
            plan.edits.clear();
            return Ok(plan.returning("msg", "Nothing to do").returning("results", json!([])).returning("rc", 0));
        }
        let everything = names == ["*"];
        let verb = match state {
            State::Absent if names.is_empty() => "autoremove",
            State::Absent => "remove",
            State::Latest if everything || self.update_only => "upgrade",
            State::Present | State::Latest if self.allow_downgrade => "install",
            State::Latest if due.iter().all(|(_, installed)| installed.is_some()) => "upgrade",
            State::Present | State::Latest => "install",
        };
        let words: Vec<&str> = due.iter().map(|(name, _)| *name).filter(|name| *name != "*").collect();
        let diff = |(name, installed): &(&str, Option<String>)| {
            let after = if state == State::Absent { Shown::Absent } else { Shown::Unknown };
            Diff::new(format!("package {name}"), "version", installed.clone(), after)
        };
        let mut effect: Vec<Diff> = due.iter().map(diff).collect();
        if effect.is_empty() {
            effect.push(Diff::new("packages no longer needed", "state", Shown::Unknown, Shown::Absent));
        }
        Ok(plan.with(Edit::run(self.command(verb, &[], &words), effect, Reach::Anything)))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state() == State::Absent { Shown::Absent } else { Shown::Unknown };
        let diff = |Word(name): &Word| Diff::new(format!("package {name}"), "version", Shown::Unknown, after.clone());
        self.name.iter().map(diff).collect()
    }

    /// Groups, files and patterns are for dnf alone to know.
    fn converges(&self) -> bool {
        let plain = |Word(name): &Word| !name.contains(['@', '/', '*', ' ']);
        self.name.iter().all(plain) && !(self.name.is_empty() && self.autoremove)
    }

    fn verdict(&self, applied: &Applied) -> Result<bool, Error> {
        let nothing = applied.outputs.last().is_some_and(|output| output.stdout.contains("Nothing to do"));
        Ok(!nothing && !applied.diffs.is_empty())
    }

    fn report(&self, applied: &Applied) -> Data {
        let Some(output) = applied.outputs.last().filter(|_| !self.only_lists()) else { return Data::new() };
        let acts = ["Installed", "Removed", "Upgraded", "Reinstalled", "Downgraded"];
        let mut act = None;
        let mut results = Vec::new();
        for line in output.stdout.lines() {
            match acts.iter().find(|act| line.trim_end() == format!("{act}:")) {
                Some(found) => act = Some(*found),
                None if line.starts_with(' ') => {
                    results.extend(
                        act.iter().flat_map(|act| line.split_whitespace().map(move |name| format!("{act}: {name}"))),
                    );
                }
                None => act = None,
            }
        }
        let mut data =
            Data::from_iter([("results".to_owned(), json!(results)), ("rc".to_owned(), json!(output.status))]);
        let msg = if output.success() { String::new() } else { output.last_words() };
        data.insert("msg".into(), msg.trim_start_matches([':', ' ']).into());
        data
    }
}

impl Dnf {
    /// Nothing but the lists is fetched.
    fn only_lists(&self) -> bool {
        self.name.is_empty() && self.update_cache && !self.autoremove
    }

    fn state(&self) -> State {
        self.state.unwrap_or(if self.autoremove { State::Absent } else { State::Present })
    }

    /// The version that is installed, of what has or provides that name.
    fn installed(&self, host: &dyn Host, name: &str) -> Result<Option<String>, Error> {
        // What is a group, a pattern or a file is for dnf to know.
        if name.contains(['@', '*', '/']) && !name.starts_with('/') {
            return Ok((self.state() == State::Absent).then(String::new));
        }
        let root = self.installroot.iter().flat_map(|Word(root)| ["--root", root.as_str()]);
        let ask = ["-q", "--qf", "%{VERSION}-%{RELEASE}\\n", "--whatprovides", "--", name];
        let query = Command::new("rpm", root.chain(ask));
        let output = host.query(&query).map_err(|error| match error {
            Error::Program { .. } => Error::Unsupported("this host has no rpm: `dnf` is for those that have".into()),
            other => other,
        })?;
        Ok(output.success().then(|| output.stdout.lines().next().unwrap_or_default().to_owned()))
    }

    fn command(&self, verb: &str, flags: &[&str], names: &[&str]) -> Command {
        let mut args = vec!["--assumeyes".to_owned()];
        let each = |flag: &str, words: &[Word]| {
            let all: Vec<&str> = words.iter().flat_map(|Word(word)| word.split(',')).map(str::trim).collect();
            all.iter().map(|word| format!("--{flag}={word}")).collect::<Vec<_>>()
        };
        args.extend(each("disablerepo", &self.disablerepo));
        args.extend(each("enablerepo", &self.enablerepo));
        args.extend(each("exclude", &self.exclude));
        args.extend(self.releasever.iter().map(|Word(release)| format!("--releasever={release}")));
        args.extend(self.installroot.iter().map(|Word(root)| format!("--installroot={root}")));
        let options = [
            (self.security, "--security"),
            (self.bugfix, "--bugfix"),
            (self.disable_gpg_check, "--nogpgcheck"),
            (self.allowerasing && verb != "makecache", "--allowerasing"),
            (self.skip_broken, "--skip-broken"),
            (!self.nobest, "--best"),
            (!self.install_weak_deps, "--setopt=install_weak_deps=False"),
            (self.download_only, "--downloadonly"),
        ];
        args.extend(options.iter().filter(|(given, _)| *given).map(|(_, flag)| (*flag).to_owned()));
        args.extend(flags.iter().chain([&verb]).chain(names).map(|word| (*word).to_owned()));
        Command::new("dnf", args)
    }
}
