//! From the sources that a user names to an inventory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build::Builder;
use super::{Beside, Inventory, ini, range, script, tree, vars_files};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::{Source, Span};
use crate::vault::{self, VaultPasswords};
use crate::yaml;

/// Endings that are not read in a directory of inventories.
const IGNORED: [&str; 12] =
    [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

/// What to load.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Files, directories, or lists of hosts with a comma (`web1,web2,`); the later adds to the earlier.
    pub sources: &'r [String],
    /// The directory of the playbook, whose `group_vars` and `host_vars` are stronger than the inventory's.
    pub playbook_dir: Option<&'r Path>,
    /// What opens vaults.
    pub vault: &'r VaultPasswords,
    /// What becomes of a source that cannot be read.
    pub manner: Manner,
}

/// The directories that have `group_vars` and `host_vars`, and what opens vaults there.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub dirs: Vec<(PathBuf, Beside)>,
    pub vault: VaultPasswords,
}

impl Default for Files {
    fn default() -> Self {
        Self { dirs: Vec::new(), vault: VaultPasswords::none() }
    }
}

/// What becomes of a source that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// It is an error: nothing may run.
    #[default]
    Strict,
    /// It is passed over with a warning, as Ansible has it; what stands above the mistake counts.
    Lenient,
    /// The same, as long as any source can be read.
    OneAtLeast,
}

/// Reads all sources. Look at `diagnostics` before using the result: what could not be read is left out.
pub fn load(request: Request<'_>, diagnostics: &mut Diagnostics) -> Inventory {
    let mut loader = Loader { request, builder: Builder::new(), diagnostics, parsed: false };
    for source in request.sources {
        match source.contains(',') {
            true => loader.list(source),
            false => _ = loader.path(Path::new(source)),
        }
    }
    let mut inventory = loader.finish();
    inventory.files = Files::of(request);
    vars_files::read(&mut inventory, &|_| true, diagnostics);
    inventory
}

impl Files {
    /// Those beside the sources and the playbook.
    pub(super) fn of(request: Request<'_>) -> Self {
        let mut dirs: Vec<PathBuf> = Vec::new();
        for dir in request.sources.iter().filter_map(|source| beside(source)) {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        // A directory that both share is the playbook's, where its files are strongest.
        dirs.retain(|dir| request.playbook_dir.is_none_or(|playbook| !same(dir, playbook)));
        let mut dirs: Vec<_> = dirs.into_iter().zip((0..).map(Beside::Inventory)).collect();
        dirs.extend(request.playbook_dir.map(|dir| (dir.to_owned(), Beside::Playbook)));
        Self { dirs, vault: request.vault.clone() }
    }
}

/// The directory in which a source's `group_vars` are.
fn beside(source: &str) -> Option<PathBuf> {
    let path = Path::new(source);
    match source {
        list if list.contains(',') => None,
        _ if path.is_dir() => Some(path.to_owned()),
        _ => path.parent().map(|dir| if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir.to_owned() }),
    }
}

fn same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path }).ok();
    a == b || (real(a).is_some() && real(a) == real(b))
}

struct Loader<'r, 'd> {
    request: Request<'r>,
    builder: Builder,
    diagnostics: &'d mut Diagnostics,
    /// Whether any source could be read.
    parsed: bool,
}

impl Loader<'_, '_> {
    /// `web1,web2,`.
    fn list(&mut self, text: &str) {
        self.parsed = true;
        let source = Arc::new(Source { path: "<list of hosts>".into(), text: text.to_owned() });
        let mut start = 0;
        for part in text.split(',') {
            let name = part.trim();
            let at = start + (part.len() - part.trim_start().len());
            let span = Span::new(&source, at, at + name.len());
            start += part.len() + 1;
            if name.is_empty() {
                continue;
            }
            match range::expand(name) {
                Ok((names, port)) => {
                    for name in names {
                        let host = self.builder.host(&name, super::UNGROUPED, &span, &source.path);
                        if let Some(port) = port {
                            let value = super::literal::value(&port.to_string(), &span);
                            host.vars.insert("ansible_port".to_owned(), yaml::Entry { key: span.clone(), value });
                        }
                    }
                }
                Err(why) => self.diagnostics.push(Diagnostic::error(why).at(&span)),
            }
        }
    }

    /// True if anything there could be read.
    fn path(&mut self, path: &Path) -> bool {
        let parsed = match path.is_dir() {
            true => self.directory(path),
            false => self.leaf(path),
        };
        self.parsed |= parsed;
        if !parsed && self.request.manner != Manner::Strict {
            let place = crate::execute::absolute(path);
            let message = format!("no hosts come from `{}`", path.display());
            let told = format!("Unable to parse {place} as an inventory source");
            self.diagnostics.push(Diagnostic::warning(message).told_alone(told));
        }
        parsed
    }

    fn leaf(&mut self, path: &Path) -> bool {
        let mut found = Diagnostics::new();
        let plugin = match Source::read(path) {
            Ok(source) if script::is_script(path, &source.text) => self.script(path, &mut found),
            Err(_) if script::is_script(path, "") => self.script(path, &mut found),
            Ok(source) => self.file(&source, &mut found),
            Err(error) => {
                let hint = "name a file, a directory, or hosts with a comma behind each: `-i web1,web2,`";
                // As in Ansible, that nothing is there is no error by itself: no hosts come from it.
                let severity = if path.exists() { Severity::Error } else { Severity::Warning };
                self.diagnostics.push(Diagnostic { severity, ..error.hint(hint).told("") });
                return false;
            }
        };
        if self.request.manner == Manner::Strict {
            self.diagnostics.extend(found);
            return true;
        }
        // Ansible looks for cycles at each step; here it is looked for once the source was read.
        found.extend(self.builder.untie());
        let parsed = !found.has_errors();
        let mistake = found.iter().find(|one| one.severity == Severity::Error);
        let mistake = mistake.map(|mistake| passed_over(mistake, plugin, path));
        self.diagnostics.extend(found.iter().filter(|one| one.severity == Severity::Warning).cloned());
        self.diagnostics.extend(mistake);
        parsed
    }

    fn script(&mut self, path: &Path, found: &mut Diagnostics) -> &'static str {
        script::read(path, &mut self.builder, found);
        "script"
    }

    fn directory(&mut self, dir: &Path) -> bool {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => {
                let message = format!("failed to list `{}`: {error}", dir.display());
                self.diagnostics.push(Diagnostic::error(message));
                return false;
            }
        };
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        let ignored = |name: &str| {
            name.starts_with('.')
                || ["group_vars", "host_vars", "vars_plugins"].contains(&name)
                || IGNORED.iter().any(|ending| name.ends_with(ending))
        };
        let mut parsed = false;
        for name in names.iter().filter(|name| !ignored(name)) {
            parsed |= self.path(&dir.join(name));
        }
        parsed
    }

    /// What the name does not tell, the content must: YAML if that yields a dictionary, INI otherwise. Yields what Ansible calls
    /// that which reads it.
    fn file(&mut self, source: &Arc<Source>, found: &mut Diagnostics) -> &'static str {
        let (vault, manner) = (self.request.vault, self.request.manner);
        let extension = source.path.extension().map(|ext| ext.to_string_lossy().into_owned());
        match extension.as_deref() {
            Some("yml" | "yaml" | "json") => self.yaml(source, found),
            _ if vault::is_vault(&source.text) => self.yaml(source, found),
            None => {
                let mut tried = Diagnostics::new();
                match yaml::load(source, vault, &mut tried) {
                    root if ini::is_likely(root.as_ref()) => ini::read(source, manner, &mut self.builder, found),
                    root => {
                        found.extend(tried);
                        root.iter()
                            .for_each(|root| tree::read(root, &source.path, self.request, &mut self.builder, found));
                        return "yaml";
                    }
                }
                "ini"
            }
            Some(_) => {
                ini::read(source, manner, &mut self.builder, found);
                "ini"
            }
        }
    }

    fn yaml(&mut self, source: &Arc<Source>, found: &mut Diagnostics) -> &'static str {
        if let Some(root) = yaml::load(source, self.request.vault, found) {
            if root.is_null() && self.request.manner != Manner::Strict {
                found.push(Diagnostic::error("the file is empty").at(&root.span).told("Parsed empty YAML file"));
            }
            tree::read(&root, &source.path, self.request, &mut self.builder, found);
        }
        "yaml"
    }

    fn finish(mut self) -> Inventory {
        let lenient = self.request.manner != Manner::Strict;
        if self.request.manner == Manner::OneAtLeast && !self.parsed {
            let told = "No inventory was parsed, please check your configuration and options.";
            self.diagnostics.push(Diagnostic::absent("no inventory could be read").told_alone(told));
        } else if lenient && !self.parsed {
            let message = "there is no inventory but this machine, `localhost`";
            let told = "No inventory was parsed, only implicit localhost is available";
            self.diagnostics.push(Diagnostic::warning(message).told_alone(told));
            self.builder.forget_groups();
        }
        if lenient && let Some(name) = self.builder.odd_group() {
            let message = format!("the name of the group `{name}` has more in it than letters, digits and `_`");
            let told = "Invalid characters were found in group names but not replaced, use -vvvv to see details";
            self.diagnostics.push(Diagnostic::warning(message).told_alone(told));
        }
        self.builder.finish(self.diagnostics)
    }
}

/// A mistake in a source, as a warning in Ansible's words: what was tried, and why it failed.
fn passed_over(mistake: &Diagnostic, plugin: &str, path: &Path) -> Diagnostic {
    let place = crate::execute::absolute(path);
    let why = mistake.told.as_ref().unwrap_or(&mistake.message);
    let (why, origin) = match plugin {
        "ini" => (format!("Failed to parse inventory: {why}"), place),
        _ => (why.clone(), format!("<inventory plugin '{plugin}' with source '{place}'>")),
    };
    let told = format!(
        "Failed to parse inventory with '{plugin}' plugin: {why}\n\nFailed to parse inventory with '{plugin}' plugin.\n\n<<< caused \
         by >>>\n\n{why}\nOrigin: {origin}\n"
    );
    Diagnostic { severity: Severity::Warning, hints: Vec::new(), ..mistake.clone().told_alone(told) }
}
