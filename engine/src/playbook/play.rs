//! Plays, roles and imports.

use super::ast::{Common, Entry, Field, ImportPlaybook, Play, Prompt, Role, Spanned};
use super::field;
use super::keyword::Place;
use super::reader::Reader;
use super::{list, task};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::yaml::Node;

/// The plays of a playbook's document.
pub(super) fn entries(root: &Node, diagnostics: &mut Diagnostics) -> Vec<Entry> {
    let entry = |item: &Node, diagnostics: &mut Diagnostics| {
        let imports = item.as_map().is_some_and(|map| map.keys().any(|key| strip(key) == "import_playbook"));
        if imports {
            import(item, diagnostics).map(|import| Entry::Import(Box::new(import)))
        } else {
            play(item, diagnostics).map(|play| Entry::Play(Box::new(play)))
        }
    };
    list(root, "a playbook", diagnostics).iter().filter_map(|item| entry(item, diagnostics)).collect()
}

fn strip(key: &str) -> &str {
    key.strip_prefix("ansible.builtin.").or(key.strip_prefix("ansible.legacy.")).unwrap_or(key)
}

fn play(node: &Node, diagnostics: &mut Diagnostics) -> Option<Play> {
    let mut r = Reader::new(Place::Play, node, diagnostics)?;
    let named = r.has("hosts");
    let mut play = Play {
        hosts: r.fields("hosts"),
        gather_facts: r.field("gather_facts"),
        vars_files: r.items("vars_files").iter().map(|item| files(item, r.diagnostics)).collect(),
        prompts: r.items("vars_prompt").iter().filter_map(|item| prompt(item, r.diagnostics)).collect(),
        pre_tasks: steps(&mut r, "pre_tasks"),
        roles: roles(&mut r),
        tasks: steps(&mut r, "tasks"),
        post_tasks: steps(&mut r, "post_tasks"),
        handlers: handlers(&mut r),
        serial: r.fields("serial"),
        strategy: r.field("strategy"),
        order: r.field("order"),
        max_fail_percentage: r.field("max_fail_percentage"),
        force_handlers: r.field("force_handlers"),
        common: r.common(),
        span: node.span.clone(),
    };
    if !named {
        r.diagnostics.push(no_hosts(node));
    } else if play.hosts.is_empty() && !r.diagnostics.has_errors() {
        let error = Diagnostic::error("`hosts` must name hosts, and this names none").at(&node.span);
        r.diagnostics.push(error.hint("`all` stands for all of the inventory"));
    }
    // The old name of `remote_user`.
    if let Some(user) = r.field("user") {
        if play.common.remote_user.is_some() {
            r.diagnostics.push(Diagnostic::error("both `user` and `remote_user` are set for this play").at(&node.span));
        }
        play.common.remote_user.get_or_insert(user);
    }
    r.close(&mut play.common);
    Some(play)
}

fn no_hosts(node: &Node) -> Diagnostic {
    let diagnostic = Diagnostic::error("a play must name its `hosts`");
    let diagnostic = match node.as_map().and_then(|map| map.values().next()) {
        Some(first) => diagnostic.at(&first.key),
        None => diagnostic.at(&node.span),
    };
    let is_task = |key: &String| !Place::Play.has(key) && !Place::Task.has(key);
    match node.as_map().and_then(|map| map.keys().find(|key| is_task(key))) {
        Some(module) => diagnostic.hint(format!(
            "this looks like a task with the module `{module}`; the tasks of a playbook stand under `tasks:` of a play"
        )),
        None => diagnostic,
    }
}

fn steps(r: &mut Reader<'_, '_>, key: &str) -> Vec<super::Step> {
    r.node(key).map(|node| task::steps(node, &format!("`{key}`"), r.diagnostics)).unwrap_or_default()
}

fn handlers(r: &mut Reader<'_, '_>) -> Vec<super::Step> {
    r.node("handlers").map(|node| task::handlers(node, "`handlers`", r.diagnostics)).unwrap_or_default()
}

/// One file, or a list of which the first that exists counts.
fn files(node: &Node, diagnostics: &mut Diagnostics) -> Vec<Spanned<Field<String>>> {
    let alternatives = node.as_seq().unwrap_or(std::slice::from_ref(node));
    let mut read = |item: &Node| field::field(item, "vars_files").map_err(|error| diagnostics.push(error)).ok();
    alternatives.iter().filter_map(&mut read).collect()
}

fn prompt(node: &Node, diagnostics: &mut Diagnostics) -> Option<Prompt> {
    let mut r = Reader::new(Place::Prompt, node, diagnostics)?;
    if !r.has("name") {
        r.diagnostics
            .push(Diagnostic::error("an item of `vars_prompt` must have the `name` of a variable").at(&node.span));
    }
    let name = r.variable("name");
    let prompt = name.map(|name| Prompt {
        name,
        text: r.field("prompt"),
        default: r.node("default").cloned(),
        private: r.field("private"),
        confirm: r.field("confirm"),
        is_unsafe: r.field("unsafe"),
        encrypt: r.field("encrypt"),
        salt: r.field("salt"),
        salt_size: r.field("salt_size"),
        span: node.span.clone(),
    });
    r.close(&mut Common::default());
    prompt
}

fn import(node: &Node, diagnostics: &mut Diagnostics) -> Option<ImportPlaybook> {
    let mut r = Reader::new(Place::Import, node, diagnostics)?;
    let key = node.as_map()?.keys().find(|key| strip(key) == "import_playbook")?;
    let file = r.field(key);
    let when = r.conditions("when");
    let mut common = r.common();
    r.close(&mut common);
    Some(ImportPlaybook { file: file?, when, common, span: node.span.clone() })
}

fn roles(r: &mut Reader<'_, '_>) -> Vec<Role> {
    let Some(node) = r.node("roles") else { return Vec::new() };
    let items = list(node, "`roles`", r.diagnostics);
    items.iter().filter_map(|item| role(item, r.diagnostics)).collect()
}

/// A name, or a dictionary in which all that is no keyword is a parameter.
pub(super) fn role(node: &Node, diagnostics: &mut Diagnostics) -> Option<Role> {
    let span = node.span.clone();
    if node.as_scalar().is_some() {
        let name = field::field(node, "roles").map_err(|error| diagnostics.push(error)).ok()?;
        let (params, common) = Default::default();
        return Some(Role { name, params, when: Vec::new(), delegate_to: None, common, span });
    }
    let mut r = Reader::new(Place::Role, node, diagnostics)?;
    let name = r.field("role");
    let when = r.conditions("when");
    let delegate_to = r.field("delegate_to");
    let mut common = r.common();
    let name = name.or_else(|| common.name.clone());
    let (params, diagnostics) = r.finish(&mut common);
    let Some(name) = name else {
        diagnostics.push(Diagnostic::error("an item of `roles` must have `role`").at(&node.span));
        return None;
    };
    let params = params.into_iter().map(|(key, entry)| (key.to_owned(), entry.clone())).collect();
    Some(Role { name, params, when, delegate_to, common, span })
}
