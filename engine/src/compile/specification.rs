//! A role's argument specification as a task that comes before its others.

use indexmap::IndexMap;

use super::role::Own;
use crate::playbook::{Args, Common, Field, Spanned, Step, Task};
use crate::source::Span;
use crate::yaml::{Data, Entry, Mapping, Node};

/// The task that holds a role's variables against the specification of the entry point, if there is one.
pub(super) fn task(specifications: &Option<Node>, entry_point: &str, own: &Own, span: &Span) -> Option<Step> {
    let stem = entry_point.strip_suffix(".yml").or_else(|| entry_point.strip_suffix(".yaml")).unwrap_or(entry_point);
    let all = specifications.as_ref()?.as_map()?;
    let specification = all.get(entry_point).or_else(|| all.get(stem))?.value.as_map()?;
    let at = all.get(stem).map_or(span, |entry| &entry.key);
    let mut name = format!("Validating arguments against arg spec '{entry_point}'");
    if let Some(text) = specification.get("short_description").and_then(|entry| entry.value.as_scalar()) {
        name = format!("{name} - {}", text.text);
    }
    let options = match specification.get("options") {
        Some(options) => options.value.clone(),
        None => Node { data: Data::Map(Mapping::new()), span: at.clone(), is_unsafe: false },
    };
    let text = |text: &str| Entry { key: at.clone(), value: Node::text(text, at) };
    let context = Mapping::from_iter([
        ("type".to_owned(), text("role")),
        ("name".to_owned(), text(&own.name)),
        ("argument_spec_name".to_owned(), text(entry_point)),
        ("path".to_owned(), text(&super::list::absolute(&own.path).display().to_string())),
    ]);
    let context = Node { data: Data::Map(context), span: at.clone(), is_unsafe: false };
    let params = Mapping::from_iter([
        ("argument_spec".to_owned(), Entry { key: at.clone(), value: options }),
        ("validate_args_context".to_owned(), Entry { key: at.clone(), value: context }),
    ]);
    let known = |text: &str| Spanned { value: Field::Known(text.to_owned()), span: at.clone() };
    let common =
        Common { name: Some(known(&name)), tags: vec![known("always")], carried: IndexMap::new(), ..Common::default() };
    let module = Spanned { value: "validate_argument_spec".to_owned(), span: at.clone() };
    let args = Args { params, ..Args::default() };
    Some(Step::Task(Box::new(Task::bare(module, args, common, at.clone()))))
}
