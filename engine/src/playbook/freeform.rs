//! The old ways of giving parameters: `copy: src=a dest="b c"`, `command: ls -l chdir=/x`, `action: copy src=a`.

use super::ast::Args;
use super::task::{as_template, plain_name};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Span;
use crate::yaml::{self, Data, Mapping, Node};

/// Modules whose text is a command line, of which only [`COMMAND_OPTIONS`] are parameters.
const COMMANDS: [&str; 4] = ["command", "raw", "script", "shell"];
const COMMAND_OPTIONS: [&str; 8] =
    ["chdir", "creates", "executable", "removes", "stdin", "stdin_add_newline", "strip_empty_ends", "warn"];

/// A module and what was written beside it.
pub(super) struct Call<'n> {
    /// The module's name as written.
    pub(super) written: String,
    /// Where the name stands.
    pub(super) span: Span,
    /// The value of the module's key.
    pub(super) value: Option<&'n Node>,
    /// What `action:` gave already.
    pub(super) args: Args,
}

/// `action: copy src=a`, or `action: {module: copy, src: a}`.
pub(super) fn action<'n>(entry: &'n yaml::Entry, diagnostics: &mut Diagnostics) -> Option<Call<'n>> {
    let node = &entry.value;
    let wrong =
        || Diagnostic::error(format!("`action` must name a module, and this is {}", node.describe())).at(&node.span);
    let (line, mut params) = match &node.data {
        Data::Scalar(_) => (Some(node), Mapping::new()),
        Data::Map(map) => (map.get("module").map(|module| &module.value), map.clone()),
        Data::Seq(_) => (None, Mapping::new()),
    };
    let words = line.filter(|line| !line.is_sealed()).and_then(Node::as_scalar).map(|scalar| split(&scalar.text));
    let (Some(line), Some(Ok(words))) = (line, words) else {
        diagnostics.push(wrong());
        return None;
    };
    let Some((written, rest)) = words.split_first() else {
        diagnostics.push(wrong());
        return None;
    };
    params.shift_remove("module");
    let mut args = inherit(pairs(rest, COMMANDS.contains(&plain_name(written.trim())), &line.span), line);
    if let Some(inner) = params.shift_remove("args") {
        merge_args(&mut args, &inner.value, diagnostics);
    }
    params.extend(std::mem::take(&mut args.params));
    Some(Call {
        written: written.trim().to_owned(),
        span: line.span.clone(),
        value: None,
        args: Args { params, ..args },
    })
}

/// All that a module is given; what stands beside its name wins over `args`.
pub(super) fn args(call: &Call<'_>, module: &str, beside: Option<&Node>, diagnostics: &mut Diagnostics) -> Args {
    let mut args = Args::default();
    if let Some(node) = beside {
        merge_args(&mut args, node, diagnostics);
    }
    let own = match call.value {
        Some(node) => value(node, &call.written, COMMANDS.contains(&module), diagnostics),
        None => call.args.clone(),
    };
    args.params.extend(own.params);
    args.free_form = own.free_form;
    args.rendered = args.rendered.or(own.rendered);
    args
}

fn value(node: &Node, written: &str, is_command: bool, diagnostics: &mut Diagnostics) -> Args {
    match &node.data {
        Data::Map(map) => Args { params: map.clone(), ..Args::default() },
        Data::Seq(_) => {
            let message = format!("the parameters of `{written}` must be a dictionary, and this is a list");
            diagnostics
                .push(Diagnostic::error(message).at(&node.span).hint("write `parameter: value` lines without `-`"));
            Args::default()
        }
        Data::Scalar(_) if node.is_null() => Args::default(),
        Data::Scalar(_) if node.is_sealed() => Args { free_form: Some(node.clone()), ..Args::default() },
        Data::Scalar(scalar) => match split(&scalar.text) {
            Ok(words) => inherit(pairs(&words, is_command, &node.span), node),
            Err(why) => {
                diagnostics.push(Diagnostic::error(format!("the parameters of `{written}` {why}")).at(&node.span));
                Args::default()
            }
        },
    }
}

/// The parts of a text are as unsafe and as secret as the text.
fn inherit(mut args: Args, whole: &Node) -> Args {
    let secret = whole.as_scalar().is_some_and(|scalar| scalar.secret);
    let parts = args.params.values_mut().map(|entry| &mut entry.value).chain(&mut args.free_form);
    for part in parts {
        part.is_unsafe = whole.is_unsafe;
        if let Data::Scalar(scalar) = &mut part.data {
            scalar.secret = secret;
        }
    }
    args
}

fn merge_args(args: &mut Args, node: &Node, diagnostics: &mut Diagnostics) {
    match (&node.data, as_template(node)) {
        (Data::Map(map), _) => args.params.extend(map.clone()),
        (_, Some(template)) => args.rendered = Some(template),
        _ => diagnostics.push(
            Diagnostic::error(format!("`args` must be a dictionary, and this is {}", node.describe())).at(&node.span),
        ),
    }
}

/// Words to parameters and the text that is left.
fn pairs(words: &[String], is_command: bool, span: &Span) -> Args {
    let mut args = Args::default();
    let mut text = String::new();
    for word in words {
        let decoded = decode(word);
        match assignment(&decoded) {
            Some((name, value)) if !is_command || COMMAND_OPTIONS.contains(&name) => {
                let value = Node::text(unquote(value.trim()), span);
                args.params.insert(name.trim().to_owned(), yaml::Entry { key: span.clone(), value });
            }
            found => {
                // As in Ansible, `\=` becomes `=` only in a word that is no assignment.
                let plain =
                    if found.is_none() && decoded.contains('=') { decoded.replace("\\=", "=") } else { word.clone() };
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push(' ');
                }
                text.push_str(&plain);
            }
        }
    }
    args.free_form = (!text.is_empty()).then(|| Node::text(text, span));
    args
}

/// `name=value` at the first `=` that is neither first nor escaped.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let at = word.match_indices('=').map(|(at, _)| at).find(|at| *at > 0 && !word[..*at].ends_with('\\'))?;
    Some((&word[..at], &word[at + 1..]))
}

fn unquote(text: &str) -> &str {
    let quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    let escaped = text.ends_with("\\\"") || text.ends_with("\\'");
    if (quoted('"') || quoted('\'')) && !escaped { &text[1..text.len() - 1] } else { text }
}

/// The escapes that Ansible decodes; others stay as they are.
fn decode(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let (decoded, used) = escape(tail);
        out.push(decoded.unwrap_or('\\'));
        rest = &tail[used..];
    }
    out + rest
}

/// What follows a backslash: the character it stands for, and how many bytes that took.
fn escape(tail: &str) -> (Option<char>, usize) {
    let hex = |digits: usize| {
        let code = tail.get(1..=digits).and_then(|text| u32::from_str_radix(text, 16).ok()).and_then(char::from_u32);
        (code, if code.is_some() { digits + 1 } else { 0 })
    };
    let single = |c: char| (Some(c), 1);
    match tail.chars().next() {
        Some(c @ ('\\' | '\'' | '"')) => single(c),
        Some('a') => single('\x07'),
        Some('b') => single('\x08'),
        Some('f') => single('\x0c'),
        Some('n') => single('\n'),
        Some('r') => single('\r'),
        Some('t') => single('\t'),
        Some('v') => single('\x0b'),
        Some('x') => hex(2),
        Some('u') => hex(4),
        Some('U') => hex(8),
        _ => (None, 0),
    }
}

/// Splits at blanks that stand neither in quotes nor in `{{ }}`, `{% %}` or `{# #}`; keeps line breaks and runs of
/// blanks. A translation of `ansible.parsing.splitter.split_args`.
fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut state = Splitter::default();
    let lines: Vec<&str> = text.split('\n').collect();
    for (nth, line) in lines.iter().enumerate() {
        let mut continued = false;
        for (index, token) in line.split(' ').enumerate() {
            if token.is_empty() && index > 0 {
                state.last().push(' ');
            } else if token == "\\" && state.quote.is_none() {
                continued = true;
            } else {
                state.token(token, index);
            }
        }
        if lines.len() > 1 && nth + 1 < lines.len() && !continued {
            state.last().push('\n');
        }
    }
    if state.quote.is_some() {
        return Err("have an opening quote without a closing one");
    }
    if state.depth.iter().any(|depth| *depth > 0) {
        return Err("have an opening `{{` without a closing `}}`");
    }
    Ok(state.words.into_iter().filter(|word| !word.is_empty()).collect())
}

/// `{{ }}`, `{% %}`, `{# #}`.
const BRACES: [(&str, &str); 3] = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];

#[derive(Default)]
struct Splitter {
    words: Vec<String>,
    quote: Option<char>,
    depth: [usize; 3],
}

impl Splitter {
    fn last(&mut self) -> &mut String {
        if self.words.is_empty() {
            self.words.push(String::new());
        }
        self.words.last_mut().expect("one was pushed")
    }

    fn token(&mut self, token: &str, index: usize) {
        let was_quoted = self.quote.is_some();
        self.quote = quote_after(token, self.quote);
        let in_braces = self.depth.iter().any(|depth| *depth > 0);
        let starts_quote = self.quote.is_some() && !was_quoted && !in_braces;
        if !starts_quote && (in_braces || self.quote.is_some() || was_quoted) {
            if index > 0 {
                self.last().push(' ');
            }
            self.last().push_str(token);
        } else if !token.is_empty() {
            self.words.push(token.to_owned());
        }
        for (depth, (open, close)) in self.depth.iter_mut().zip(BRACES) {
            *depth = (*depth + token.matches(open).count()).saturating_sub(token.matches(close).count());
        }
    }
}

/// The quote that is open behind a token.
fn quote_after(token: &str, mut quote: Option<char>) -> Option<char> {
    let mut previous = None;
    for c in token.chars() {
        if (c == '"' || c == '\'') && previous != Some('\\') {
            match quote {
                Some(open) if open == c => quote = None,
                None => quote = Some(c),
                Some(_) => {}
            }
        }
        previous = Some(c);
    }
    quote
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text, whether it is a command line, its parameters, and the text that is left.
    type Case = (&'static str, bool, &'static [(&'static str, &'static str)], Option<&'static str>);

    /// The right columns were printed by `parse_kv` of ansible-core 2.19.
    #[test]
    fn texts_as_ansible_splits_them() {
        let table: &[Case] = &[
            ("src=a dest=\"b c\"", false, &[("src", "a"), ("dest", "b c")], None),
            ("msg='it is' x={{ a + 1 }}", false, &[("msg", "it is"), ("x", "{{ a + 1 }}")], None),
            ("ls -l  /tmp creates=/x", true, &[("creates", "/x")], Some("ls -l  /tmp")),
            ("FOO=bar ls", true, &[], Some("FOO=bar ls")),
            ("echo \"a b\" 'c=d'", true, &[], Some("echo \"a b\" 'c=d'")),
            ("echo a\necho b chdir=/t\n", true, &[("chdir", "/t")], Some("echo a\necho b")),
            ("a=b\\=c d\\=e", false, &[("a", "b\\=c")], Some("d=e")),
            ("line='x\\ty'", false, &[("line", "x\ty")], None),
            ("{{ params }}", false, &[], Some("{{ params }}")),
            ("tasks/{{ x }}.yml", false, &[], Some("tasks/{{ x }}.yml")),
            ("", false, &[], None),
        ];
        let source = std::sync::Arc::new(crate::source::Source { path: "x".into(), text: String::new() });
        let span = Span::new(&source, 0, 0);
        for (text, is_command, params, free) in table {
            let args = pairs(&split(text).expect("it is balanced"), *is_command, &span);
            let got = |node: &Node| node.as_scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
            let found: Vec<_> = args.params.iter().map(|(key, entry)| (key.clone(), got(&entry.value))).collect();
            let want: Vec<_> = params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(found, want, "{text}");
            assert_eq!(args.free_form.as_ref().map(got).as_deref(), *free, "{text}");
        }
        assert!(split("a='b").is_err() && split("{{ a").is_err());
    }
}
