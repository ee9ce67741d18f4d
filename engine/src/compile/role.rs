//! Roles: what is read of their directories, and the variables that their tasks see.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::list::Lister;
use super::project::{Kind, Place, called};
use super::{BlockInfo, specification};
use crate::diagnostic::Diagnostic;
use crate::playbook::{self, Common, Condition, Opt, Step};
use crate::source::Span;
use crate::value::{Map, Value};
use crate::yaml::Node;

/// A role where a play uses it.
pub struct Role {
    /// Unique in a program.
    pub id: usize,
    /// What it is by itself.
    pub own: Arc<Own>,
    /// The roles that want it, the outermost first.
    pub parents: Vec<Arc<Own>>,
    /// Equal for uses that count as the same: on a host where it ran, the same role does not run again.
    pub key: String,
    /// Unless this says so.
    pub allow_duplicates: bool,
    /// Whether the play's other tasks see its variables.
    pub public: bool,
    /// By `import_role` or `include_role`: then its tasks are told of the roles that want it.
    pub by_task: bool,
    /// Its variables, as its tasks see them.
    pub vars: RoleVars,
    /// Run before it.
    pub dependencies: Vec<Arc<Role>>,
    /// Collections that a bare name of a role may be of.
    pub(super) collections: Vec<String>,
    pub(super) block: Arc<BlockInfo>,
    pub(super) tags: BTreeSet<String>,
    pub(super) tasks: Arc<[Step]>,
    pub(super) handlers: Arc<[Step]>,
    pub(super) validation: Option<Step>,
}

/// A role's own part.
pub struct Own {
    /// Its name.
    pub name: String,
    /// With its collection before it.
    pub full_name: String,
    /// Its directory.
    pub path: PathBuf,
    defaults: Map,
    vars: Map,
    params: Map,
    keyword: Map,
}

/// A role's variables, by their strength.
#[derive(Default)]
pub struct RoleVars {
    /// Weaker than the inventory.
    pub defaults: Arc<Map>,
    /// Weaker than the variables of blocks and tasks.
    pub vars: Arc<Map>,
    /// Stronger than `set_fact`.
    pub params: Arc<Map>,
    /// `defaults` without those of the roles that want it: what a play sees.
    pub public_defaults: Arc<Map>,
    /// What a play sees of `vars`.
    pub exports: Arc<Map>,
}

/// Which role is wanted, and how.
pub(super) struct Wanted {
    pub name: String,
    pub span: Span,
    pub from: FromFiles,
    pub params: Map,
    pub when: Vec<Condition>,
    pub delegate_to: Opt<String>,
    pub common: Common,
    pub validate: bool,
    pub allow_duplicates: Option<bool>,
    pub public: bool,
    /// By `import_role` or `include_role`.
    pub by_task: bool,
}

/// `tasks_from` and its like.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FromFiles {
    pub tasks: Option<String>,
    pub vars: Option<String>,
    pub defaults: Option<String>,
    pub handlers: Option<String>,
}

impl Wanted {
    /// An item of `roles`, or of a role's dependencies.
    pub(super) fn item(role: &playbook::Role, name: String) -> Self {
        Self {
            name,
            span: role.name.span.clone(),
            from: FromFiles::default(),
            params: map(&role.params),
            when: role.when.clone(),
            delegate_to: role.delegate_to.clone(),
            common: role.common.clone(),
            validate: true,
            allow_duplicates: None,
            public: true,
            by_task: false,
        }
    }
}

impl Lister<'_> {
    /// Reads a role and those that it depends on.
    pub(super) fn load_role(
        &mut self,
        wanted: Wanted,
        parents: &[Arc<Own>],
        collections: &[String],
    ) -> Result<Arc<Role>, Diagnostic> {
        let beside = parents.last().and_then(|parent| parent.path.parent()).map(Path::to_owned);
        let found = self.project.role(&Place {
            role: &wanted.name,
            playbook_dir: &self.plan.dir.clone(),
            beside: beside.as_deref(),
            collections,
            span: &wanted.span,
        })?;
        if !wanted.by_task && parents.iter().any(|parent| parent.path == found.path) {
            let path: Vec<&str> = parents.iter().map(|parent| parent.name.as_str()).chain([&*found.name]).collect();
            let message = format!("roles depend on each other: {}", path.join(" → "));
            return Err(Diagnostic::error(message).at(&wanted.span));
        }
        let path = found.path;
        let meta = self.role_meta(&path)?;
        let full_name = match &found.collection {
            Some(collection) => format!("{collection}.{}", found.name),
            None => found.name.clone(),
        };
        let own = Arc::new(Own {
            defaults: self.role_variables(&path, "defaults", wanted.from.defaults.as_deref(), &wanted.span)?,
            vars: self.role_variables(&path, "vars", wanted.from.vars.as_deref(), &wanted.span)?,
            keyword: map(&wanted.common.vars),
            params: wanted.params.clone(),
            name: found.name,
            full_name,
            path,
        });
        let own_collections = found.collection.into_iter().chain(meta.collections).collect();
        self.finish_role(wanted, own, parents, meta.rest, own_collections)
    }

    fn finish_role(
        &mut self,
        wanted: Wanted,
        own: Arc<Own>,
        parents: &[Arc<Own>],
        meta: Meta,
        collections: Vec<String>,
    ) -> Result<Arc<Role>, Diagnostic> {
        let chain: Vec<Arc<Own>> = parents.iter().chain([&own]).cloned().collect();
        let mut dependencies = Vec::new();
        for item in &meta.dependencies {
            let name = self.static_text(&item.name, None)?;
            dependencies.push(self.load_role(Wanted::item(item, name), &chain, &collections)?);
        }
        let from = &wanted.from;
        let tasks = self.role_steps(&own.path, Kind::Tasks, from.tasks.as_deref(), &wanted.span)?;
        let handlers = self.role_steps(&own.path, Kind::Handlers, from.handlers.as_deref(), &wanted.span)?;
        let entry_point = from.tasks.as_deref().unwrap_or("main");
        let validation = match wanted.validate {
            true => specification::task(&meta.specifications, entry_point, &own, &wanted.span),
            false => None,
        };
        let mut wanted = wanted;
        let mut tags = std::mem::take(&mut wanted.common.tags);
        self.project.tags(&mut tags, || self.role_tag_vars(&wanted));
        wanted.common.tags = tags;
        let tags = super::tags::of(&wanted.common.tags);
        let key = key(&wanted, &own, &tags);
        let vars = layers(&own, &chain, &dependencies);
        let mut common = wanted.common;
        (common.name, common.vars) = (None, Default::default());
        let (when, delegate_to) = (wanted.when, wanted.delegate_to);
        let block = Arc::new(BlockInfo { when, delegate_to, common, ..BlockInfo::plain(self.project.number()) });
        Ok(Arc::new(Role {
            id: self.project.number(),
            parents: parents.to_vec(),
            key,
            allow_duplicates: wanted.allow_duplicates.unwrap_or(meta.allow_duplicates),
            public: wanted.public,
            by_task: wanted.by_task,
            vars,
            dependencies,
            collections,
            block,
            tags,
            tasks,
            handlers,
            validation,
            own,
        }))
    }

    /// What the tags of a role may read.
    fn role_tag_vars(&self, wanted: &Wanted) -> Map {
        let mut vars = map(&self.plan.play.common.vars);
        vars.extend(map(&wanted.common.vars));
        vars.extend(wanted.params.clone());
        vars.extend(self.project.extra.iter().map(|(name, value)| (name.clone(), value.clone())));
        vars
    }

    fn role_variables(&mut self, role: &Path, dir: &str, from: Option<&str>, span: &Span) -> Result<Map, Diagnostic> {
        let mut all = Map::new();
        for file in self.role_files(role, dir, from, span)? {
            let map = self.project.variables(&file, self.diagnostics)?;
            all.extend(map.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        Ok(all)
    }

    fn role_steps(
        &mut self,
        role: &Path,
        kind: Kind,
        from: Option<&str>,
        span: &Span,
    ) -> Result<Arc<[Step]>, Diagnostic> {
        let dir = if kind == Kind::Tasks { "tasks" } else { "handlers" };
        match self.role_files(role, dir, from, span)?.first() {
            Some(file) => self.project.steps(file, kind, self.diagnostics),
            None => Ok(Arc::new([])),
        }
    }

    fn role_files(&self, role: &Path, dir: &str, from: Option<&str>, span: &Span) -> Result<Vec<PathBuf>, Diagnostic> {
        let found = called(&role.join(dir), from.unwrap_or("main"), from.is_some());
        match from {
            Some(name) if found.is_empty() => {
                let message = format!("there is no file `{name}` in {}", role.join(dir).display());
                Err(Diagnostic::error(message).at(span))
            }
            _ => Ok(found),
        }
    }

    fn role_meta(&mut self, role: &Path) -> Result<ReadMeta, Diagnostic> {
        let mut read = ReadMeta::default();
        if let Some(file) = called(&role.join("meta"), "main", false).first()
            && let Some(node) = self.project.node(file, self.diagnostics)?
            && let Some(map) = node.as_map()
        {
            let node_of = |name: &str| map.get(name).map(|entry| &entry.value);
            if let Some(dependencies) = node_of("dependencies") {
                read.rest.dependencies = playbook::parse_dependencies(dependencies, self.diagnostics);
            }
            read.rest.allow_duplicates = node_of("allow_duplicates").is_some_and(|node| {
                matches!(node.to_value(), Value::Bool(true)) || node.as_scalar().is_some_and(|s| s.text == "yes")
            });
            read.rest.specifications = node_of("argument_specs").cloned();
            if let Some(Value::List(names)) = node_of("collections").map(Node::to_value) {
                read.collections = names.iter().filter_map(text).collect();
            }
        }
        for name in ["argument_specs", "argument_spec"] {
            if let Some(file) = called(&role.join("meta"), name, false).first()
                && let Some(node) = self.project.node(file, self.diagnostics)?
            {
                read.rest.specifications =
                    node.as_map().and_then(|map| map.get("argument_specs")).map(|entry| entry.value.clone());
                break;
            }
        }
        Ok(read)
    }
}

#[derive(Default)]
struct ReadMeta {
    rest: Meta,
    collections: Vec<String>,
}

/// What `meta/main.yml` says of running it.
#[derive(Default)]
struct Meta {
    dependencies: Vec<playbook::Role>,
    allow_duplicates: bool,
    specifications: Option<Node>,
}

/// What Ansible compares: name, path, parameters, `when`, `tags`, files and variables.
fn key(wanted: &Wanted, own: &Own, tags: &BTreeSet<String>) -> String {
    let when: Vec<&str> = wanted.when.iter().map(|condition| condition.text.as_str()).collect();
    format!(
        "{} {} {:?} {when:?} {tags:?} {:?} {:?} {}",
        own.full_name,
        own.path.display(),
        own.params,
        wanted.from,
        own.keyword,
        wanted.by_task,
    )
}

/// Ansible's `get_default_vars`, `get_vars` and `get_role_params`.
fn layers(own: &Own, chain: &[Arc<Own>], dependencies: &[Arc<Role>]) -> RoleVars {
    let (mut public_defaults, mut exports) = (Map::new(), Map::new());
    for dependency in dependencies {
        add(&mut public_defaults, &dependency.vars.public_defaults);
        add(&mut exports, &dependency.vars.exports);
    }
    let mut defaults = public_defaults.clone();
    let mut vars = Map::new();
    let mut params = Map::new();
    for one in chain {
        add(&mut defaults, &one.defaults);
        add(&mut vars, &one.keyword);
        add(&mut vars, &one.vars);
        add(&mut params, &one.params);
    }
    add(&mut vars, &exports);
    add(&mut vars, &own.vars);
    add(&mut vars, &own.keyword);
    add(&mut public_defaults, &own.defaults);
    add(&mut exports, &own.vars);
    RoleVars {
        defaults: Arc::new(defaults),
        vars: Arc::new(vars),
        params: Arc::new(params),
        public_defaults: Arc::new(public_defaults),
        exports: Arc::new(exports),
    }
}

fn add(to: &mut Map, from: &Map) {
    to.extend(from.iter().map(|(name, value)| (name.clone(), value.clone())));
}

pub(super) fn map(from: &crate::yaml::Mapping) -> Map {
    from.iter().map(|(name, entry)| (name.clone(), entry.value.to_value())).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.clone()),
        _ => None,
    }
}
