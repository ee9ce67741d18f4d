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

/// Reads all sources. Look at `diagnostics` before using the result: what could not be read is left out.
pub fn load(request: Request<'_>, diagnostics: &mut Diagnostics) -> Inventory {
    let mut builder = Builder::new();
    for source in request.sources {
        if source.contains(',') {
            list(source, &mut builder, diagnostics);
        } else {
            path(Path::new(source), request.vault, &mut builder, diagnostics);
        }
    }
    let mut inventory = builder.finish(diagnostics);
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
    inventory.files = Files { dirs, vault: request.vault.clone() };
    vars_files::read(&mut inventory, &|_| true, diagnostics);
    inventory
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

/// `web1,web2,`.
fn list(text: &str, builder: &mut Builder, diagnostics: &mut Diagnostics) {
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
                    let host = builder.host(&name, super::UNGROUPED, &span, &source.path);
                    if let Some(port) = port {
                        let value = super::literal::value(&port.to_string(), &span);
                        host.vars.insert("ansible_port".to_owned(), yaml::Entry { key: span.clone(), value });
                    }
                }
            }
            Err(why) => diagnostics.push(Diagnostic::error(why).at(&span)),
        }
    }
}

fn path(path: &Path, vault: &VaultPasswords, builder: &mut Builder, diagnostics: &mut Diagnostics) {
    if path.is_dir() {
        return directory(path, vault, builder, diagnostics);
    }
    match Source::read(path) {
        Ok(source) if script::is_script(path, &source.text) => script::read(path, builder, diagnostics),
        Err(_) if script::is_script(path, "") => script::read(path, builder, diagnostics),
        Ok(source) => file(&source, vault, builder, diagnostics),
        Err(error) => {
            let hint = "name a file, a directory, or hosts with a comma behind each: `-i web1,web2,`";
            // As in Ansible, that nothing is there is no error by itself: no hosts come from it.
            let severity = if path.exists() { Severity::Error } else { Severity::Warning };
            diagnostics.push(Diagnostic { severity, ..error.hint(hint) });
        }
    }
}

fn directory(dir: &Path, vault: &VaultPasswords, builder: &mut Builder, diagnostics: &mut Diagnostics) {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            return diagnostics.push(Diagnostic::error(format!("failed to list `{}`: {error}", dir.display())));
        }
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let ignored = |name: &str| {
        name.starts_with('.')
            || ["group_vars", "host_vars", "vars_plugins"].contains(&name)
            || IGNORED.iter().any(|ending| name.ends_with(ending))
    };
    for name in names.iter().filter(|name| !ignored(name)) {
        path(&dir.join(name), vault, builder, diagnostics);
    }
}

/// What the name does not tell, the content must: YAML if that yields a dictionary, INI otherwise.
fn file(source: &Arc<Source>, vault: &VaultPasswords, builder: &mut Builder, diagnostics: &mut Diagnostics) {
    let extension = source.path.extension().map(|ext| ext.to_string_lossy().into_owned());
    match extension.as_deref() {
        Some("yml" | "yaml" | "json") => read_yaml(source, vault, builder, diagnostics),
        _ if vault::is_vault(&source.text) => read_yaml(source, vault, builder, diagnostics),
        None => {
            let mut found = Diagnostics::new();
            match yaml::load(source, vault, &mut found) {
                root if ini::is_likely(root.as_ref()) => ini::read(source, builder, diagnostics),
                root => {
                    diagnostics.extend(found);
                    root.iter().for_each(|root| tree::read(root, &source.path, builder, diagnostics));
                }
            }
        }
        Some(_) => ini::read(source, builder, diagnostics),
    }
}

fn read_yaml(source: &Arc<Source>, vault: &VaultPasswords, builder: &mut Builder, diagnostics: &mut Diagnostics) {
    if let Some(root) = yaml::load(source, vault, diagnostics) {
        tree::read(&root, &source.path, builder, diagnostics);
    }
}
