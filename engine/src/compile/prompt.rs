//! `vars_prompt`: variables of a play whose values the user types.
//!
//! They are asked for before the run, those of all plays: what happens to the hosts does not wait for somebody who has
//! gone for coffee, and nothing is changed if he does not answer. (Ansible asks when a play's turn comes.)

use std::sync::Arc;

use trueup_modules::secret::Secret;

use super::project::Project;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::playbook::{Field, Opt, Play, Prompt, Spanned};
use crate::template::hash_password;
use crate::value::Map;
use crate::yaml::{self, Data, Node, Plain, Scalar, Style};

/// A question as the terminal shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its text, with what an empty answer means.
    pub text: String,
    /// What is typed is not shown.
    pub private: bool,
    /// It has to be typed twice.
    pub confirm: bool,
}

/// Asks the user. `None` if nobody is there who could answer.
pub type Asker = Arc<dyn Fn(&Question) -> Result<Option<Secret>, String> + Send + Sync>;

/// Asks for the variables of a play and puts them among its `vars`. Those that `-e` gives are not asked for; without an
/// asker, as for a list of the tasks, they have their defaults.
pub(super) fn ask(play: &mut Play, project: &Project, asker: Option<&Asker>, diagnostics: &mut Diagnostics) {
    for prompt in std::mem::take(&mut play.prompts) {
        if project.extra.contains_key(&prompt.name.value) {
            continue;
        }
        let vars = project.known(&play.common.vars);
        match value(&prompt, project, &vars, asker) {
            Ok(value) => {
                let entry = yaml::Entry { key: prompt.name.span.clone(), value };
                play.common.vars.insert(prompt.name.value, entry);
            }
            Err(error) => diagnostics.push(error),
        }
    }
}

fn value(prompt: &Prompt, project: &Project, vars: &Map, asker: Option<&Asker>) -> Result<Node, Diagnostic> {
    let name = &prompt.name.value;
    let yes = |field: &Opt<bool>, otherwise| flag(field, project, vars).map(|flag| flag.unwrap_or(otherwise));
    let default = default(prompt, project, vars)?;
    let text = match &prompt.text {
        Some(text) => project.keyword(&text.value, || vars.clone())?,
        None => name.clone(),
    };
    let question = Question {
        text: default.as_ref().map_or_else(|| format!("{text}: "), |default| format!("{text} [{default}]: ")),
        private: yes(&prompt.private, true)?,
        confirm: yes(&prompt.confirm, false)?,
    };
    let answer = match asker {
        Some(asker) => asker(&question).map_err(|error| Diagnostic::error(error).at(&prompt.span))?,
        None => Some(Secret::new(String::new())),
    };
    // A text that is typed where it can be seen is no secret.
    let typed = answer.as_ref().map(Secret::expose).filter(|typed| !typed.is_empty());
    let scalar = match (typed, default) {
        (Some(typed), _) => Scalar { text: typed.to_owned(), style: Style::Text, secret: question.private },
        (None, Some(default)) => Scalar { text: default, style: Style::Text, secret: false },
        (None, None) if answer.is_some() => Scalar { text: String::new(), style: Style::Text, secret: false },
        (None, None) => {
            return Err(Diagnostic::error(format!("there is no terminal to ask for `{name}` on"))
                .at(&prompt.span)
                .hint(format!("give it with `-e {name}=…`, or give it a `default`")));
        }
    };
    let scalar = hashed(prompt, scalar, |field| project.keyword(&field.value, || vars.clone()))?;
    let is_unsafe = yes(&prompt.is_unsafe, false)?;
    Ok(Node { data: Data::Scalar(scalar), span: prompt.span.clone(), is_unsafe })
}

/// The hash of an answer, where `encrypt` asks for one.
fn hashed(
    prompt: &Prompt,
    answer: Scalar,
    text: impl Fn(&Spanned<Field<String>>) -> Result<String, Diagnostic>,
) -> Result<Scalar, Diagnostic> {
    let Some(encrypt) = &prompt.encrypt else { return Ok(answer) };
    let kind = text(encrypt)?;
    let salt = prompt.salt.as_ref().map(&text).transpose()?;
    let size = prompt.salt_size.as_ref().and_then(|size| match &size.value {
        Field::Known(size) => usize::try_from(*size).ok(),
        Field::Template(_) => None,
    });
    match hash_password(&answer.text, &kind, salt, size) {
        Ok(text) => Ok(Scalar { text, ..answer }),
        Err(why) => Err(Diagnostic::error(why).at(&encrypt.span)),
    }
}

/// As Python prints it: a default is a text like whatever is typed.
fn default(prompt: &Prompt, project: &Project, vars: &Map) -> Result<Option<String>, Diagnostic> {
    let Some(node) = &prompt.default else { return Ok(None) };
    if let crate::value::Value::Template(template) = node.to_value() {
        return project.text(&template, vars.clone()).map(Some);
    }
    let Some(scalar) = node.as_scalar() else {
        let message = format!("`default` must be a text, and this is {}", node.describe());
        return Err(Diagnostic::error(message).at(&node.span));
    };
    Ok(match scalar.resolve() {
        Plain::Null => None,
        Plain::Bool(true) => Some("True".into()),
        Plain::Bool(false) => Some("False".into()),
        Plain::Int(number) => Some(number.to_string()),
        Plain::Float(_) | Plain::Str(_) => Some(scalar.text.clone()),
    })
}

fn flag(field: &Opt<bool>, project: &Project, vars: &Map) -> Result<Option<bool>, Diagnostic> {
    let Some(field) = field else { return Ok(None) };
    let template = match &field.value {
        Field::Known(known) => return Ok(Some(*known)),
        Field::Template(template) => template,
    };
    let text = project.text(template, vars.clone())?;
    match (Scalar { text: text.clone(), style: Style::Plain, secret: false }).resolve() {
        Plain::Bool(flag) => Ok(Some(flag)),
        _ => Err(Diagnostic::error(format!("this must be true or false, and is `{text}`")).at(&field.span)),
    }
}
