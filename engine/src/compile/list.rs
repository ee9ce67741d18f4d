//! Tasks, blocks, roles and static imports as steps: what stands in the place of `import_tasks` and `import_role` is put
//! there, each with what it inherits. What `include_tasks` and `include_role` name comes in the same way, during the run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trueup_modules::builtin;
use trueup_modules::module::Entry;
use trueup_modules::param::truth;

use super::project::{Kind, Project};
use super::role::{FromFiles, Own, Role, Wanted, map};
use super::{BlockInfo, Handler, PlayPlan, Section, Selection, Step, defaults, search, tags};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::playbook::{self, Block, Common, Field, Spanned, Task};
use crate::template::{self, PluginKind, is_template};
use crate::value::{Map, Template, Value};
use crate::yaml::Node;

/// Lists steps for one play.
pub(super) struct Lister<'a> {
    pub project: &'a mut Project,
    pub selection: &'a Selection,
    pub diagnostics: &'a mut Diagnostics,
    pub plan: &'a mut PlayPlan,
    /// The play's index.
    pub play: usize,
    pub steps: Vec<Arc<Step>>,
}

/// What a step inherits from where it stands.
#[derive(Clone, Default)]
pub struct Around {
    /// The blocks, the outermost first, and the section of each that it is in.
    pub blocks: Vec<(Arc<BlockInfo>, Section)>,
    /// Tags of all of them.
    pub tags: BTreeSet<String>,
    /// The role that it belongs to.
    pub role: Option<Arc<Role>>,
    /// The files that were imported or included on the way here, the innermost last.
    pub files: Vec<Arc<Path>>,
    /// The dynamic includes that it came by, by their steps' numbers, the innermost last.
    pub includes: Vec<usize>,
    /// It came by a handler.
    pub in_handler: bool,
    /// That handler runs also where a host has failed, if handlers are forced.
    pub ends_section: bool,
    /// The blocks around the flush that the handler ran in.
    pub flushed_in: Vec<(Arc<BlockInfo>, Section)>,
    /// Only these hosts have it: an index into [`super::Program::audiences`].
    pub audience: Option<usize>,
}

impl Around {
    /// In a block of which nothing but its keywords counts.
    pub(super) fn within(mut self, block: Arc<BlockInfo>, section: Section) -> Self {
        self.tags.extend(tags::of(&block.common.tags));
        self.blocks.push((block, section));
        self
    }

    /// The roles that a role named here has above it.
    pub(super) fn chain(&self) -> Vec<Arc<Own>> {
        let role = self.role.iter();
        role.flat_map(|role| role.parents.iter().chain([&role.own]).cloned()).collect()
    }
}

impl Lister<'_> {
    /// A list of tasks and blocks.
    pub(super) fn list(&mut self, steps: &[playbook::Step], around: &Around) {
        for step in steps {
            match step {
                playbook::Step::Block(block) => self.block(block, around),
                playbook::Step::Task(task) => self.task(task, around),
            }
        }
    }

    fn block(&mut self, block: &Block, around: &Around) {
        let info = Arc::new(BlockInfo {
            has_rescue: !block.rescue.is_empty(),
            has_always: !block.always.is_empty(),
            ordered: !(block.rescue.is_empty() && block.always.is_empty()),
            ..self.block_info(block, around)
        });
        let sections =
            [(&block.block, Section::Block), (&block.rescue, Section::Rescue), (&block.always, Section::Always)];
        for (steps, section) in sections {
            self.list(steps, &around.clone().within(Arc::clone(&info), section));
        }
    }

    /// What a block says for all that is in it.
    pub(super) fn block_info(&mut self, block: &Block, around: &Around) -> BlockInfo {
        let mut common = block.common.clone();
        self.project.tags(&mut common.tags, || self.static_vars_with(Some(around), &block.common));
        BlockInfo {
            when: block.when.clone(),
            notify: block.notify.clone(),
            delegate_to: block.delegate_to.clone(),
            common,
            ..BlockInfo::plain(self.project.number())
        }
    }

    fn task(&mut self, task: &Task, around: &Around) {
        let listed = match task.module.value.as_str() {
            "import_tasks" => self.import_tasks(task, around),
            "import_role" => self.import_role(task, around),
            _ if meta(task) == Some("end_role") && around.role.is_none() => {
                Err(Diagnostic::error("`meta: end_role` stands outside of a role").at(&task.span))
            }
            _ => {
                let before = self.steps.len();
                self.step(task, around, None);
                if is_flush(task) && self.steps.len() > before {
                    self.flush(false);
                }
                Ok(())
            }
        };
        if let Err(error) = listed {
            self.diagnostics.push(error);
        }
    }

    /// A task as a step, if its tags are wanted. Handlers are run whatever their tags.
    pub(super) fn step(&mut self, task: &Task, around: &Around, handler: Option<Handler>) {
        let mut task = task.clone();
        let mut own = std::mem::take(&mut task.common.tags);
        self.project.tags(&mut own, || self.static_vars_with(Some(around), &task.common));
        task.common.tags = own;
        let mut own = around.tags.clone();
        own.extend(tags::of(&task.common.tags));
        if handler.is_none() && !tags::selected(self.selection, &own) {
            return;
        }
        if task.written.contains("{{") {
            self.name_module(&mut task, around);
            if is_template(&task.written) && handler.is_none() {
                self.choose_module(task, around);
                return;
            }
        }
        if let Err(error) = self.name_loop(&mut task, around) {
            self.diagnostics.push(error);
        }
        let (entry, wrong) = match self.module(&task) {
            Ok(entry) => (entry, Vec::new()),
            // Ansible takes no file in which it stands.
            Err(error) if task.module.value == "include" => {
                self.diagnostics.push(Diagnostic { absence: true, ..error });
                return;
            }
            Err(error) => match builtin::find("fail") {
                Some(fail) => (fail, vec![error]),
                None => return,
            },
        };
        let blocks = around.blocks.iter().map(|(block, _)| &block.common);
        let outer = std::iter::once(&self.plan.play.common).chain(blocks);
        defaults::give(&mut task, entry, outer, self.diagnostics);
        self.steps.push(Arc::new(Step {
            id: self.project.number(),
            handler,
            wrong,
            ..Step::new(self.play, Arc::new(task), entry, around.clone())
        }));
    }

    /// `action: "{{ … }}"`, as far as it is known before the run.
    fn name_module(&self, task: &mut Task, around: &Around) {
        let template = Template { text: task.written.clone(), span: task.module.span.clone(), secret: false };
        if let Ok(name) = self.project.text(&template, self.static_vars_with(Some(around), &task.common)) {
            task.module.value = playbook::plain_name(&name).to_owned();
            task.written = name;
        }
    }

    /// The same, where only the run knows it.
    fn choose_module(&mut self, task: Task, around: &Around) {
        let Some(entry) = builtin::find("include_tasks") else { return };
        let chooses = Some(Arc::new(task.clone()));
        let name = Node::text(&task.written, &task.module.span);
        let args = playbook::Args { free_form: Some(name), ..Default::default() };
        let Task { module, written, when, looping, listen, common, span, .. } = task;
        // Of a loop each item has conditions of its own.
        let when = if looping.is_some() { Vec::new() } else { when };
        let task = Task { written, when, listen, ..Task::bare(module, args, common, span) };
        self.steps.push(Arc::new(Step {
            id: self.project.number(),
            chooses,
            ..Step::new(self.play, Arc::new(task), entry, around.clone())
        }));
    }

    /// `loop_var` and `index_var` where they are templates.
    fn name_loop(&self, task: &mut Task, around: &Around) -> Result<(), Diagnostic> {
        let Some(looping) = &mut task.looping else { return Ok(()) };
        let names = [&mut looping.control.loop_var, &mut looping.control.index_var];
        for name in names.into_iter().flatten().filter(|name| is_template(&name.value)) {
            let template = Template { text: name.value.clone(), span: name.span.clone(), secret: false };
            name.value = self.project.text(&template, self.static_vars_with(Some(around), &task.common))?;
            if !playbook::is_variable(&name.value) {
                return Err(playbook::not_a_variable(&name.value).at(&name.span));
            }
        }
        Ok(())
    }

    fn module(&self, task: &Task) -> Result<&'static Entry, Diagnostic> {
        let name = task.module.value.as_str();
        builtin::find(name).ok_or_else(|| {
            let places = [task.module.span.path(), &self.plan.dir.join("playbook")];
            let note = places.into_iter().find_map(|place| template::of_plugin(PluginKind::Module, name, place));
            let message = format!("there is no module `{}`", task.written);
            let own = note.is_some();
            let message = note.map_or(message.clone(), |note| format!("{message}: {note}"));
            let error = Diagnostic::error(message).at(&task.module.span);
            let error = error.told(format!(
                "couldn't resolve module/action '{}'. This often indicates a misspelling, missing collection, or incorrect \
                 module path.",
                task.written
            ));
            if name == "include" {
                let error = error.told(
                    "The 'ansible.builtin.include' action plugin has been removed. Use include_tasks or import_tasks instead. This \
                     feature was removed from ansible-core in a release after 2023-05-16.",
                );
                return error.hint("it was removed from Ansible: use `include_tasks` or `import_tasks`");
            }
            if own { error } else { error.did_you_mean(name, builtin::names()) }
        })
    }

    fn import_tasks(&mut self, task: &Task, around: &Around) -> Result<(), Diagnostic> {
        no_loop(task)?;
        let name = self.file_of(task, around)?;
        let path = self.tasks_file(&name, around, Kind::Tasks, Way::Import).map_err(|error| error.at(&task.span))?;
        let steps = self.project.steps(&path, Kind::Tasks, self.diagnostics).map_err(|error| error.at(&task.span))?;
        let inner = self.imported(task, around, &path);
        self.list(&steps, &inner);
        Ok(())
    }

    /// What a static import's tasks inherit: all its keywords.
    fn imported(&mut self, task: &Task, around: &Around, path: &Path) -> Around {
        let mut common = task.common.clone();
        self.project.tags(&mut common.tags, || self.static_vars_with(Some(around), &task.common));
        common.name = None;
        let block = BlockInfo {
            when: task.when.clone(),
            notify: task.notify.clone(),
            delegate_to: task.delegate_to.clone(),
            common,
            ..BlockInfo::plain(self.project.number())
        };
        let mut inner = around.clone().within(Arc::new(block), Section::Block);
        inner.files.push(path.into());
        inner
    }

    fn import_role(&mut self, task: &Task, around: &Around) -> Result<(), Diagnostic> {
        no_loop(task)?;
        let text = |lister: &Self, name: &str| -> Result<Option<String>, Diagnostic> {
            let given = task.args.params.get(name);
            given.map(|entry| lister.node_text(&entry.value, Some(around), &task.common)).transpose()
        };
        let flag = |lister: &Self, name: &str| -> Result<Option<bool>, Diagnostic> {
            let Some(entry) = task.args.params.get(name) else { return Ok(None) };
            Ok(match flag(&entry.value) {
                None if entry.value.is_template() => {
                    Some(truth(&lister.node_text(&entry.value, Some(around), &task.common)?) == Some(true))
                }
                known => known,
            })
        };
        let Some(name) = text(self, "name")?.or(text(self, "role")?) else {
            return Err(Diagnostic::error("`import_role` must have a `name`").at(&task.span));
        };
        let from = FromFiles {
            tasks: text(self, "tasks_from")?,
            vars: text(self, "vars_from")?,
            defaults: text(self, "defaults_from")?,
            handlers: text(self, "handlers_from")?,
        };
        let wanted = Wanted {
            name,
            span: task.span.clone(),
            from,
            params: Map::new(),
            when: Vec::new(),
            delegate_to: None,
            common: playbook::Common { vars: task.common.vars.clone(), ..Default::default() },
            validate: flag(self, "rolespec_validate")?.unwrap_or(true),
            allow_duplicates: Some(flag(self, "allow_duplicates")?.unwrap_or(true)),
            public: flag(self, "public")?.unwrap_or(true),
            by_task: true,
        };
        let collections = self.collections(around);
        let role = self.load_role(wanted, &around.chain(), &collections)?;
        let inner = self.imported(task, around, &role.own.path);
        let inner = Around { files: around.files.clone(), ..inner };
        self.add_role(&role, &inner);
        self.role(&role, &inner);
        Ok(())
    }

    /// Makes a role known to its play: its variables, if they are public, and its handlers.
    pub(super) fn add_role(&mut self, role: &Arc<Role>, around: &Around) {
        self.plan.add_role(Arc::clone(role));
        self.role_handlers(role, around);
    }

    fn role_handlers(&mut self, role: &Arc<Role>, around: &Around) {
        let inner = in_role(role, around);
        role.dependencies.iter().for_each(|dependency| self.role_handlers(dependency, &inner));
        self.handlers(&role.handlers, &inner);
    }

    /// The steps of a role: those that it depends on, then its own.
    pub(super) fn role(&mut self, role: &Arc<Role>, around: &Around) {
        let inner = in_role(role, around);
        role.dependencies.iter().for_each(|dependency| self.role(dependency, &inner));
        if let Some(validation) = &role.validation {
            self.list(std::slice::from_ref(validation), &inner);
        }
        self.list(&role.tasks, &inner);
    }

    /// Collections that a bare name of a role may be of.
    pub(super) fn collections(&self, around: &Around) -> Vec<String> {
        let keyword = self.plan.play.common.carried.get("collections").map(|entry| entry.value.to_value());
        let play = match keyword {
            Some(Value::List(names)) => names.into_iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        around.role.iter().flat_map(|role| role.collections.clone()).chain(play).collect()
    }

    /// The file that an import names.
    fn file_of(&self, task: &Task, around: &Around) -> Result<String, Diagnostic> {
        match task.args.free_form.as_ref().or(task.args.params.get("file").map(|entry| &entry.value)) {
            Some(node) => self.node_text(node, Some(around), &task.common),
            None => Err(Diagnostic::error(format!("`{}` must name a file", task.written)).at(&task.module.span)),
        }
    }

    fn node_text(&self, node: &Node, around: Option<&Around>, own: &Common) -> Result<String, Diagnostic> {
        match node.to_value() {
            Value::Template(template) => self.project.text(&template, self.static_vars_with(around, own)),
            Value::Str(text) => Ok(text),
            _ => match node.as_scalar() {
                Some(scalar) => Ok(scalar.text.clone()),
                None => Err(Diagnostic::error("this must be a text").at(&node.span)),
            },
        }
    }

    /// A keyword's text, rendered before any host is known.
    pub(super) fn static_text(
        &self,
        field: &Spanned<Field<String>>,
        around: Option<&Around>,
    ) -> Result<String, Diagnostic> {
        match &field.value {
            Field::Known(text) => Ok(text.clone()),
            Field::Template(template) => self.static_template(template, around),
        }
    }

    pub(super) fn static_template(&self, template: &Template, around: Option<&Around>) -> Result<String, Diagnostic> {
        self.project.text(template, self.static_vars(around))
    }

    /// [`Lister::static_vars`], and those of a task or block itself.
    fn static_vars_with(&self, around: Option<&Around>, own: &Common) -> Map {
        let mut vars = self.static_vars(around);
        let weaker = |name: &String| !self.project.extra.contains_key(name);
        vars.extend(map(&own.vars).into_iter().filter(|(name, _)| weaker(name)));
        vars
    }

    /// The variables that no host has a part in, as strong as in the run.
    fn static_vars(&self, around: Option<&Around>) -> Map {
        let mut vars = Map::new();
        let mut add = |map: &Map| vars.extend(map.iter().map(|(name, value)| (name.clone(), value.clone())));
        let role = around.and_then(|around| around.role.as_ref());
        add(&self.plan.role_defaults);
        role.iter().for_each(|role| add(&role.vars.defaults));
        add(&map(&self.plan.play.common.vars));
        self.plan.vars_files.read.iter().filter_map(Node::as_map).for_each(|file| add(&map(file)));
        add(&self.plan.role_exports);
        role.iter().for_each(|role| add(&role.vars.vars));
        for (block, _) in around.iter().flat_map(|around| &around.blocks) {
            add(&map(&block.common.vars));
        }
        role.iter().for_each(|role| add(&role.vars.params));
        for (block, _) in around.iter().flat_map(|around| &around.blocks) {
            add(&block.params);
        }
        add(&self.project.extra);
        let path = |path: &Path| Value::Str(absolute(path).display().to_string());
        vars.insert("playbook_dir".into(), path(&self.plan.dir));
        if let Some(role) = role {
            vars.insert("role_path".into(), path(&role.own.path));
            vars.insert("role_name".into(), Value::Str(role.own.name.clone()));
        }
        vars
    }

    /// Where a file of tasks is: beside the one that names it, in the role's directory of its kind, or beside the playbook.
    pub(super) fn tasks_file(&self, name: &str, around: &Around, kind: Kind, way: Way) -> Result<PathBuf, Diagnostic> {
        let folder = if kind == Kind::Tasks { "tasks" } else { "handlers" };
        let beside = around.files.iter().rev().filter_map(|file| file.parent()).map(|dir| dir.join(name));
        let mut places: Vec<PathBuf> = match &around.role {
            Some(role) => {
                let own = [role.own.path.join(folder).join(name)];
                // A handler finds what stands among the tasks, too.
                let last = [role.own.path.join("tasks").join(name), role.own.path.join(name)];
                match way {
                    Way::Import => beside.chain(own).chain(last).collect(),
                    Way::Include => own.into_iter().chain(beside).chain(last).collect(),
                }
            }
            None => beside.collect(),
        };
        places.push(self.plan.dir.join(name));
        places.dedup();
        match places.iter().find(|path| path.is_file()) {
            Some(path) => Ok(path.clone()),
            None => {
                let looked = places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
                let told = match (&way, places.first()) {
                    (Way::Import, Some(first)) => search::in_vain(first),
                    _ => format!("Could not find or access '{name}' on the Ansible Controller."),
                };
                Err(Diagnostic::absent(format!("there is no file of tasks `{name}`"))
                    .told_alone(told)
                    .hint(format!("looked for {looked}")))
            }
        }
    }
}

/// Whether what is named is read before the run, or in it: Ansible searches in a different order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Import,
    Include,
}

fn in_role(role: &Arc<Role>, around: &Around) -> Around {
    let mut inner = around.clone().within(Arc::clone(&role.block), Section::Block);
    inner.tags.extend(role.tags.iter().cloned());
    inner.role = Some(Arc::clone(role));
    inner.files = Vec::new();
    inner
}

fn no_loop(task: &Task) -> Result<(), Diagnostic> {
    match &task.looping {
        None => Ok(()),
        Some(_) => Err(Diagnostic::error(format!("`{}` cannot stand in a loop", task.written))
            .at(&task.module.span)
            .hint(format!("use `{}`, which is read when its turn comes", task.written.replace("import", "include")))),
    }
}

/// `meta: flush_handlers`.
pub(super) fn is_flush(task: &Task) -> bool {
    meta(task) == Some("flush_handlers")
}

/// The action of a `meta` task.
pub(super) fn meta(task: &Task) -> Option<&str> {
    let action = task.args.free_form.as_ref().filter(|_| task.module.value == "meta")?;
    Some(action.as_scalar()?.text.trim())
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text),
        _ => None,
    }
}

fn flag(node: &Node) -> Option<bool> {
    match node.to_value() {
        Value::Bool(flag) => Some(flag),
        Value::Str(text) => Some(truth(&text) == Some(true)),
        _ => None,
    }
}
