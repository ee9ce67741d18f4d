//! `group_vars` and `host_vars`: which files belong to a name.

use std::fs;
use std::path::{Path, PathBuf};

use super::load::Files;
use super::{Beside, Inventory, VarsFile};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Source;
use crate::vault::VaultPasswords;
use crate::yaml;

/// In the order in which Ansible looks; only the first that exists counts.
const EXTENSIONS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// Reads the files in the `group_vars` and `host_vars` of all directories, for the groups and hosts of these names.
pub(super) fn read(inventory: &mut Inventory, wanted: &dyn Fn(&str) -> bool, diagnostics: &mut Diagnostics) {
    let Files { dirs, vault } = inventory.files.clone();
    for (dir, beside) in dirs {
        let mut load = |kind: &str, name: &str| -> Vec<VarsFile> {
            let dir = dir.join(kind);
            // A host may be the path of a chroot.
            if name.starts_with('/') || !wanted(name) || !dir.is_dir() {
                return Vec::new();
            }
            let paths = find(&dir, name, diagnostics);
            paths.into_iter().filter_map(|path| file(path, beside, &vault, diagnostics)).collect()
        };
        for group in inventory.groups.values_mut() {
            group.files.extend(load("group_vars", &group.name));
        }
        for host in inventory.hosts.values_mut().chain(&mut inventory.implicit) {
            host.files.extend(load("host_vars", &host.name));
        }
    }
}

fn find(dir: &Path, name: &str, diagnostics: &mut Diagnostics) -> Vec<PathBuf> {
    let mut there = EXTENSIONS.iter().map(|ext| dir.join(format!("{name}{ext}"))).filter(|path| path.exists());
    let Some(first) = there.next() else { return Vec::new() };
    for shadowed in there {
        let message = format!("`{}` is not read, because `{}` is", shadowed.display(), first.display());
        diagnostics.push(Diagnostic::warning(message).hint("move the file into the directory, or make one of the two"));
    }
    if first.is_dir() { files_below(&first, diagnostics) } else { vec![first] }
}

/// Sorted by name; hidden files, backups and other endings are left out.
fn files_below(dir: &Path, diagnostics: &mut Diagnostics) -> Vec<PathBuf> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            diagnostics.push(Diagnostic::error(format!("failed to list `{}`: {error}", dir.display())));
            return Vec::new();
        }
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let mut found = Vec::new();
    for name in names.iter().filter(|name| !name.starts_with('.') && !name.ends_with('~')) {
        let path = dir.join(name);
        let ext = path.extension().map(|ext| format!(".{}", ext.to_string_lossy())).unwrap_or_default();
        if path.is_dir() && ext.is_empty() {
            found.extend(files_below(&path, diagnostics));
        } else if path.is_file() && EXTENSIONS.contains(&ext.as_str()) {
            found.push(path);
        }
    }
    found
}

fn file(path: PathBuf, beside: Beside, vault: &VaultPasswords, diagnostics: &mut Diagnostics) -> Option<VarsFile> {
    let source = Source::read(&path).map_err(|error| diagnostics.push(error)).ok()?;
    let node = yaml::load(&source, vault, diagnostics)?;
    match node.as_map() {
        Some(vars) => Some(VarsFile { beside, path, vars: vars.clone() }),
        None if node.is_null() => None,
        None => {
            let message = format!("a file of variables must be a dictionary, and this is {}", node.describe());
            diagnostics.push(Diagnostic::error(message).at(&node.span));
            None
        }
    }
}
