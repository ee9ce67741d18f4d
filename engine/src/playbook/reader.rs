//! Reading a dictionary keyword by keyword: each keyword is one line for the caller, and nothing is forgotten,
//! because what nobody asked for is carried or reported at the end.

use indexmap::IndexMap;

use super::ast::{Become, Common, Condition, Field, Need, Opt, Spanned};
use super::field::{self, FromScalar};
use super::keyword::Place;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Span;
use crate::yaml::{Entry, Mapping, Node};

/// A dictionary that is being read.
pub(super) struct Reader<'n, 'd> {
    pub(super) place: Place,
    pub(super) diagnostics: &'d mut Diagnostics,
    /// What was not read yet, in the order of the file.
    rest: IndexMap<&'n str, &'n Entry>,
}

impl<'n, 'd> Reader<'n, 'd> {
    /// `None`, and an error, if the node is no dictionary.
    pub(super) fn new(place: Place, node: &'n Node, diagnostics: &'d mut Diagnostics) -> Option<Self> {
        let Some(map) = node.as_map() else {
            let message = format!("{} must be a dictionary, and this is {}", place.noun(), node.describe());
            diagnostics.push(Diagnostic::error(message).at(&node.span));
            return None;
        };
        let rest = map.iter().map(|(key, entry)| (key.as_str(), entry)).collect();
        Some(Self { place, diagnostics, rest })
    }

    /// Whether a keyword is there and was not read yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.rest.contains_key(key)
    }

    /// Takes a keyword as it is, null included.
    pub(super) fn entry(&mut self, key: &str) -> Option<&'n Entry> {
        self.rest.shift_remove(key)
    }

    /// Takes a keyword; null counts as not given.
    pub(super) fn node(&mut self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value).filter(|node| !node.is_null())
    }

    /// Takes a text, number or boolean.
    pub(super) fn field<T: FromScalar>(&mut self, key: &str) -> Opt<T> {
        let node = self.node(key)?;
        self.keep(field::field(node, key))
    }

    /// Takes one or a list of them.
    pub(super) fn fields<T: FromScalar>(&mut self, key: &str) -> Vec<Spanned<Field<T>>> {
        self.each(key, field::field)
    }

    /// Takes an expression or a list of them.
    pub(super) fn conditions(&mut self, key: &str) -> Vec<Condition> {
        self.each(key, field::condition)
    }

    /// Takes the name of a variable.
    pub(super) fn variable(&mut self, key: &str) -> Option<Spanned<String>> {
        let node = self.node(key)?;
        self.keep(field::variable(node, key))
    }

    /// The same, or a template that has yet to come to one.
    pub(super) fn variable_or_template(&mut self, key: &str) -> Option<Spanned<String>> {
        let node = self.node(key)?;
        let template = super::task::as_template(node);
        let read = match template {
            Some(template) => Ok(Spanned { value: template.text, span: template.span }),
            None => field::variable(node, key),
        };
        self.keep(read)
    }

    /// Takes the items of a list, or the one thing that stands in its place.
    pub(super) fn items(&mut self, key: &str) -> &'n [Node] {
        match self.node(key) {
            Some(node) => node.as_seq().unwrap_or(std::slice::from_ref(node)),
            None => &[],
        }
    }

    /// Takes every `with_…`, without the prefix.
    pub(super) fn take_with(&mut self) -> Vec<(String, &'n Entry)> {
        let with = self.rest.extract_if(.., |key, _| key.starts_with("with_"));
        with.map(|(key, entry)| (key["with_".len()..].to_owned(), entry)).collect()
    }

    /// Takes variables.
    pub(super) fn variables(&mut self, key: &str) -> Mapping {
        let Some(node) = self.node(key) else { return Mapping::new() };
        let Some(map) = node.as_map() else {
            let message = format!("`{key}` must be a dictionary, and this is {}", node.describe());
            self.diagnostics.push(Diagnostic::error(message).at(&node.span));
            return Mapping::new();
        };
        let (good, bad): (Vec<_>, Vec<_>) = map.iter().partition(|(name, _)| field::is_variable(name));
        self.diagnostics.extend(bad.iter().map(|(name, entry)| field::not_a_variable(name).at(&entry.key)));
        let reserved = good.iter().filter(|(name, _)| is_reserved(name));
        self.diagnostics.extend(reserved.map(|(name, entry)| {
            Diagnostic::warning(format!("the variable `{name}` has the name of a keyword"))
                .told(format!("Found variable using reserved name '{name}'."))
                .at(&entry.key)
        }));
        good.into_iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    /// Takes what plays, blocks, tasks and roles share.
    pub(super) fn common(&mut self) -> Common {
        Common {
            name: self.field("name"),
            vars: self.variables("vars"),
            environment: self.items("environment").to_vec(),
            tags: self.tags(),
            escalation: Become {
                enabled: self.field("become"),
                user: self.field("become_user"),
                method: self.field("become_method"),
                exe: self.field("become_exe"),
                flags: self.field("become_flags"),
            },
            remote_user: self.field("remote_user"),
            port: self.field("port"),
            connection: self.field("connection"),
            no_log: self.field("no_log"),
            check_mode: self.field("check_mode"),
            diff: self.field("diff"),
            ignore_errors: self.field("ignore_errors"),
            ignore_unreachable: self.field("ignore_unreachable"),
            any_errors_fatal: self.field("any_errors_fatal"),
            run_once: self.field("run_once"),
            timeout: self.field("timeout"),
            module_defaults: self.module_defaults(),
            debugger: self.field("debugger"),
            throttle: self.field("throttle"),
            mutex: self.each("mutex", |node, _| field::mutex(node)),
            needs: self.needs(),
            carried: IndexMap::new(),
        }
    }

    /// A dictionary by modules, or a list of them, of which the later wins.
    fn module_defaults(&mut self) -> Mapping {
        let mut all = Mapping::new();
        for item in self.items("module_defaults") {
            let Some(map) = item.as_map() else {
                let message = format!(
                    "`module_defaults` must be a dictionary with modules' names as keys, and this is {}",
                    item.describe()
                );
                let hint = "only what stands under a module's name may be a template";
                self.diagnostics.push(Diagnostic::error(message).at(&item.span).hint(hint));
                continue;
            };
            all.extend(map.iter().map(|(name, entry)| (name.clone(), entry.clone())));
        }
        all
    }

    /// One need or a list of them; an empty list is something else than nothing.
    fn needs(&mut self) -> Option<Vec<Need>> {
        if !self.place.has("needs") || self.node_is_null("needs") {
            return None;
        }
        let items = self.has("needs").then(|| self.items("needs"))?;
        Some(items.iter().filter_map(|item| self.keep(field::need(item))).collect())
    }

    fn node_is_null(&self, key: &str) -> bool {
        self.rest.get(key).is_some_and(|entry| entry.value.is_null())
    }

    /// A list, or one text with commas.
    fn tags(&mut self) -> Vec<Spanned<Field<String>>> {
        let split = |tag: Spanned<Field<String>>| match tag.value {
            Field::Known(text) => text
                .split(',')
                .map(|part| Spanned { value: Field::Known(part.trim().to_owned()), span: tag.span.clone() })
                .collect(),
            Field::Template(_) => vec![tag],
        };
        self.fields("tags").into_iter().flat_map(split).collect()
    }

    /// Keywords that nobody asked for are carried; the rest is given back.
    pub(super) fn finish(self, common: &mut Common) -> (IndexMap<&'n str, &'n Entry>, &'d mut Diagnostics) {
        let (carried, unknown): (Vec<_>, Vec<_>) = self.rest.into_iter().partition(|(key, _)| self.place.has(key));
        common.carried = carried.into_iter().map(|(key, entry)| (key.to_owned(), entry.clone())).collect();
        (unknown.into_iter().collect(), self.diagnostics)
    }

    /// Keywords that nobody asked for are carried; what is no keyword is an error.
    pub(super) fn close(self, common: &mut Common) {
        let place = self.place;
        let (unknown, diagnostics) = self.finish(common);
        diagnostics.extend(unknown.into_iter().map(|(key, entry)| unknown_keyword(place, key, &entry.key)));
    }

    fn each<T>(&mut self, key: &str, read: fn(&Node, &str) -> Result<T, Diagnostic>) -> Vec<T> {
        self.items(key).iter().filter_map(|item| self.keep(read(item, key))).collect()
    }

    fn keep<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|diagnostic| self.diagnostics.push(diagnostic)).ok()
    }
}

/// Names that are keywords of plays, blocks, tasks or roles: as variables they are mistaken for those, and Ansible says so.
fn is_reserved(name: &str) -> bool {
    const OURS: [&str; 2] = ["mutex", "needs"];
    let has = |place: &Place| place.has(name);
    !OURS.contains(&name) && [Place::Play, Place::Block, Place::Task, Place::Role].iter().any(has)
}

/// The error about a key that means nothing where it stands, with the keyword it may be or the place it belongs to.
/// Keywords that Ansible had once, and what has taken their place.
const REMOVED: [(&str, &str); 8] = [
    ("accelerate", "it was removed from Ansible: leave it out"),
    ("always_run", "it was removed from Ansible: `check_mode: false` means the same"),
    ("include", "it was removed from Ansible: use `import_playbook`"),
    ("static", "it was removed from Ansible: use `import_tasks` or `include_tasks`"),
    ("su", "it was removed from Ansible: use `become: true` and `become_method: su`"),
    ("su_user", "it was removed from Ansible: use `become_user`"),
    ("sudo", "it was removed from Ansible: use `become: true`"),
    ("sudo_user", "it was removed from Ansible: use `become_user`"),
];

/// What took the place of a keyword that Ansible has no more.
pub(super) fn removed(key: &str) -> Option<&'static str> {
    REMOVED.iter().find(|(removed, _)| *removed == key).map(|(_, hint)| *hint)
}

pub(super) fn unknown_keyword(place: Place, key: &str, span: &Span) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("unknown keyword `{key}` of {}", place.noun())).at(span);
    let diagnostic = diagnostic.told(format!("'{key}' is not a valid attribute for a {}", place.class()));
    if let Some(hint) = removed(key) {
        return diagnostic.hint(hint);
    }
    match place_of(key) {
        Some(other) => diagnostic.hint(format!("`{key}` belongs to {}: check the indentation", other.noun())),
        None => diagnostic.did_you_mean(key, place.keywords()),
    }
}

/// Where a keyword may stand, if it is one.
pub(super) fn place_of(key: &str) -> Option<Place> {
    [Place::Task, Place::Handler, Place::Block, Place::Play].into_iter().find(|place| place.has(key))
}
