//! Plugins in Python that a project brings along: Trueup runs none, and says which file holds the one that is wanted.

use std::path::{Path, PathBuf};

/// What a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What a task names.
    Module,
    /// `x | name`.
    Filter,
    /// `x is name`.
    Test,
    /// `lookup('name')`.
    Lookup,
}

impl Kind {
    /// Where such plugins are, below a role, beside a playbook, in a collection.
    fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Module => &["library", "action_plugins", "plugins/modules", "plugins/action"],
            Self::Filter => &["filter_plugins", "plugins/filter"],
            Self::Test => &["test_plugins", "filter_plugins", "plugins/test"],
            Self::Lookup => &["lookup_plugins", "plugins/lookup"],
        }
    }

    /// Modules and lookups are named as their file is; a file has any number of filters and tests.
    fn is_named_by_file(self) -> bool {
        matches!(self, Self::Module | Self::Lookup)
    }
}

/// What there is to be said of a name that nothing here has: the plugin of the project that it means, if there is one beside or
/// above the file that names it.
pub(crate) fn note(kind: Kind, name: &str, from: &Path) -> Option<String> {
    let file = find(kind, name, from)?;
    Some(format!("`{}` is a plugin in Python, and Trueup runs none", file.display()))
}

fn find(kind: Kind, name: &str, from: &Path) -> Option<PathBuf> {
    let short = name.rsplit('.').next().unwrap_or(name);
    let above = from.ancestors().skip(1);
    let folders = above.flat_map(|dir| kind.folders().iter().map(|folder| dir.join(folder)));
    folders.flat_map(files).find(|file| match kind.is_named_by_file() {
        true => file.file_stem().is_some_and(|stem| stem == short),
        false => defines(file, short),
    })
}

fn files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A file of filters gives them in a dictionary, by their names.
fn defines(file: &Path, name: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.contains(&format!("'{name}'")) || text.contains(&format!("\"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_found_beside_and_above_what_names_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let role = dir.path().join("roles/web");
        let put = |path: PathBuf, text: &str| {
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        put(role.join("library/site.py"), "");
        put(role.join("filter_plugins/names.py"), "return {'short': short, \"long\": long}");
        put(dir.path().join("lookup_plugins/stock.py"), "");
        put(dir.path().join("plugins/test/kinds.py"), "{'even_better': x}");
        let tasks = role.join("tasks/main.yml");
        let found =
            |kind, name| find(kind, name, &tasks).map(|path| path.strip_prefix(dir.path()).expect("in it").to_owned());
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(found(Kind::Module, "site"), path("roles/web/library/site.py"));
        assert_eq!(found(Kind::Module, "acme.web.site"), path("roles/web/library/site.py"));
        assert_eq!(found(Kind::Filter, "short"), path("roles/web/filter_plugins/names.py"));
        assert_eq!(found(Kind::Filter, "long"), path("roles/web/filter_plugins/names.py"));
        assert_eq!(found(Kind::Filter, "shor"), None);
        assert_eq!(found(Kind::Lookup, "stock"), path("lookup_plugins/stock.py"));
        assert_eq!(found(Kind::Test, "even_better"), path("plugins/test/kinds.py"));
        assert_eq!(found(Kind::Lookup, "site"), None);
    }
}
