//! The values that variables hold and templates yield.

use std::fmt;

use indexmap::IndexMap;
use trueup_modules::secret::{REDACTED, Secret};

use crate::source::Span;

/// A dictionary, in the order of its source.
pub type Map = IndexMap<String, Value>;

/// What a variable holds. The type says what has still to happen to a text: a [`Value::Template`] is rendered when it
/// is read, a [`Value::Str`] never (`!unsafe`, registered results, facts).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~`, Python's `None`.
    Null,
    /// `true`, `yes`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A text that is final.
    Str(String),
    /// A text that holds `{{ … }}` or `{% … %}`, rendered each time it is read.
    Template(Template),
    /// A text from a vault, or derived from one.
    Secret(Secret),
    /// In a preview: not to be known before that task has run. Poisons whatever reads it.
    Unknown(Why),
    /// The magic variable `omit`: the parameter that is given it counts as not given.
    Omit,
    /// A list.
    List(Vec<Value>),
    /// A dictionary.
    Map(Map),
}

impl Value {
    /// What Python calls its type.
    pub(crate) fn native_type(&self) -> &'static str {
        match self {
            Self::Null => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) | Self::Template(_) | Self::Secret(_) => "str",
            Self::Unknown(_) | Self::Omit => "object",
            Self::List(_) => "list",
            Self::Map(_) => "dict",
        }
    }
}

/// A text with template syntax, and where it stands.
#[derive(Clone, PartialEq)]
pub struct Template {
    /// The text as written.
    pub text: String,
    /// Where; for error messages.
    pub span: Span,
    /// It was read from a vault: what it yields is a [`Value::Secret`].
    pub secret: bool,
}

/// Without the text of a secret.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.secret { REDACTED } else { &self.text };
        f.debug_struct("Template").field("text", &text).field("span", &self.span).finish()
    }
}

pub use trueup_modules::host::Why;
