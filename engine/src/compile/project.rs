//! The files that a project is made from: where roles and files of tasks are found, and what was read of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::playbook::{self, Field, Spanned, Step};
use crate::source::{Source, Span, normal};
use crate::template::{Lookup, MapLookup, Templar};
use crate::value::{Map, Template, Value};
use crate::vault::VaultPasswords;
use crate::yaml::{self, Node};

/// Where roles and collections are looked for, apart from beside the playbook.
#[derive(Clone, Debug, Default)]
pub struct SearchPaths {
    /// Directories of roles.
    pub roles: Vec<PathBuf>,
    /// Directories that hold `ansible_collections`.
    pub collections: Vec<PathBuf>,
}

/// What a file of steps holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Tasks and blocks.
    Tasks,
    /// Handlers.
    Handlers,
}

/// Reads a project's files, each once.
#[derive(Clone)]
pub struct Project {
    pub(super) paths: SearchPaths,
    pub(super) templar: Templar,
    /// `-e`.
    pub(super) extra: Arc<Map>,
    vault: VaultPasswords,
    steps: HashMap<(PathBuf, Kind), Arc<[Step]>>,
    mappings: HashMap<PathBuf, Arc<Map>>,
    numbers: usize,
}

impl Project {
    /// Nothing is read yet.
    pub fn new(paths: SearchPaths, templar: Templar, extra: Arc<Map>, vault: VaultPasswords) -> Self {
        Self { paths, templar, extra, vault, steps: HashMap::new(), mappings: HashMap::new(), numbers: 0 }
    }

    /// A number that nothing else has: for blocks, roles and steps.
    pub(super) fn number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers
    }

    /// A file of tasks or handlers.
    pub(super) fn steps(
        &mut self,
        path: &Path,
        kind: Kind,
        diagnostics: &mut Diagnostics,
    ) -> Result<Arc<[Step]>, Diagnostic> {
        if let Some(known) = self.steps.get(&(path.to_owned(), kind)) {
            return Ok(Arc::clone(known));
        }
        let source = Source::read(path)?;
        let parse = if kind == Kind::Tasks { playbook::parse_tasks } else { playbook::parse_handlers };
        let steps: Arc<[Step]> = parse(&source, &self.vault, diagnostics).into();
        self.steps.insert((path.to_owned(), kind), Arc::clone(&steps));
        Ok(steps)
    }

    /// A YAML file of any shape; `None` if it is empty.
    pub(super) fn node(&self, path: &Path, diagnostics: &mut Diagnostics) -> Result<Option<Node>, Diagnostic> {
        let source = Source::read(path)?;
        Ok(yaml::load(&source, &self.vault, diagnostics).filter(|node| !node.is_null()))
    }

    /// A file of variables.
    pub(crate) fn variables(&mut self, path: &Path, diagnostics: &mut Diagnostics) -> Result<Arc<Map>, Diagnostic> {
        if let Some(known) = self.mappings.get(path) {
            return Ok(Arc::clone(known));
        }
        let map = match self.node(path, diagnostics)? {
            None => Map::new(),
            Some(node) => match node.as_map() {
                Some(map) => map.iter().map(|(name, entry)| (name.clone(), entry.value.to_value())).collect(),
                None => {
                    let message = format!("a file of variables must be a dictionary, and this is {}", node.describe());
                    return Err(Diagnostic::error(message).at(&node.span));
                }
            },
        };
        let map = Arc::new(map);
        self.mappings.insert(path.to_owned(), Arc::clone(&map));
        Ok(map)
    }

    /// The variables that are known before any host is: these, and over them those of `-e`.
    pub(super) fn known(&self, vars: &yaml::Mapping) -> Map {
        let mut known = super::role::map(vars);
        known.extend(self.extra.iter().map(|(name, value)| (name.clone(), value.clone())));
        known
    }

    /// A keyword's text, rendered before any host is known.
    pub(super) fn keyword(&self, field: &Field<String>, vars: impl FnOnce() -> Map) -> Result<String, Diagnostic> {
        match field {
            Field::Known(text) => Ok(text.clone()),
            Field::Template(template) => self.text(template, vars()),
        }
    }

    /// A keyword's texts, where a template may come to a list of them, or to none by `omit`.
    pub(super) fn texts(&self, field: &Field<String>, vars: impl FnOnce() -> Map) -> Result<Vec<String>, Diagnostic> {
        let Field::Template(template) = field else { return self.keyword(field, vars).map(|text| vec![text]) };
        let vars = vars();
        let lookup: Arc<dyn Lookup> = Arc::new(MapLookup(vars.clone().into_iter().collect()));
        let Ok(Value::List(items)) = self.templar.render(template, &lookup) else {
            return Ok(self.optional_text(template, vars)?.into_iter().collect());
        };
        let text = |item: Value| match item {
            Value::Str(text) => Ok(text),
            _ => Err(Diagnostic::error("this must come to a list of texts").at(&template.span)),
        };
        items.into_iter().map(text).collect()
    }

    /// A template's text, rendered before any host is known.
    pub(super) fn text(&self, template: &Template, vars: Map) -> Result<String, Diagnostic> {
        let text = self.optional_text(template, vars)?;
        text.ok_or_else(|| Diagnostic::error("this must come to a text").at(&template.span))
    }

    /// The same; `None` for `omit`.
    pub(super) fn optional_text(&self, template: &Template, vars: Map) -> Result<Option<String>, Diagnostic> {
        let vars: Arc<dyn Lookup> = Arc::new(MapLookup(vars.into_iter().collect()));
        match self.templar.render(template, &vars) {
            Ok(Value::Str(text)) => Ok(Some(text)),
            Ok(Value::Int(number)) => Ok(Some(number.to_string())),
            Ok(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Ok(Value::Omit) => Ok(None),
            Ok(_) => Err(Diagnostic::error("this must come to a text").at(&template.span)),
            Err(error) => {
                let told = Diagnostic::error(error.to_string()).at(&error.span).hint(
                    "this is read before the run: only the variables of plays and roles and those of `-e` are known here",
                );
                Err(error.hints.iter().cloned().fold(told, Diagnostic::hint))
            }
        }
    }

    /// Tags with their templates rendered, before any host is known: a list counts as its items. What cannot be rendered yet
    /// stays as it is written.
    pub(super) fn tags(&self, tags: &mut Vec<Spanned<Field<String>>>, vars: impl FnOnce() -> Map) {
        if !tags.iter().any(|tag| matches!(tag.value, Field::Template(_))) {
            return;
        }
        let vars: Arc<dyn Lookup> = Arc::new(MapLookup(vars().into_iter().collect()));
        let known = |text: String, span: &Span| Spanned { value: Field::Known(text), span: span.clone() };
        let render = |tag: Spanned<Field<String>>| {
            let Field::Template(template) = &tag.value else { return vec![tag] };
            match self.templar.render(template, &vars) {
                Ok(Value::Str(text)) => vec![known(text, &tag.span)],
                Ok(Value::Int(number)) => vec![known(number.to_string(), &tag.span)],
                Ok(Value::List(items)) => {
                    let texts = items.into_iter().filter_map(|item| match item {
                        Value::Str(text) => Some(text),
                        _ => None,
                    });
                    texts.map(|text| known(text, &tag.span)).collect()
                }
                _ => vec![tag],
            }
        };
        *tags = std::mem::take(tags).into_iter().flat_map(render).collect();
    }

    /// A role's directory: of a collection, beside the playbook, on the paths, or the path that the name is.
    pub(super) fn role(&self, name: &Place<'_>) -> Result<Found, Diagnostic> {
        let Place { role, playbook_dir, beside, collections, span } = name;
        let beside_playbook = playbook_dir.join("collections");
        let roots = || std::iter::once(&beside_playbook).chain(&self.paths.collections);
        let in_collection = |collection: &str, role: &str| {
            let (namespace, name) = collection.split_once('.')?;
            let below = Path::new("ansible_collections").join(namespace).join(name).join("roles").join(role);
            let path = roots().map(|root| root.join(&below)).find(|path| path.is_dir())?;
            Some(Found { path, collection: Some(collection.to_owned()), name: role.to_owned() })
        };
        let parts: Vec<&str> = role.split('.').collect();
        if let [namespace, name, role @ ..] = parts.as_slice()
            && !role.is_empty()
            && parts.iter().all(|part| is_word(part))
            && let Some(found) = in_collection(&format!("{namespace}.{name}"), &role.join("."))
        {
            return Ok(found);
        }
        if let Some(found) = collections.iter().find_map(|collection| in_collection(collection, role)) {
            return Ok(found);
        }
        let own = playbook_dir.join("roles");
        let dirs: Vec<&Path> = std::iter::once(own.as_path())
            .chain(self.paths.roles.iter().map(PathBuf::as_path))
            .chain(*beside)
            .chain(std::iter::once(*playbook_dir))
            .collect();
        // As realpath(3) has it, and the kernel has not: `roles/../..` is there, whether or not `roles` is.
        let at = |dir: &&Path| {
            let path = dir.join(role);
            if path.is_dir() { Some(path) } else { Some(normal(&path)).filter(|path| path.is_dir()) }
        };
        match dirs.iter().find_map(at) {
            // A path is the name, too, as it is written.
            Some(path) => Ok(Found { path: real(path), collection: None, name: (*role).to_owned() }),
            None => Err(self.no_role(role, &dirs, span)),
        }
    }

    fn no_role(&self, role: &str, dirs: &[&Path], span: &Span) -> Diagnostic {
        let known: Vec<String> = dirs
            .iter()
            .take(dirs.len() - 1)
            .filter_map(|dir| std::fs::read_dir(dir).ok())
            .flat_map(|entries| entries.filter_map(Result::ok))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        let places = dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ");
        let searched = dirs.iter().map(|dir| crate::execute::absolute(dir)).collect::<Vec<_>>().join(":");
        Diagnostic::absent(format!("there is no role `{role}`"))
            .told(format!("the role '{role}' was not found in {searched}"))
            .at(span)
            .did_you_mean(role, known.iter().map(String::as_str))
            .hint(format!("looked in {places}"))
    }
}

/// What a role is looked for by.
pub(super) struct Place<'a> {
    /// Its name.
    pub role: &'a str,
    /// Where the playbook is.
    pub playbook_dir: &'a Path,
    /// Where the role is that wants it.
    pub beside: Option<&'a Path>,
    /// Collections that a bare name may be of.
    pub collections: &'a [String],
    /// Where it is wanted.
    pub span: &'a Span,
}

/// A role's place.
pub(super) struct Found {
    /// Its directory.
    pub path: PathBuf,
    /// Its collection.
    pub collection: Option<String>,
    /// Its name there.
    pub name: String,
}

/// What the names of collections and of what is in them are made of.
fn is_word(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Where a role really is, if its path goes through a symbolic link: what is relative to a role is relative to that, as in
/// Ansible. Without one, the path stays as short as it was written.
fn real(path: PathBuf) -> PathBuf {
    let straight = |real: &PathBuf| std::path::absolute(&path).is_ok_and(|path| normal(&path) == *real);
    std::fs::canonicalize(&path).ok().filter(|real| !straight(real)).unwrap_or(path)
}

/// Of a directory's files that are called so, with any of YAML's endings or none: the first, or all of a directory of that
/// name. A bare name comes first where it was asked for by name.
pub(super) fn called(dir: &Path, name: &str, asked: bool) -> Vec<PathBuf> {
    let bare = dir.join(name);
    let ended = ["yml", "yaml", "json"].map(|ending| dir.join(format!("{name}.{ending}")));
    let candidates: Vec<PathBuf> = match asked {
        true => std::iter::once(bare).chain(ended).collect(),
        false => ended.into_iter().chain(std::iter::once(bare)).collect(),
    };
    match candidates.into_iter().find(|path| path.exists()) {
        Some(path) if path.is_dir() => below(&path),
        Some(path) => vec![path],
        None => Vec::new(),
    }
}

/// All YAML files of a directory and those in it, sorted.
fn below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut entries: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    entries.sort();
    let hidden = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with('.') || name.ends_with('~')
    };
    let yaml = |path: &Path| match path.extension() {
        Some(ending) => ["yml", "yaml", "json"].iter().any(|known| ending == *known),
        None => true,
    };
    entries
        .into_iter()
        .filter(|path| !hidden(path))
        .flat_map(
            |path| if path.is_dir() { below(&path) } else { vec![path].into_iter().filter(|p| yaml(p)).collect() },
        )
        .collect()
}
