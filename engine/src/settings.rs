//! Settings: what holds for a run unless the command line says something else.
//!
//! The strongest first: an `ANSIBLE_…` environment variable, `trueup.toml`, `ansible.cfg`, the default. Of each kind of file
//! the first that exists counts, in Ansible's order: the one that `ANSIBLE_CONFIG` (`TRUEUP_CONFIG`) names, the one in the
//! current directory (unless everybody may write there), the one in the home directory, the one in /etc.

mod ini;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trueup_modules::param::truth;

use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::source::{Source, Span};

pub use table::{Kind, SETTINGS, Setting, find};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A file, and the line.
    File(PathBuf, usize),
    /// An environment variable.
    Variable(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As written, paths made absolute.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// What a process has around it: the part of it that settings depend on.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// The current directory.
    pub dir: PathBuf,
    /// The directory of the whole machine's settings: `/etc`.
    pub etc: PathBuf,
}

impl Around {
    /// This process's.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            dir: std::env::current_dir().unwrap_or_default(),
            etc: "/etc".into(),
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn home(&self) -> PathBuf {
        PathBuf::from(self.variable("HOME").unwrap_or_default())
    }
}

/// All settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    found: BTreeMap<&'static str, Found>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
}

impl Settings {
    /// Reads them. Look at `diagnostics` before using the result.
    pub fn load(around: &Around, diagnostics: &mut Diagnostics) -> Self {
        let mut settings = Self::default();
        if let Some(path) = ansible_cfg(around, diagnostics) {
            settings.read(&path, around, diagnostics, from_ini);
        }
        if let Some(path) = trueup_toml(around, diagnostics) {
            settings.read(&path, around, diagnostics, from_toml);
        }
        for setting in SETTINGS {
            if let Some(value) = around.variable(setting.variable) {
                let span = Span::new(&source(setting.variable, value), 0, value.len());
                let origin = Origin::Variable(setting.variable);
                settings.set(setting, value, origin, &around.dir, &span, around, diagnostics);
            }
        }
        settings
    }

    /// A setting's value and its origin.
    pub fn get(&self, name: &str) -> Found {
        let default = || find(name).map_or("", |setting| setting.default).to_owned();
        self.found.get(name).cloned().unwrap_or_else(|| Found { value: default(), origin: Origin::Default })
    }

    /// The value, if somebody has set it to more than nothing.
    pub fn text(&self, name: &str) -> Option<String> {
        self.found.get(name).map(|found| found.value.clone()).filter(|value| !value.is_empty())
    }

    /// The parts of a list.
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// The directories of a search path; what is not said otherwise starts in the home directory.
    pub fn directories(&self, name: &str, around: &Around) -> Vec<PathBuf> {
        let value = self.get(name).value;
        value
            .split(':')
            .filter(|part| !part.is_empty())
            .map(|part| absolute(part, &around.dir, around).into())
            .collect()
    }

    /// Whether a flag is on.
    pub fn flag(&self, name: &str) -> bool {
        truth(&self.get(name).value) == Some(true)
    }

    fn read(
        &mut self,
        path: &Path,
        around: &Around,
        diagnostics: &mut Diagnostics,
        parse: fn(&Arc<Source>, &mut Diagnostics) -> Vec<Said>,
    ) {
        let source = match Source::read(path) {
            Ok(source) => source,
            Err(error) => return diagnostics.push(error),
        };
        self.files.push(path.to_owned());
        let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
        for said in parse(&source, diagnostics) {
            let line = source.text[..said.span.start].matches('\n').count() + 1;
            let origin = Origin::File(path.to_owned(), line);
            self.set(said.setting, &said.value, origin, &dir, &said.span, around, diagnostics);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a value, and all that is told about a wrong one")]
    fn set(
        &mut self,
        setting: &'static Setting,
        value: &str,
        origin: Origin,
        dir: &Path,
        span: &Span,
        around: &Around,
        diagnostics: &mut Diagnostics,
    ) {
        let wrong = |expected: &str| {
            Diagnostic::error(format!("the setting `{}` must be {expected}, not `{value}`", setting.name)).at(span)
        };
        let value = match setting.kind {
            Kind::Number if value.trim().parse::<u32>().is_err() => return diagnostics.push(wrong("a whole number")),
            Kind::Flag if truth(value).is_none() => return diagnostics.push(wrong("true or false")),
            Kind::Choice(choices) if !choices.contains(&value.trim()) => {
                return diagnostics.push(wrong(&format!("one of {}", choices.join(", "))));
            }
            Kind::Path => absolute(value, dir, around),
            Kind::Paths => {
                value.split(',').map(|part| absolute(part.trim(), dir, around)).collect::<Vec<_>>().join(",")
            }
            Kind::SearchPath => {
                let parts = value.split(':').map(str::trim).filter(|part| !part.is_empty());
                parts.map(|part| absolute(part, dir, around)).collect::<Vec<_>>().join(":")
            }
            // `ID@FILE`: the file is a path, too.
            Kind::List if setting.name == "vault_identity_list" => identities(value, dir, around),
            Kind::Text | Kind::List | Kind::Number | Kind::Flag | Kind::Choice(_) => value.trim().to_owned(),
        };
        self.found.insert(setting.name, Found { value, origin });
    }
}

/// An assignment in a file.
struct Said {
    setting: &'static Setting,
    value: String,
    span: Span,
}

fn from_ini(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Vec<Said> {
    let span = |number: usize| {
        let start: usize = source.text.split_inclusive('\n').take(number - 1).map(str::len).sum();
        let line = source.text[start..].lines().next().unwrap_or("");
        Span::new(source, start, start + line.len())
    };
    let lines = match ini::read(&source.text) {
        Ok(lines) => lines,
        Err((number, why)) => {
            diagnostics.push(Diagnostic::error(format!("failed to read the settings: {why}")).at(&span(number)));
            return Vec::new();
        }
    };
    let mut said = Vec::new();
    for line in lines {
        match SETTINGS.iter().find(|setting| setting.ini == (&line.section, &line.key)) {
            Some(setting) => said.push(Said { setting, value: line.value, span: span(line.number) }),
            // Ansible has many more, which mean nothing here; one that almost is one of these was meant to be it.
            None => {
                let keys = SETTINGS.iter().filter(|setting| setting.ini.0 == line.section).map(|setting| setting.ini.1);
                if let Some(near) = nearest(&line.key, keys).filter(|_| !is_ansibles(&line.key)) {
                    let message = format!("there is no setting `{}` in [{}]", line.key, line.section);
                    let hint = format!("did you mean `{near}`?");
                    diagnostics.push(Diagnostic::warning(message).at(&span(line.number)).hint(hint));
                }
            }
        }
    }
    said
}

/// Ansible's own settings whose names are close to one of ours.
fn is_ansibles(key: &str) -> bool {
    ["become_exe", "become_method", "ssh_args", "local_tmp", "remote_port"].contains(&key)
}

fn from_toml(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Vec<Said> {
    let table: Toml = match toml::from_str(&source.text) {
        Ok(table) => table,
        Err(error) => {
            let range = error.span().unwrap_or(0..0);
            let message = format!("failed to read the settings: {}", error.message());
            diagnostics.push(Diagnostic::error(message).at(&Span::new(source, range.start, range.end)));
            return Vec::new();
        }
    };
    let mut said = Vec::new();
    for (key, value) in table {
        let (key_span, value_span) = (key.span(), value.span());
        let Some(setting) = find(key.get_ref()) else {
            let message = format!("there is no setting `{}`", key.get_ref());
            let names = SETTINGS.iter().map(|setting| setting.name);
            let diagnostic = Diagnostic::error(message).at(&Span::new(source, key_span.start, key_span.end));
            diagnostics.push(diagnostic.did_you_mean(key.get_ref(), names).hint("`trueup config` lists them"));
            continue;
        };
        let value = match value.into_inner() {
            toml::Value::String(text) => text,
            toml::Value::Array(items) => {
                let text = |item: &toml::Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                items.iter().map(text).collect::<Vec<_>>().join(",")
            }
            other => other.to_string(),
        };
        said.push(Said { setting, value, span: Span::new(source, value_span.start, value_span.end) });
    }
    said
}

type Toml = BTreeMap<toml::Spanned<String>, toml::Spanned<toml::Value>>;

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source { path: name.into(), text: text.to_owned() })
}

fn ansible_cfg(around: &Around, diagnostics: &mut Diagnostics) -> Option<PathBuf> {
    let rest = [around.home().join(".ansible.cfg"), around.etc.join("ansible/ansible.cfg")];
    first("ANSIBLE_CONFIG", "ansible.cfg", rest, around, diagnostics)
}

fn trueup_toml(around: &Around, diagnostics: &mut Diagnostics) -> Option<PathBuf> {
    let config = around.variable("XDG_CONFIG_HOME").map_or_else(|| around.home().join(".config"), PathBuf::from);
    let rest = [config.join("trueup/trueup.toml"), around.etc.join("trueup/trueup.toml")];
    first("TRUEUP_CONFIG", "trueup.toml", rest, around, diagnostics)
}

/// The first that exists. A file in a directory that everybody can write to may be anybody's: it is not read unless it
/// was asked for by name.
fn first(
    variable: &str,
    name: &str,
    rest: [PathBuf; 2],
    around: &Around,
    diagnostics: &mut Diagnostics,
) -> Option<PathBuf> {
    if let Some(named) = around.variable(variable).filter(|named| !named.is_empty()) {
        let path = PathBuf::from(absolute(named, &around.dir, around));
        let path = if path.is_dir() { path.join(name) } else { path };
        if path.exists() {
            return Some(path);
        }
        diagnostics.push(Diagnostic::warning(format!("{variable} names `{}`, which does not exist", path.display())));
    }
    let here = around.dir.join(name);
    if here.exists() {
        let open = fs::metadata(&around.dir).is_ok_and(|about| about.permissions().mode() & 0o002 != 0);
        if !open {
            return Some(here);
        }
        let message = format!("`{}` is not read: everybody can write to its directory", here.display());
        let hint = format!("take that permission away, or name the file: {variable}={}", here.display());
        diagnostics.push(Diagnostic::warning(message).hint(hint));
    }
    rest.into_iter().find(|path| path.exists())
}

fn absolute(path: &str, dir: &Path, around: &Around) -> String {
    // A list of hosts is no path.
    if path.is_empty() {
        return String::new();
    }
    let path = path.strip_prefix("~/").map_or_else(|| PathBuf::from(path), |rest| around.home().join(rest));
    dir.join(path).display().to_string()
}

fn identities(value: &str, dir: &Path, around: &Around) -> String {
    let one = |part: &str| match part.trim().split_once('@') {
        Some((id, "prompt")) => format!("{id}@prompt"),
        Some((id, file)) => format!("{id}@{}", absolute(file, dir, around)),
        None => absolute(part.trim(), dir, around),
    };
    value.split(',').map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
