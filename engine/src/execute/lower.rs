//! From a step and a host's variables to what is to be done: rendered parameters, item by item.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Map as JsonMap, Value as Json};
use trueup_modules::agent;
use trueup_modules::host::Why;
use trueup_modules::secret::{REDACTED, Secret};
use trueup_modules::wire::{Become, Method, Task as WireTask};

use super::fleet::Keywords;
use super::json::to_json;
use super::vars::{Layers, View};
use crate::compile::{Program, Step, search};
use crate::playbook::{Common, Condition, Field, LoopOver, Opt, Spanned};
use crate::remote::Blobs;
use crate::source::{Source, Span};
use crate::template::{Delimiters, Lookup, Rendered, Templar, Truth, Whitespace};
use crate::value::{Map, Template, Value};
use crate::vault::VaultPasswords;
use crate::yaml::Node;

mod error;
mod expressions;
mod facts;
mod files;
mod limits;
pub(super) mod loops;
mod tree;
mod vars_files;

pub(super) use error::{CONDITIONAL, LowerError};

/// Why such a `debug` is skipped, in Ansible's words.
pub(super) const TOO_QUIET: &str = "Verbosity threshold not met.";

/// Renders for one host.
pub(super) struct Lower<'a> {
    /// What is run.
    pub program: &'a Program,
    /// Renders.
    pub templar: &'a Templar,
    /// Takes files that an agent may ask for.
    pub blobs: &'a Blobs,
    /// What opens files that ansible-vault has sealed.
    pub vault: &'a VaultPasswords,
    /// The user that the host's agent runs as, where known: becoming that user is nothing.
    pub login: Option<String>,
    /// sudo's password, from the command line.
    pub become_password: Option<trueup_modules::secret::Secret>,
    /// `-b`.
    pub become_all: bool,
    /// How often `-v` was given.
    pub verbosity: u8,
}

/// One item of a step, or the step itself where there is no loop.
pub(super) struct Item {
    /// What is shown for it.
    pub label: Option<String>,
    /// Its variables.
    pub view: View,
    /// What it comes to.
    pub work: Work,
    /// How often it has been tried.
    pub tries: Tries,
    /// The host that acts instead (`delegate_to`).
    pub acts: Option<String>,
}

/// How often something was tried that may be tried again: by `until` and `retries`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tries {
    /// It is tried once.
    #[default]
    Once,
    /// So often so far.
    So(u64),
    /// So often, and never as it should be.
    InVain(u64),
}

/// What an item comes to.
pub(super) enum Work {
    /// A condition does not hold.
    Skip(String),
    /// In a preview: unknown.
    Unknown(Why),
    /// A task for an agent, or for the controller.
    Task(Box<WireTask>),
    /// It can't be rendered.
    Error(LowerError),
}

impl Lower<'_> {
    /// The variables that a step has from where it stands.
    pub(super) fn task_vars(&self, step: &Step) -> Layers {
        let plan = &self.program.plays[step.play];
        let of = |common: &Common| Arc::new(mapping(&common.vars));
        let role = step.around.role.as_ref().map(|role| &role.vars);
        let mut own: Vec<Arc<Map>> = step.scopes(self.program).skip(1).map(of).collect();
        own.reverse();
        own.extend(role.map(|vars| Arc::clone(&vars.vars)));
        own.push(Arc::clone(&plan.role_exports));
        own.extend(plan.vars_files.read.iter().rev().filter_map(Node::as_map).map(|map| Arc::new(mapping(map))));
        own.push(of(&plan.play.common));
        let mut strong: Vec<Arc<Map>> =
            step.blocks().iter().rev().map(|(block, _)| Arc::clone(&block.params)).collect();
        strong.extend(role.map(|vars| Arc::clone(&vars.params)));
        let defaults = role.map(|vars| Arc::clone(&vars.defaults));
        let weak = defaults.into_iter().chain([Arc::clone(&plan.role_defaults)]).collect();
        Layers { strong, own, weak }
    }

    /// The items of a step, each with its conditions applied.
    pub(super) fn items(&self, step: &Step, view: &View) -> Result<Vec<Item>, LowerError> {
        let vars = view.clone().shared();
        let Some(looping) = &step.task.looping else {
            return Ok(vec![self.item(step, view.clone(), None)]);
        };
        // A condition that holds the step off altogether must not need the loop's list.
        let list = match self.list(&looping.over, &vars) {
            Ok(list) => list,
            Err(error) => match self.holds(step, &vars) {
                Ok(Some(because)) => {
                    return Ok(vec![Item {
                        label: None,
                        view: view.clone(),
                        work: Work::Skip(because),
                        tries: Tries::Once,
                        acts: None,
                    }]);
                }
                _ => return Err(error),
            },
        };
        let control = &looping.control;
        let extended = self.extended(control, &vars)?;
        let mut items = Vec::new();
        let mut before = view.clone();
        for (at, value) in list.iter().enumerate() {
            let magic = loops::magic(control, &list, at, extended);
            let view = before.clone().with(magic);
            let label = match &control.label {
                Some(label) => self.templar.resolve(&label.to_value(), &view.clone().shared())?,
                None => value.clone(),
            };
            let item = self.item(step, view, Some(show(&label)));
            // What one item sets, the next ones read, whatever else has that name.
            if let Some(facts) = facts::set_by(step, &item.work) {
                before = before.with(facts);
            }
            items.push(item);
        }
        Ok(items)
    }

    fn list(&self, over: &LoopOver, vars: &Arc<dyn Lookup>) -> Result<Vec<Value>, LowerError> {
        let (node, flatten) = match over {
            LoopOver::List(node) => (node, false),
            LoopOver::Lookup(name, node) if name.value == "items" => (node, true),
            LoopOver::Lookup(name, node) => return self.looked_up(name, node, vars),
        };
        match self.templar.resolve(&node.to_value(), vars)? {
            Value::List(items) if flatten => Ok(items
                .into_iter()
                .flat_map(|item| match item {
                    Value::List(inner) => inner,
                    single => vec![single],
                })
                .collect()),
            Value::List(items) => Ok(items),
            Value::Unknown(why) => Err(LowerError::Unknown(why)),
            other if flatten => Ok(vec![other]),
            other => {
                Err(LowerError::Value(node.span.clone(), format!("`loop` needs a list, and this is {}", kind(&other))))
            }
        }
    }

    /// `with_<lookup>`: what the lookup makes of its terms.
    fn looked_up(&self, name: &Spanned<String>, node: &Node, vars: &Arc<dyn Lookup>) -> Result<Vec<Value>, LowerError> {
        const TERMS: &str = "ansible_loop_terms";
        let terms = match self.templar.resolve(&node.to_value(), vars)? {
            Value::Unknown(why) => return Err(LowerError::Unknown(why)),
            Value::List(terms) => terms,
            term => vec![term],
        };
        let given: String = (0..terms.len()).map(|at| format!(", {TERMS}[{at}]")).collect();
        let call = format!("query('{}'{given})", name.value);
        let terms = Map::from_iter([(TERMS.to_owned(), Value::List(terms))]);
        let vars: Arc<dyn Lookup> = Arc::new(super::vars::Over { map: terms, below: Arc::clone(vars) });
        match self.templar.expression(&call, &name.span, &vars)? {
            Value::List(items) => Ok(items),
            Value::Unknown(why) => Err(LowerError::Unknown(why)),
            other => Ok(vec![other]),
        }
    }

    pub(super) fn item(&self, step: &Step, view: View, label: Option<String>) -> Item {
        let vars = view.clone().shared();
        // As in Ansible, who acts is asked before whether anybody does.
        let (acts, wrong) = match self.delegate(step, &vars) {
            Ok(acts) => (acts, None),
            Err(error) => (None, Some(error)),
        };
        let work = match wrong.map_or_else(|| self.holds(step, &vars), Err) {
            Ok(Some(because)) => Work::Skip(because),
            Ok(None) => match self.task(step, &vars, acts.as_ref().map(|host| self.acting(step, &view, host))) {
                Ok(task) if self.is_too_quiet(&task) => Work::Skip(TOO_QUIET.to_owned()),
                Ok(task) => Work::Task(Box::new(task)),
                Err(LowerError::Unknown(why)) => Work::Unknown(why),
                Err(error) => Work::Error(error),
            },
            Err(LowerError::Unknown(why)) => Work::Unknown(why),
            Err(error) => Work::Error(error),
        };
        Item { label, view, work, tries: Tries::Once, acts }
    }

    /// The host that acts instead of this one; of several `delegate_to` the innermost counts.
    fn delegate(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<Option<String>, LowerError> {
        let host = match step.delegate_to() {
            None => return Ok(None),
            Some(Field::Known(host)) => host.clone(),
            Some(Field::Template(template)) => match self.render(template, vars)? {
                Value::Omit => return Ok(None),
                host if host == Value::Null || show(&host).is_empty() => {
                    let message = "`delegate_to` must name a host, and this comes to nothing (`omit` would be allowed)";
                    return Err(LowerError::Value(template.span.clone(), message.into()));
                }
                host => show(&host),
            },
        };
        let own = vars.get("inventory_hostname").map(show);
        Ok(Some(host).filter(|host| !host.is_empty() && own.as_ref() != Some(host)))
    }

    /// What the host that acts has of a step's variables.
    fn acting(&self, step: &Step, view: &View, host: &str) -> Arc<dyn Lookup> {
        view.of(host, &self.task_vars(step)).shared()
    }

    /// A `debug` that more `-v` would show.
    fn is_too_quiet(&self, task: &WireTask) -> bool {
        task.module == "debug" && task.params["verbosity"].as_u64().is_some_and(|wanted| wanted > self.verbosity.into())
    }

    /// The first condition that does not hold.
    fn holds(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<Option<String>, LowerError> {
        let blocks = step.blocks().iter().flat_map(|(block, _)| &block.when);
        for condition in blocks.chain(&step.task.when) {
            let truth = self.templar.condition(&condition.text, &condition.span, vars);
            match truth.map_err(|error| LowerError::from(error).within(|| CONDITIONAL.to_owned()))? {
                Truth::Yes => {}
                Truth::No => return Ok(Some(condition.text.clone())),
                Truth::Unknown(why) => return Err(LowerError::Unknown(why)),
            }
        }
        Ok(None)
    }

    /// Whether all conditions hold; an empty list does.
    pub(super) fn all(&self, conditions: &[Condition], vars: &Arc<dyn Lookup>) -> Result<Truth, LowerError> {
        for condition in conditions {
            match self.templar.condition(&condition.text, &condition.span, vars)? {
                Truth::Yes => {}
                other => return Ok(other),
            }
        }
        Ok(Truth::Yes)
    }

    fn task(
        &self,
        step: &Step,
        vars: &Arc<dyn Lookup>,
        acting: Option<Arc<dyn Lookup>>,
    ) -> Result<WireTask, LowerError> {
        if let Some(wrong) = step.wrong.first() {
            let fitted = self.params(step, vars).map(|given| step.entry.fit(Json::Object(given)));
            let msg = fitted.ok().and_then(Result::err).and_then(|problem| problem.msg);
            return Err(LowerError::Wrong(Box::new(wrong.clone()), msg));
        }
        let given = Json::Object(self.params(step, vars)?);
        let mut secrets = BTreeSet::new();
        agent::collect_secrets(&given, &mut secrets);
        let params = step.entry.fit(given).map_err(|problem| LowerError::param(problem, &secrets))?;
        Ok(WireTask {
            id: 0,
            secrets: secrets.into_iter().collect(),
            name: self.name(step, vars),
            module: step.entry.name.into(),
            params,
            become_: self.escalation(step, vars, acting.as_ref())?,
            environment: self.environment(step, vars)?,
            check: self.flag(step, vars, |common| &common.check_mode)?,
            timeout: self.timeout(step, vars)?,
            job: self.detached(step, vars)?.map(|(job, _)| job),
        })
    }

    /// The task's name for people; as written where it can't be rendered.
    pub(super) fn name(&self, step: &Step, vars: &Arc<dyn Lookup>) -> String {
        match step.task.common.name.as_ref().map(|name| &name.value) {
            Some(Field::Template(template)) => match self.templar.render(template, vars) {
                Ok(value @ (Value::Str(_) | Value::Int(_))) => step.named(show(&value)),
                Err(_) => self.templar.render_name(template, vars).map_or_else(|| step.name(), |name| step.named(name)),
                Ok(_) => step.name(),
            },
            _ => step.name(),
        }
    }

    fn params(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<JsonMap<String, Json>, LowerError> {
        let args = &step.task.args;
        let mut params = Map::new();
        if let Some(template) = &args.rendered {
            params.extend(self.dictionary(template, "args", vars)?);
        }
        if let (Some(name), Some(node)) = (step.entry.free_form, &args.free_form) {
            let value =
                self.templar.resolve(&node.to_value(), vars).map_err(|error| of_arg(step, "_raw_params", error))?;
            params.insert(name.into(), value);
        }
        if let (None, Some(node)) = (step.entry.free_form, &args.free_form) {
            match self.templar.resolve(&node.to_value(), vars)? {
                Value::Map(map) => params.extend(map),
                Value::Unknown(why) => return Err(LowerError::Unknown(why)),
                other => {
                    let message =
                        format!("`{}` takes parameters, and this comes to {}", step.task.written, kind(&other));
                    return Err(LowerError::Value(node.span.clone(), message));
                }
            }
        }
        if step.entry.name == "assert" || step.entry.name == "debug" {
            return self.expressions(step, params, vars);
        }
        // What `apply` says is rendered where it is applied.
        let rendered = |name: &&String| !(step.turns() && *name == "apply");
        for (name, entry) in args.params.iter().filter(|(name, _)| rendered(name)) {
            let value = self.param(name, &entry.value, vars).map_err(|error| of_arg(step, name, error))?;
            if value != Value::Omit {
                params.insert(name.clone(), value);
            }
        }
        self.defaults(step, &mut params, vars)?;
        match step.entry.name {
            "template" => self.template(step, &mut params, vars)?,
            "copy" => self.copy(step, &mut params, vars)?,
            "script" => self.script(step, &mut params)?,
            "assemble" => self.assemble(step, &mut params)?,
            "unarchive" => self.unarchive(step, &mut params)?,
            "fetch" => self.fetch(step, &mut params, vars)?,
            "include_vars" => self.include_vars(step, &mut params)?,
            "set_fact" => params = self.named(step, params, vars)?,
            "validate_argument_spec" => self.provided(&mut params, vars)?,
            _ => {}
        }
        params.into_iter().map(|(name, value)| Ok((name, to_json(&value).map_err(LowerError::Unknown)?))).collect()
    }

    fn param(&self, name: &str, node: &Node, vars: &Arc<dyn Lookup>) -> Result<Value, LowerError> {
        match (name, node.file_mode()) {
            ("mode" | "directory_mode", Ok(mode)) if !node.is_template() => Ok(Value::Str(mode)),
            _ => Ok(self.templar.resolve(&node.to_value(), vars)?),
        }
    }

    /// `module_defaults`, for what is not given.
    fn defaults(&self, step: &Step, params: &mut Map, vars: &Arc<dyn Lookup>) -> Result<(), LowerError> {
        let args = &step.task.args;
        if args.defaults.is_empty() && args.rendered_defaults.is_none() {
            return Ok(());
        }
        // What is omitted is given, too.
        let names = params.keys().chain(args.params.keys());
        let given: Vec<String> = names.filter_map(|name| step.entry.canonical(name)).collect();
        let missing = |name: &str| step.entry.canonical(name).is_none_or(|name| !given.contains(&name));
        let mut add = |name: &str, value: Value| {
            if value != Value::Omit {
                params.insert(name.into(), value);
            }
        };
        for (name, entry) in args.defaults.iter().filter(|(name, _)| missing(name)) {
            add(name, self.param(name, &entry.value, vars)?);
        }
        if let Some(template) = &args.rendered_defaults {
            let all = self.dictionary(template, "module_defaults", vars)?;
            all.into_iter().filter(|(name, _)| missing(name)).for_each(|(name, value)| add(&name, value));
        }
        Ok(())
    }

    fn dictionary(&self, template: &Template, keyword: &str, vars: &Arc<dyn Lookup>) -> Result<Map, LowerError> {
        match self.render(template, vars)? {
            Value::Map(map) => Ok(map),
            other => Err(LowerError::Value(
                template.span.clone(),
                format!("`{keyword}` must be a dictionary, and this is {}", kind(&other)),
            )),
        }
    }

    /// `template`: the file is rendered here; the agent gets its content.
    fn template(&self, step: &Step, params: &mut Map, vars: &Arc<dyn Lookup>) -> Result<(), LowerError> {
        let mut flag = |name: &str, default: bool| match params.shift_remove(name) {
            Some(Value::Bool(flag)) => flag,
            _ => default,
        };
        let whitespace =
            Whitespace::File { trim_blocks: flag("trim_blocks", true), lstrip_blocks: flag("lstrip_blocks", false) };
        let mut delimiters = Delimiters::default();
        for name in Delimiters::names() {
            if let Some(Value::Str(text)) = params.shift_remove(name) {
                delimiters.set(name, &text);
            }
        }
        let newline = params.shift_remove("newline_sequence").map_or_else(|| "\n".into(), |value| show(&value));
        let newline = newline.replace("\\r", "\r").replace("\\n", "\n");
        let written = params.get("src").map(show).unwrap_or_default();
        let Some((path, span)) = self.source_file(step, params, "templates")? else { return Ok(()) };
        if !matches!(newline.as_str(), "\n" | "\r" | "\r\n") {
            return Err(LowerError::Value(span, "newline_sequence needs to be one of: \\n, \\r or \\r\\n".into()));
        }
        let source = Source::read(&path).map_err(|error| LowerError::Value(span.clone(), error.message))?;
        let whole = Span::new(&source, 0, source.text.len());
        let opened = self.unsealed(params, &path, &span)?;
        let text = opened.as_ref().map_or(Ok(source.text.as_str()), |opened| std::str::from_utf8(opened));
        let text = text.map_err(|_| LowerError::Value(span, format!("{} holds no text", path.display())))?;
        let text = delimiters.translate(text);
        let vars = self.templar.about(&path, &written, &params.get("dest").map(show).unwrap_or_default(), vars);
        let content = match self.templar.render_file(&text, whitespace, &whole, &vars)? {
            // What was sealed is a secret on the host, too.
            Rendered::Plain(text) if opened.is_some() => Value::Secret(Secret::new(text.replace('\n', &newline))),
            Rendered::Plain(text) => Value::Str(text.replace('\n', &newline)),
            Rendered::Secret(secret) => Value::Secret(Secret::new(secret.expose().replace('\n', &newline))),
            Rendered::Unknown(why) => return Err(LowerError::Unknown(why)),
        };
        params.insert("content".into(), content);
        Ok(())
    }

    /// `copy`: the file's hash goes to the agent, its content only if the agent asks for it.
    fn copy(&self, step: &Step, params: &mut Map, vars: &Arc<dyn Lookup>) -> Result<(), LowerError> {
        const CONTENT: &str = "ansible_copy_content";
        // What is no text is written as JSON, as by Ansible.
        if let Some(content @ (Value::Map(_) | Value::List(_))) = params.get("content").cloned() {
            let map = Map::from_iter([(CONTENT.to_owned(), content)]);
            let vars: Arc<dyn Lookup> = Arc::new(super::vars::Over { map, below: Arc::clone(vars) });
            let text = self.templar.expression(&format!("{CONTENT} | to_json"), &step.task.span, &vars)?;
            params.insert("content".into(), text);
        }
        // Then `src` is a path of the host.
        if params.get("remote_src").is_some_and(truthy) {
            return Ok(());
        }
        let name = params.get("src").map(show).unwrap_or_default();
        let Some((path, span)) = self.source_file(step, params, "files")? else { return Ok(()) };
        let failed =
            |reason: String| LowerError::Value(span.clone(), format!("cannot read {}: {reason}", path.display()));
        if path.is_dir() {
            return self.tree(params, &path, &name, &span);
        }
        if let Some(opened) = self.unsealed(params, &path, &span)? {
            let packed = base64::engine::general_purpose::STANDARD.encode(&*opened);
            params.insert("content".into(), Value::Secret(Secret::new(packed)));
            params.insert("encoding".into(), Value::Str("base64".into()));
            return Ok(());
        }
        if params.get("mode") == Some(&Value::Str("preserve".into())) {
            let meta = std::fs::metadata(&path).map_err(|error| failed(error.to_string()))?;
            params.insert("mode".into(), Value::Str(format!("{:04o}", meta.permissions().mode() & 0o7777)));
        }
        let (sha256, size) = self.blobs.announce(&path).map_err(|error| failed(error.to_string()))?;
        params.insert("size".into(), Value::Int(i64::try_from(size).unwrap_or(i64::MAX)));
        params.insert("sha256".into(), Value::Str(sha256));
        Ok(())
    }

    /// Takes `src`: beside the playbook, or in its `templates` or `files`.
    fn source_file(&self, step: &Step, params: &mut Map, folder: &str) -> Result<Option<(PathBuf, Span)>, LowerError> {
        let span = step.task.args.params.get("src").map_or(&step.task.span, |entry| &entry.value.span).clone();
        let name = match params.shift_remove("src") {
            None => return Ok(None),
            Some(Value::Str(name)) => name,
            Some(Value::Unknown(why)) => return Err(LowerError::Unknown(why)),
            Some(other) => {
                return Err(LowerError::Value(span, format!("`src` must be a path, and this is {}", kind(&other))));
            }
        };
        if let Some(base) = Path::new(&name).file_name() {
            params.insert("name".into(), Value::Str(base.to_string_lossy().into_owned()));
        }
        let candidates = search::candidates(step, &self.program.plays[step.play], folder, &name);
        match candidates.iter().find(|path| path.exists()) {
            Some(path) => Ok(Some((path.clone(), span))),
            None => Err(LowerError::NoFile { module: step.entry.name, name, candidates, span }),
        }
    }

    /// Whom to become. Variables are stronger than keywords; they are those of the host that acts.
    fn escalation(
        &self,
        step: &Step,
        vars: &Arc<dyn Lookup>,
        acting: Option<&Arc<dyn Lookup>>,
    ) -> Result<Option<Become>, LowerError> {
        let of = acting.unwrap_or(vars);
        let variable = |name: &str| of.get(name).map(|value| self.templar.resolve(value, of)).transpose();
        let enabled = match variable("ansible_become")? {
            Some(enabled) => truthy(&enabled),
            None => match self.keyword(step, vars, |common| &common.escalation.enabled)? {
                Some(enabled) => truthy(&enabled),
                None => self.become_all,
            },
        };
        if !enabled {
            return Ok(None);
        }
        let method = match variable("ansible_become_method")? {
            Some(method) => Some(method),
            None => self.keyword(step, vars, |common| &common.escalation.method)?,
        };
        let method = method.map_or_else(|| "sudo".to_owned(), |method| show(&method));
        let Some(method) = Method::named(&method) else {
            let message = format!(
                "there is no way to become another user by `{method}` (`become_method`): only sudo, su and doas"
            );
            return Err(LowerError::Value(step.task.span.clone(), message));
        };
        let text = |name: &str, keyword: for<'s> fn(&'s Common) -> &'s Opt<String>| {
            let value = match variable(name)? {
                Some(value) => Some(value),
                None => self.keyword(step, vars, keyword)?,
            };
            Ok::<_, LowerError>(value.map(|value| show(&value)).filter(|text| !text.is_empty()))
        };
        let exe = text("ansible_become_exe", |common| &common.escalation.exe)?;
        let flags = text("ansible_become_flags", |common| &common.escalation.flags)?;
        let user = match variable("ansible_become_user")? {
            Some(user) => show(&user),
            None => match self.keyword(step, vars, |common| &common.escalation.user)? {
                Some(user) => show(&user),
                None => "root".into(),
            },
        };
        // Who another host's agent runs as, that agent knows.
        if acting.is_none() && self.login.as_ref() == Some(&user) {
            return Ok(None);
        }
        let mut password = self.become_password.as_ref().map(|password| password.expose().to_owned());
        for name in ["ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"] {
            if let Some(value) = variable(name)? {
                password = Some(match value {
                    Value::Secret(secret) => secret.expose().to_owned(),
                    other => show(&other),
                });
                break;
            }
        }
        Ok(Some(Become { user, password, method, exe, flags }))
    }

    /// What a step says itself of how its host is reached.
    pub(super) fn connection(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<Keywords, LowerError> {
        let text = |value: Option<Value>| value.filter(|value| !matches!(value, Value::Omit | Value::Null));
        let port = text(self.keyword(step, vars, |common| &common.port)?).map(|port| show(&port));
        Ok(Keywords {
            connection: text(self.keyword(step, vars, |common| &common.connection)?).map(|name| show(&name)),
            user: text(self.keyword(step, vars, |common| &common.remote_user)?).map(|user| show(&user)),
            port: match port.map(|port| port.parse().map_err(|_| port)) {
                None => None,
                Some(Ok(port)) => Some(port),
                Some(Err(port)) => {
                    let message = format!("`port` must be a number from 1 to 65535, not `{port}`");
                    return Err(LowerError::Value(step.task.span.clone(), message));
                }
            },
        })
    }

    fn environment(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<BTreeMap<String, Json>, LowerError> {
        let mut environment = BTreeMap::new();
        for node in step.scopes(self.program).flat_map(|common| &common.environment) {
            let value =
                self.templar.resolve(&node.to_value(), vars).map_err(|error| of_keyword("environment", error))?;
            match value {
                Value::Map(map) => {
                    for (name, value) in map {
                        let value = match to_json(&value).map_err(LowerError::Unknown)? {
                            secret @ Json::Object(_) => secret,
                            Json::String(text) => Json::String(text),
                            other => Json::String(other.to_string()),
                        };
                        environment.insert(name, value);
                    }
                }
                Value::Unknown(why) => return Err(LowerError::Unknown(why)),
                other => {
                    return Err(LowerError::Value(
                        node.span.clone(),
                        format!("`environment` must be a dictionary, and this is {}", kind(&other)),
                    ));
                }
            }
        }
        Ok(environment)
    }

    /// An inherited keyword, rendered.
    pub(super) fn keyword<'s, T: Clone + Into<KeywordValue> + 's>(
        &'s self,
        step: &'s Step,
        vars: &Arc<dyn Lookup>,
        keyword: impl Fn(&'s Common) -> &'s Opt<T>,
    ) -> Result<Option<Value>, LowerError> {
        match step.inherited(self.program, keyword) {
            None => Ok(None),
            Some(Field::Known(known)) => Ok(Some(known.clone().into().0)),
            Some(Field::Template(template)) => self.render(template, vars).map(Some),
        }
    }

    /// A template's value, which must be known.
    pub(super) fn render(&self, template: &Template, vars: &Arc<dyn Lookup>) -> Result<Value, LowerError> {
        match self.templar.render(template, vars)? {
            Value::Unknown(why) => Err(LowerError::Unknown(why)),
            value => Ok(value),
        }
    }

    /// A number of seconds; `None` if it comes to none.
    pub(super) fn seconds(&self, field: &Field<f64>, vars: &Arc<dyn Lookup>) -> Option<Duration> {
        let seconds = match field {
            Field::Known(seconds) => *seconds,
            Field::Template(template) => match self.render(template, vars).ok()? {
                #[expect(clippy::cast_precision_loss, reason = "seconds")]
                Value::Int(n) => n as f64,
                Value::Float(seconds) => seconds,
                Value::Str(text) => text.trim().parse().ok()?,
                _ => return None,
            },
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Whether a boolean keyword is on.
    pub(super) fn flag<'s>(
        &'s self,
        step: &'s Step,
        vars: &Arc<dyn Lookup>,
        keyword: impl Fn(&'s Common) -> &'s Opt<bool>,
    ) -> Result<bool, LowerError> {
        Ok(self.keyword(step, vars, keyword)?.is_some_and(|value| truthy(&value)))
    }
}

/// What Ansible says of a parameter that cannot be rendered.
fn of_arg(step: &Step, name: &str, error: impl Into<LowerError>) -> LowerError {
    error.into().within(|| {
        let module = &step.task.module.value;
        let module = if module.contains('.') { module.clone() } else { format!("ansible.builtin.{module}") };
        format!("Finalization of task args for '{module}' failed: Error while resolving value for '{name}': ")
    })
}

/// What it says of a keyword.
fn of_keyword(name: &str, error: impl Into<LowerError>) -> LowerError {
    error.into().within(|| format!("Error processing keyword '{name}': "))
}

/// What to say where no candidate is there: the places, the likeliest first.
pub(super) fn no_file(candidates: &[PathBuf]) -> String {
    let mut places: Vec<String> = candidates.iter().rev().map(|path| path.display().to_string()).collect();
    places.dedup();
    format!("there is no file {}", places.join(" or "))
}

/// The value of a keyword that needed no rendering.
pub(super) struct KeywordValue(Value);

impl From<bool> for KeywordValue {
    fn from(flag: bool) -> Self {
        Self(Value::Bool(flag))
    }
}

impl From<i64> for KeywordValue {
    fn from(number: i64) -> Self {
        Self(Value::Int(number))
    }
}

impl From<String> for KeywordValue {
    fn from(text: String) -> Self {
        Self(Value::Str(text))
    }
}

/// The variables of a dictionary in a playbook.
pub(super) fn mapping(map: &crate::yaml::Mapping) -> Map {
    map.iter().map(|(name, entry)| (name.clone(), entry.value.to_value())).collect()
}

/// As Ansible reads a boolean keyword from a template.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Int(int) => *int != 0,
        Value::Str(text) => trueup_modules::param::truth(text) == Some(true),
        _ => false,
    }
}

/// A value as text, for labels and names. A secret is not shown.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone(),
        Value::Secret(_) => REDACTED.into(),
        Value::Unknown(why) => format!("({why})"),
        other => {
            let mut json = to_json(other).unwrap_or_default();
            super::json::redact(&mut json);
            json.to_string()
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Str(_) | Value::Template(_) => "a text",
        Value::Secret(_) => "a secret",
        Value::Unknown(_) => "not known yet",
        Value::Omit => "omitted",
        Value::List(_) => "a list",
        Value::Map(_) => "a dictionary",
    }
}
