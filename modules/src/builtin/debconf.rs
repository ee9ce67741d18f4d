//! `debconf`: the answers that Debian's packages ask for.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Input};
use crate::module::Module;
use crate::param::{Word, as_secret, python_type};
use crate::plan::Plan;
use crate::secret::{REDACTED, Secret};

/// An answer to a question of a Debian package, before or after it is installed (debconf(7)). Without `question` it registers
/// the package's answers as `current` and changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Debconf {
    /// The package.
    #[schemars(extend("aliases" = ["pkg"]))]
    name: Word,
    /// The question.
    #[schemars(extend("aliases" = ["selection", "setting"]))]
    question: Option<String>,
    /// What kind of question it is.
    vtype: Option<Kind>,
    /// The answer; of `multiselect` it may be a list. That of a `password` is a secret.
    #[schemars(extend("aliases" = ["answer"]))]
    value: Option<Value>,
    /// Whether the question counts as not asked yet.
    #[serde(default)]
    unseen: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A message of an error.
    Error,
    /// Several of a list.
    Multiselect,
    /// A note.
    Note,
    /// A secret.
    Password,
    /// Whether the question has been asked.
    Seen,
    /// One of a list.
    Select,
    /// A line.
    String,
    /// A text that is shown.
    Text,
    /// A title.
    Title,
}

impl Module for Debconf {
    const NAME: &'static str = "debconf";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let known = self.known(host)?;
        let plan = Plan::nothing().returning("msg", "");
        let (question, kind, wanted) = match (&self.question, self.vtype, self.wanted()) {
            (Some(question), Some(kind), Some(wanted)) => (question, kind, wanted),
            (None, None, None) => {
                return Ok(plan.returning("current", all(known)));
            }
            _ => {
                let error = Error::param("question", "`question`, `vtype` and `value` belong together");
                return Err(error.telling("msg", "parameters are required together: question, vtype, value"));
            }
        };
        let now = known.iter().find(|(name, _)| name == question).map(|(_, answer)| answer.clone());
        self.texts(now.is_some())?;
        let same = match (&now, kind) {
            (None, _) => false,
            (Some(_), Kind::Password) => self.password(host, question)?.as_deref() == Some(wanted.expose()),
            (Some(now), Kind::Boolean) => now.to_lowercase() == wanted.expose(),
            // As in Ansible, a list is compared in any order, and a text as it is.
            (Some(now), Kind::Multiselect) if self.value.as_ref().is_some_and(Value::is_array) => {
                parts(now) == parts(wanted.expose())
            }
            (Some(now), _) => now == wanted.expose(),
        };
        let told = |answer: &str| json!(if self.is_secret() { REDACTED } else { answer });
        if same {
            return Ok(plan.returning("current", all(known)));
        }
        let plan = plan.returning("current", json!({ question.as_str(): told(wanted.expose()) }));
        let line = format!("{} {question} {} {}", self.name.0, kind.word(), wanted.expose());
        let stdin = if self.is_secret() { Input::Secret(Secret::new(line)) } else { Input::Plain(line) };
        let args: &[&str] = if self.unseen { &["-u"] } else { &[] };
        let command = Command { stdin: Some(stdin), ..Command::new("debconf-set-selections", args.iter().copied()) };
        let before = now.as_deref().map(|now| if self.is_secret() { Shown::Redacted } else { now.into() });
        let after = if self.is_secret() { Shown::Redacted } else { wanted.expose().into() };
        let previous = json!({ question.as_str(): told(now.as_deref().unwrap_or_default()) });
        let edit = Edit::run(command, vec![Diff::new(self.subject(), "answer", before, after)], Reach::Stated);
        Ok(plan.returning("previous", previous).with(edit))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = match self.wanted() {
            Some(wanted) if !self.is_secret() => Shown::from(wanted.expose()),
            Some(_) => Shown::Redacted,
            None => return Vec::new(),
        };
        vec![Diff::new(self.subject(), "answer", Shown::Unknown, after)]
    }
}

impl Debconf {
    fn subject(&self) -> String {
        format!("debconf {} {}", self.name.0, self.question.as_deref().unwrap_or_default())
    }

    fn is_secret(&self) -> bool {
        self.vtype == Some(Kind::Password) || self.value.as_ref().and_then(as_secret).is_some()
    }

    /// As in Ansible, several answers must be texts: it sorts them where there are some already, and joins them.
    fn texts(&self, are_sorted: bool) -> Result<(), Error> {
        let items = match (&self.value, self.vtype) {
            (Some(Value::Array(items)), Some(Kind::Multiselect)) => items.as_slice(),
            _ => return Ok(()),
        };
        let Some(at) = items.iter().position(|item| !item.is_string()) else { return Ok(()) };
        let kind = python_type(&items[at]);
        let why = match (are_sorted, at) {
            (true, 0) => format!("'<' not supported between instances of 'str' and '{kind}'"),
            (true, _) => format!("'<' not supported between instances of '{kind}' and 'str'"),
            (false, _) => format!("sequence item {at}: expected str instance, {kind} found"),
        };
        let error = Error::param("value", format!("must be a list of texts, and has {}", items[at]));
        Err(error.telling("msg", format!("Invalid value provided for 'multiselect': {why}")))
    }

    /// The answer as debconf has it.
    fn wanted(&self) -> Option<Secret> {
        let plain = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let text = match self.value.as_ref()? {
            Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
            value => as_secret(value).map_or_else(|| plain(value), str::to_owned),
        };
        Some(Secret::new(if self.vtype == Some(Kind::Boolean) { text.to_lowercase() } else { text }))
    }

    /// Questions and answers: `* tzdata/Areas: Etc`. Of a password it says only that it is left out.
    fn known(&self, host: &dyn Host) -> Result<Vec<(String, String)>, Error> {
        let show = Command::new("debconf-show", [self.name.0.as_str()]);
        let output = host.query(&show)?;
        if !output.success() {
            return Err(Error::Command { command: show.to_string(), output: Box::new(output) });
        }
        let line = |line: &str| {
            let (question, answer) = line.split_once(':')?;
            Some((question.trim_matches(['*', ' ']).to_owned(), answer.trim().to_owned()))
        };
        Ok(output.stdout.lines().filter_map(line).collect())
    }

    /// The password that is set, of which debconf(8) tells by its protocol: `0 …`.
    fn password(&self, host: &dyn Host, question: &str) -> Result<Option<String>, Error> {
        let ask = Command::new("debconf-communicate", [self.name.0.as_str()]);
        let answer = host.query(&Command { stdin: Some(Input::Plain(format!("GET {question}\n"))), ..ask })?.stdout;
        Ok(answer.lines().next().and_then(|line| line.strip_prefix('0')).map(|line| line.trim_start().to_owned()))
    }
}

fn all(known: Vec<(String, String)>) -> Value {
    Value::Object(known.into_iter().map(|(question, answer)| (question, answer.into())).collect())
}

fn parts(list: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = list.split(',').map(str::trim).collect();
    parts.sort_unstable();
    parts
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Error => "error",
            Self::Multiselect => "multiselect",
            Self::Note => "note",
            Self::Password => "password",
            Self::Seen => "seen",
            Self::Select => "select",
            Self::String => "string",
            Self::Text => "text",
            Self::Title => "title",
        }
    }
}
