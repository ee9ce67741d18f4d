//! `locale_gen`: the languages and encodings that programs know.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// Locales that are generated, by their lines in /etc/locale.gen (locale-gen(8)). The package `locales` must be installed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LocaleGen {
    /// Their names with the encoding, such as `de_CH.UTF-8`.
    name: Vec<Word>,
    /// Whether they are there.
    #[serde(default)]
    state: State,
}

const FILE: &str = "/etc/locale.gen";
const SUPPORTED: [&str; 2] = ["/usr/share/i18n/SUPPORTED", "/usr/local/share/i18n/SUPPORTED"];

impl Module for LocaleGen {
    const NAME: &'static str = "locale_gen";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let path = Path::new(FILE);
        let Some(before) = host.read(path)? else {
            let error = Error::refused(FILE, "does not exist", "install the package `locales` by an earlier task");
            return Err(error.telling("msg", format!("{FILE} is missing. Is the package \"locales\" installed?")));
        };
        let before = String::from_utf8_lossy(&before);
        let listed = host.query(&Command::new("locale", ["-a"]))?.stdout;
        let there = |name: &str| listed.lines().any(|line| plain(line) == plain(name));
        let supported = supported(host)?;
        let unknown = self.name.iter().map(|Word(name)| name.as_str());
        let unknown: Vec<&str> =
            unknown.filter(|name| !there(name) && !supported.iter().any(|(known, _)| known == name)).collect();
        if let Some(first) = unknown.first() {
            let error =
                Error::param("name", format!("this host knows no locale `{first}` ({} lists them)", SUPPORTED[0]));
            let all = unknown.join(", ");
            let msg = format!("The following locales you have entered are not available on your system: {all}");
            return Err(error.telling("msg", msg));
        }
        let plan = Plan::nothing().returning("mechanism", "glibc").returning("ubuntu_mode", false);
        let names: Vec<&str> = self.name.iter().map(|Word(name)| name.as_str()).collect();
        let due: Vec<&str> =
            names.iter().copied().filter(|name| there(name) != (self.state == State::Present)).collect();
        let plan = plan.returning("name", names);
        if due.is_empty() {
            return Ok(plan);
        }
        let mut after = before.into_owned();
        for name in &due {
            let charset = supported.iter().find(|(known, _)| known == name).map(|(_, charset)| charset.as_str());
            after = edited(&after, name, charset, self.state);
        }
        let mut edits = common::put(host, path, after)?.edits;
        let effect = due.iter().map(|name| self.diff(name, if there(name) { "there".into() } else { Shown::Absent }));
        edits.push(Edit::run(Command::new("locale-gen", [""; 0]), effect.collect(), Reach::Stated));
        Ok(Plan { edits, ..plan })
    }

    fn intent(&self) -> Vec<Diff> {
        self.name.iter().map(|Word(name)| self.diff(name, Shown::Unknown)).collect()
    }
}

impl LocaleGen {
    fn diff(&self, name: &str, before: Shown) -> Diff {
        let after = if self.state == State::Present { "there".into() } else { Shown::Absent };
        Diff::new(format!("locale {name}"), "state", before, after)
    }
}

/// As `locale -a` has it, which writes `de_CH.utf8` for `de_CH.UTF-8`.
fn plain(name: &str) -> String {
    let (language, rest) = name.split_once('.').unwrap_or((name, ""));
    format!("{language}.{}", rest.to_lowercase().replace('-', ""))
}

/// The names and encodings that can be generated.
fn supported(host: &dyn Host) -> Result<Vec<(String, String)>, Error> {
    let mut known = Vec::new();
    for path in SUPPORTED {
        let text = common::text(host, Path::new(path))?;
        known.extend(text.lines().filter_map(|line| {
            let (name, charset) = line.trim_start_matches([' ', '#']).trim_end().split_once(' ')?;
            Some((name.to_owned(), charset.to_owned()))
        }));
    }
    Ok(known)
}

/// The lines of a locale in effect or not; one that is not there is added.
fn edited(text: &str, name: &str, charset: Option<&str>, state: State) -> String {
    let mut found = false;
    let mut after = String::new();
    for line in text.lines() {
        let bare = line.strip_prefix('#').unwrap_or(line).trim_start();
        match bare.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')) {
            Some(rest) => {
                found = true;
                after.push_str(if state == State::Present { "" } else { "# " });
                after.push_str(&format!("{name} {rest}\n"));
            }
            None => after.push_str(&format!("{line}\n")),
        }
    }
    if let (false, State::Present, Some(charset)) = (found, state, charset) {
        after.push_str(&format!("{name} {charset}\n"));
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_and_go() {
        let file = "# This file\n# de_CH.UTF-8 UTF-8\n# de_CH ISO-8859-1\n";
        let on = "# This file\nde_CH.UTF-8 UTF-8\n# de_CH ISO-8859-1\n";
        for (before, state, wanted) in [
            (file, State::Present, on.to_owned()),
            (on, State::Absent, file.to_owned()),
            ("", State::Present, "de_CH.UTF-8 UTF-8\n".into()),
            ("", State::Absent, String::new()),
        ] {
            assert_eq!(edited(before, "de_CH.UTF-8", Some("UTF-8"), state), wanted, "{before:?} {state:?}");
        }
        assert_eq!(plain("de_CH.utf8"), plain("de_CH.UTF-8"));
    }
}
