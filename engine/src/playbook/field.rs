//! What the values of keywords may be.

use trueup_modules::param::truth;

use super::ast::{Batch, Condition, DebugWhen, Field, Mutex, Need, Needed, Spanned};
use crate::diagnostic::Diagnostic;
use crate::value::{Template, Value};
use crate::yaml::{Data, Node, Plain, Scalar};

/// A value that a keyword may have.
pub(super) trait FromScalar: Sized {
    /// For messages: `true or false`.
    const EXPECTED: &'static str;

    /// The value, if the scalar is one.
    fn from_scalar(scalar: &Scalar) -> Option<Self>;
}

impl FromScalar for String {
    const EXPECTED: &'static str = "a text";

    fn from_scalar(scalar: &Scalar) -> Option<Self> {
        Some(scalar.text.clone())
    }
}

impl FromScalar for bool {
    const EXPECTED: &'static str = "true or false";

    /// Beside YAML's own booleans what Ansible's `boolean` takes.
    fn from_scalar(scalar: &Scalar) -> Option<Self> {
        truth(&scalar.text)
    }
}

impl FromScalar for i64 {
    const EXPECTED: &'static str = "a whole number";

    fn from_scalar(scalar: &Scalar) -> Option<Self> {
        match scalar.resolve() {
            Plain::Int(n) => Some(n),
            Plain::Str(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

impl FromScalar for f64 {
    const EXPECTED: &'static str = "a number";

    #[expect(clippy::cast_precision_loss, reason = "seconds and percentages are small")]
    fn from_scalar(scalar: &Scalar) -> Option<Self> {
        match scalar.resolve() {
            Plain::Int(n) => Some(n as Self),
            Plain::Float(n) => Some(n),
            Plain::Str(text) => text.trim().trim_end_matches('%').parse().ok(),
            _ => None,
        }
    }
}

impl FromScalar for Batch {
    const EXPECTED: &'static str = "a number of hosts or a percentage";

    fn from_scalar(scalar: &Scalar) -> Option<Self> {
        match scalar.text.trim().strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().map(Self::Percent),
            None => i64::from_scalar(scalar)?.try_into().ok().map(Self::Hosts),
        }
    }
}

impl FromScalar for DebugWhen {
    const EXPECTED: &'static str = "`always`, `never`, `on_failed`, `on_skipped` or `on_unreachable`";

    fn from_scalar(scalar: &Scalar) -> Option<Self> {
        Self::named(scalar.text.trim())
    }
}

/// One value, or a template that will yield one.
pub(super) fn field<T: FromScalar>(node: &Node, key: &str) -> Result<Spanned<Field<T>>, Diagnostic> {
    let wrong = || {
        let message = format!("`{key}` must be {}, and this is {}", T::EXPECTED, node.describe());
        Err(Diagnostic::error(message).at(&node.span))
    };
    let Some(scalar) = node.as_scalar() else { return wrong() };
    let value = match node.to_value() {
        Value::Template(template) => Field::Template(template),
        // Rendering yields a secret, which the text by itself would no longer be.
        Value::Secret(_) if node.is_sealed() => {
            Field::Template(Template { text: scalar.text.clone(), span: node.span.clone(), secret: true })
        }
        _ => match T::from_scalar(scalar) {
            Some(value) => Field::Known(value),
            None => return wrong(),
        },
    };
    Ok(Spanned { value, span: node.span.clone() })
}

/// An expression. Ansible 2.19 takes booleans and texts here, nothing else.
pub(super) fn condition(node: &Node, key: &str) -> Result<Condition, Diagnostic> {
    let wrong = |what: String| {
        let message = format!("`{key}` must be an expression or a list of expressions, and this is {what}");
        Err(Diagnostic::error(message).at(&node.span))
    };
    let Data::Scalar(scalar) = &node.data else { return wrong(node.describe()) };
    let text = match scalar.resolve() {
        _ if node.is_sealed() => return wrong(node.describe()),
        Plain::Bool(b) => b.to_string(),
        // What is no condition fails the task that asks, as in Ansible.
        Plain::Str(text) => text.trim().to_owned(),
        Plain::Int(_) | Plain::Float(_) => scalar.text.trim().to_owned(),
        Plain::Null => return wrong(node.describe()),
    };
    Ok(Condition { text, span: node.span.clone() })
}

/// The name of a lock, or a dictionary that says whether it is shared.
pub(super) fn mutex(node: &Node) -> Result<Mutex, Diagnostic> {
    let Some(map) = node.as_map() else { return Ok(Mutex { name: field(node, "mutex")?, shared: false }) };
    if let Some((key, entry)) = map.iter().find(|(key, _)| !["name", "shared"].contains(&key.as_str())) {
        let error = Diagnostic::error(format!("unknown key `{key}` of `mutex`")).at(&entry.key);
        return Err(error.did_you_mean(key, ["name", "shared"]));
    }
    let Some(name) = map.get("name") else {
        let error = Diagnostic::error("`mutex` must have a `name`").at(&node.span);
        return Err(error.hint("write a name, or `{ name: name, shared: true }`"));
    };
    let shared = map.get("shared").map(|entry| field::<bool>(&entry.value, "shared")).transpose()?;
    let shared = match shared.map(|shared| (shared.value, shared.span)) {
        None => false,
        Some((Field::Known(shared), _)) => shared,
        Some((Field::Template(_), span)) => {
            return Err(Diagnostic::error("`shared` must be true or false, not a template").at(&span));
        }
    };
    Ok(Mutex { name: field(&name.value, "mutex")?, shared })
}

/// The name of what is needed, or a dictionary that says of which kind it is and on which hosts.
pub(super) fn need(node: &Node) -> Result<Need, Diagnostic> {
    const FORMS: &str = "write a name, `{ task: name, hosts: pattern }` or `{ play: name, hosts: pattern }`";
    let text = |node: &Node, key: &str| match field::<String>(node, key)? {
        Spanned { value: Field::Known(value), span } => Ok(Spanned { value, span }),
        Spanned { span, .. } => {
            let message = format!("`{key}` must be a name as it is written elsewhere, not a template of its own");
            Err(Diagnostic::error(message).at(&span).hint("what comes after what is known before any host is"))
        }
    };
    let Some(map) = node.as_map() else {
        // The name of a task may have a template in it, and is meant as written.
        let Some(scalar) = node.as_scalar() else {
            let message = format!("`needs` must name a task or play, and this is {}", node.describe());
            return Err(Diagnostic::error(message).at(&node.span).hint(FORMS));
        };
        return Ok(Need { what: Needed::Any, name: scalar.text.clone(), hosts: None, span: node.span.clone() });
    };
    let hosts = map.get("hosts").map(|entry| text(&entry.value, "hosts")).transpose()?;
    let named = [("task", Needed::Task), ("play", Needed::Play)];
    let mut found = named.into_iter().filter_map(|(key, what)| Some((what, map.get(key)?)));
    let (Some((what, entry)), None) = (found.next(), found.next()) else {
        return Err(Diagnostic::error("a need must have either `task` or `play`").at(&node.span).hint(FORMS));
    };
    if let Some((key, entry)) = map.iter().find(|(key, _)| !["task", "play", "hosts"].contains(&key.as_str())) {
        let error = Diagnostic::error(format!("unknown key `{key}` of a need")).at(&entry.key);
        return Err(error.did_you_mean(key, ["task", "play", "hosts"]));
    }
    let Some(scalar) = entry.value.as_scalar() else {
        let message = format!("a need must name a task or play, and this is {}", entry.value.describe());
        return Err(Diagnostic::error(message).at(&entry.value.span).hint(FORMS));
    };
    Ok(Need { what, name: scalar.text.clone(), hosts, span: node.span.clone() })
}

/// The name of a variable, which must not be a template.
pub(super) fn variable(node: &Node, key: &str) -> Result<Spanned<String>, Diagnostic> {
    let name = field::<String>(node, key)?;
    match name.value {
        Field::Known(text) if is_variable(&text) => Ok(Spanned { value: text, span: name.span }),
        Field::Known(text) => Err(not_a_variable(&text).at(&node.span)),
        Field::Template(Template { .. }) => {
            Err(Diagnostic::error(format!("`{key}` must be the name of a variable, not a template")).at(&node.span))
        }
    }
}

/// Whether a text can name a variable.
pub(crate) fn is_variable(text: &str) -> bool {
    /// Jinja's own words.
    const TAKEN: [&str; 7] = ["true", "false", "none", "True", "False", "None", "not"];
    let mut chars = text.chars();
    let begins = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    begins && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') && !TAKEN.contains(&text)
}

/// What to say of a name that cannot be a variable's.
pub(crate) fn not_a_variable(text: &str) -> Diagnostic {
    Diagnostic::error(format!("`{text}` cannot be the name of a variable"))
        .hint("a variable's name is made of letters, digits and `_`, and does not begin with a digit")
}
