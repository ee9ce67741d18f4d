//! Parameters: how what a playbook says is fitted to a module's schema, and types for what is ambiguous.
//!
//! A module's struct describes its parameters as JSON Schema. [`fit`] brings rendered values into that shape the way
//! Ansible does (`yes` for a boolean, `5` for a text, one thing for a list of one), so that modules need not.
//! Four extensions of the schema are ours: `aliases` (other names of a parameter), `secret` (it takes a secret as such),
//! `public` (it must not be given a secret: everybody on the host can see it) and `internal` (the engine fills it in).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::edit::Text;
use crate::secret::Secret;

/// The key that marks a secret among rendered parameters: `{"$secret": "text"}`.
pub const SECRET_KEY: &str = "$secret";

/// What is wrong with a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its name as written; with a path into it where that is deeper (`args[2]`). Empty: the module as a whole.
    pub param: String,
    /// A lowercase fragment: what is wrong and what was expected.
    pub reason: String,
    /// What the user can do.
    pub hint: Option<String>,
}

impl Problem {
    fn new(param: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { param: param.into(), reason: reason.into(), hint: None }
    }
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Unknown and missing names among those given.
pub(crate) fn check_names<'a>(schema: &Value, module: &str, given: impl IntoIterator<Item = &'a str>) -> Vec<Problem> {
    let params = Params { schema };
    let mut seen = Vec::new();
    let mut problems = Vec::new();
    for name in given {
        match params.canonical(name) {
            Some(canonical) => seen.push(canonical),
            None if params.takes_any() => {}
            None => {
                problems.push(params.unknown(module, name));
                // One mistake, one message: a misspelt parameter is not a missing one as well.
                seen.extend(params.nearest(name));
            }
        }
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !seen.contains(&required) {
            problems.push(Problem::new("", format!("`{module}` needs the parameter `{required}`")));
        }
    }
    problems
}

/// A parameter's own name.
pub(crate) fn canonical(schema: &Value, name: &str) -> Option<String> {
    Params { schema }.canonical(name).map(str::to_owned)
}

/// Brings rendered parameters into the shape that the schema describes.
pub(crate) fn fit(schema: &Value, module: &str, params: Value) -> Result<Value, Problem> {
    let known = Params { schema };
    let Value::Object(given) = params else {
        return Err(Problem::new("", format!("the parameters of `{module}` must be a dictionary")));
    };
    let mut fitted = Map::new();
    for (name, value) in given {
        // As in Ansible, null means "not given".
        if value.is_null() {
            continue;
        }
        let Some(canonical) = known.canonical(&name) else {
            if known.takes_any() {
                fitted.insert(name, value);
                continue;
            }
            return Err(known.unknown(module, &name));
        };
        let wanted = known.resolve(&schema["properties"][canonical]);
        let value = known.convert(&name, &wanted, value)?;
        if fitted.insert(canonical.to_owned(), value).is_some() {
            return Err(Problem::new(name, format!("given twice: it is another name for `{canonical}`")));
        }
    }
    Ok(Value::Object(fitted))
}

/// A module's parameters as its schema tells them.
struct Params<'a> {
    schema: &'a Value,
}

impl<'a> Params<'a> {
    fn properties(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.schema["properties"].as_object().into_iter().flatten()
    }

    /// A module such as `set_fact` takes any name.
    fn takes_any(&self) -> bool {
        self.schema["additionalProperties"] != Value::Bool(false)
    }

    fn canonical(&self, name: &str) -> Option<&'a str> {
        let is_alias = |schema: &Value| {
            schema["aliases"].as_array().is_some_and(|aliases| aliases.iter().any(|alias| alias == name))
        };
        self.properties().find(|(key, schema)| *key == name || is_alias(schema)).map(|(key, _)| key.as_str())
    }

    /// The names that a person may write.
    fn written(&self) -> impl Iterator<Item = &'a str> {
        let written = self.properties().filter(|(_, schema)| schema["internal"] != true);
        written.map(|(key, _)| key.as_str())
    }

    fn nearest(&self, name: &str) -> Option<&'a str> {
        nearest(name, self.written())
    }

    fn unknown(&self, module: &str, name: &str) -> Problem {
        let problem = Problem::new(name, format!("`{module}` has no parameter `{name}`"));
        match self.nearest(name) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("it takes {}", self.written().collect::<Vec<_>>().join(", "))),
        }
    }

    /// A property's schema without references and without "or null". Extensions beside a `$ref` are kept.
    fn resolve(&self, schema: &Value) -> Value {
        let mut outer = schema.clone();
        let target = match (schema["$ref"].as_str(), schema["anyOf"].as_array()) {
            (Some(reference), _) => self.schema.pointer(reference.trim_start_matches('#')).cloned(),
            (None, Some(options)) => {
                options.iter().find(|option| option["type"] != "null").map(|one| self.resolve(one))
            }
            (None, None) => return outer,
        };
        if let (Some(outer), Some(Value::Object(target))) = (outer.as_object_mut(), target) {
            outer.remove("$ref");
            outer.remove("anyOf");
            for (key, value) in target {
                outer.entry(key).or_insert(value);
            }
        }
        outer
    }

    fn convert(&self, name: &str, schema: &Value, value: Value) -> Result<Value, Problem> {
        if let Some(secret) = as_secret(&value) {
            return take_secret(name, schema, secret);
        }
        match kind(schema) {
            "boolean" => boolean(name, value),
            "string" => string(name, schema, value),
            "integer" | "number" => Ok(number(value)),
            "array" => self.array(name, schema, value),
            "object" => self.object(name, schema, value),
            _ => Ok(value),
        }
    }

    /// As Ansible has it: one value is a list of one, a text with commas is split.
    fn array(&self, name: &str, schema: &Value, value: Value) -> Result<Value, Problem> {
        let items = self.resolve(&schema["items"]);
        let values = match value {
            Value::Array(values) => values,
            Value::String(text) if kind(&items) == "string" => {
                text.split(',').map(|part| Value::String(part.trim().into())).filter(|part| part != "").collect()
            }
            single => vec![single],
        };
        let convert = |(at, value)| self.convert(&format!("{name}[{at}]"), &items, value);
        values.into_iter().enumerate().map(convert).collect::<Result<Vec<_>, _>>().map(Value::Array)
    }

    fn object(&self, name: &str, schema: &Value, value: Value) -> Result<Value, Problem> {
        let Value::Object(entries) = value else {
            return Err(Problem::new(name, format!("must be a dictionary, not {}", describe(&value))));
        };
        let convert = |(key, value): (String, Value)| {
            let known = &schema["properties"][&key];
            let wanted = self.resolve(if known.is_null() { &schema["additionalProperties"] } else { known });
            let path = format!("{name}.{key}");
            Ok((key, self.convert(&path, &wanted, value)?))
        };
        entries.into_iter().map(convert).collect::<Result<Map<_, _>, _>>().map(Value::Object)
    }
}

fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or(""),
        _ if schema["enum"].is_array() || schema["oneOf"].is_array() => "string",
        _ => "",
    }
}

fn as_secret(value: &Value) -> Option<&str> {
    value.as_object().filter(|map| map.len() == 1)?.get(SECRET_KEY)?.as_str()
}

fn take_secret(name: &str, schema: &Value, secret: &str) -> Result<Value, Problem> {
    if schema["public"] == true {
        return Err(Problem::new(name, "is given a secret, but every user of the host can see it while it runs")
            .hint("hand it over by `stdin` or `environment`"));
    }
    if schema["secret"] == true || kind(schema).is_empty() {
        return Ok(json!({ SECRET_KEY: secret }));
    }
    Params { schema }.convert(name, schema, Value::String(secret.into())).map_err(|problem| Problem {
        reason: format!("the secret given has the wrong type; {} expected", kind(schema)),
        ..problem
    })
}

fn boolean(name: &str, value: Value) -> Result<Value, Problem> {
    let text = match &value {
        Value::Bool(_) => return Ok(value),
        Value::String(text) => text.to_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => return Err(Problem::new(name, format!("must be true or false, not {}", describe(&value)))),
    };
    match text.as_str() {
        "y" | "yes" | "on" | "1" | "true" | "t" => Ok(Value::Bool(true)),
        "n" | "no" | "off" | "0" | "false" | "f" => Ok(Value::Bool(false)),
        _ => Err(Problem::new(name, format!("must be true or false, not {}", describe(&value)))),
    }
}

fn string(name: &str, schema: &Value, value: Value) -> Result<Value, Problem> {
    let text = match value {
        Value::String(text) => text,
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        other => return Err(Problem::new(name, format!("must be a text, not {}", describe(&other)))),
    };
    let choices = choices(schema);
    if choices.is_empty() || choices.contains(&text.as_str()) {
        return Ok(Value::String(text));
    }
    let problem = Problem::new(name, format!("must be one of {}, not `{text}`", choices.join(", ")));
    Err(match nearest(&text, choices.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    })
}

/// The variants of an enum, documented (`oneOf` of constants) or not.
fn choices(schema: &Value) -> Vec<&str> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let documented = schema["oneOf"].as_array().into_iter().flatten();
    let documented = documented.flat_map(|one| match one["enum"].as_array() {
        Some(several) => several.iter().collect(),
        None => vec![&one["const"]],
    });
    listed.chain(documented).filter_map(Value::as_str).collect()
}

fn number(value: Value) -> Value {
    let Value::String(text) = &value else { return value };
    let text = text.trim();
    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from)).unwrap_or(value)
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(true) => "`true`".into(),
        Value::Bool(false) => "`false`".into(),
        Value::Number(number) => format!("`{number}`"),
        Value::String(text) => format!("`{text}`"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a dictionary".into(),
    }
}

/// The candidate that a mistyped name most probably means.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let score = |candidate: &'a str| (strsim::damerau_levenshtein(name, candidate), candidate);
    let (distance, candidate) = candidates.into_iter().map(score).min()?;
    (distance <= 1 + name.chars().count() / 4 && distance < candidate.chars().count()).then_some(candidate)
}

/// Permission bits: `"0644"`, or symbolic as chmod(1) has it (`u=rw,go=r`), which is applied to the present bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Octal.
    Bits(u32),
    /// Symbolic clauses, checked.
    Symbolic(String),
}

impl Mode {
    /// The bits that a file shall have which has `now`; `dir` matters for `X`.
    pub fn over(&self, now: u32, kind: &crate::host::Kind) -> u32 {
        match self {
            Self::Bits(bits) => *bits,
            Self::Symbolic(clauses) => {
                let dir = *kind == crate::host::Kind::Dir;
                clauses.split(',').fold(now, |bits, clause| symbolic(clause, bits, dir).unwrap_or(bits))
            }
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match u32::from_str_radix(text, 8) {
                Ok(bits) if bits <= 0o7777 => Ok(Self::Bits(bits)),
                _ => Err(format!("`{text}` is not an octal mode such as \"0644\"")),
            };
        }
        match text.split(',').all(|clause| symbolic(clause, 0, false).is_some()) {
            true => Ok(Self::Symbolic(text.into())),
            false => Err(format!(
                "`{text}` is not a mode: expected octal digits such as \"0644\" or clauses such as u=rw,go=r"
            )),
        }
    }
}

/// One clause of chmod(1): `u+x`, `go=`, `a=rX`.
fn symbolic(clause: &str, bits: u32, dir: bool) -> Option<u32> {
    let at = clause.find(['+', '-', '='])?;
    let (who, rest) = clause.split_at(at);
    let shifts: Vec<u32> = match who {
        "" | "a" => vec![6, 3, 0],
        who => who
            .chars()
            .map(|c| match c {
                'u' => Some(6),
                'g' => Some(3),
                'o' => Some(0),
                _ => None,
            })
            .collect::<Option<_>>()?,
    };
    let (operator, perms) = rest.split_at(1);
    let mut mask = 0;
    for perm in perms.chars() {
        for shift in &shifts {
            mask |= match perm {
                'r' => 4 << shift,
                'w' => 2 << shift,
                'x' => 1 << shift,
                'X' if dir || bits & 0o111 != 0 => 1 << shift,
                'X' => 0,
                's' if *shift == 6 => 0o4000,
                's' if *shift == 3 => 0o2000,
                's' => 0,
                't' => 0o1000,
                _ => return None,
            };
        }
    }
    let all: u32 = shifts.iter().map(|shift| 7 << shift).sum();
    Some(match operator {
        "+" => bits | mask,
        "-" => bits & !mask,
        _ => bits & !all | mask,
    })
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Self::parse(&text).map_err(de::Error::custom),
            Value::Number(number) => from_number(&number).map_err(de::Error::custom),
            other => Err(de::Error::custom(format!("expected a mode such as \"0644\", not {}", describe(&other)))),
        }
    }
}

/// A number comes from a variable that was written `0644` in YAML 1.1 (420), or from a decimal by accident (644). The
/// latter would set bits that nobody wants: without read permission for the owner, or with a sticky bit.
fn from_number(number: &serde_json::Number) -> Result<Mode, String> {
    match number.as_u64().and_then(|bits| u32::try_from(bits).ok()) {
        Some(bits) if bits & 0o400 != 0 && bits <= 0o777 => Ok(Mode::Bits(bits)),
        _ => Err(format!("{number} is a decimal number, not a mode; write \"0{number}\" with quotes")),
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (as_secret(&value), &value) {
            (Some(text), _) => Ok(Self::new(text)),
            (None, Value::String(text)) => Ok(Self::new(text.as_str())),
            (None, Value::Number(number)) => Ok(Self::new(number.to_string())),
            (None, _) => Err(de::Error::custom("expected a text")),
        }
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "secret": true })
    }
}

/// A text that may be secret or not: the content of a file, a line in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content(pub Text);

impl Content {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0.bytes).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (as_secret(&value), value.as_str()) {
            (Some(secret), _) => Ok(Self(Text::secret(secret.as_bytes()))),
            (None, Some(text)) => Ok(Self(Text::plain(text.as_bytes()))),
            (None, None) => Err(de::Error::custom(format!("expected a text, not {}", describe(&value)))),
        }
    }
}

impl JsonSchema for Content {
    fn schema_name() -> Cow<'static, str> {
        "Content".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "secret": true })
    }
}

/// A word of a command line. Refuses secrets: every user of a host can read other processes' arguments.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Word(pub String);

impl JsonSchema for Word {
    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "public": true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kind;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde only")]
    struct Sample {
        #[schemars(extend("aliases" = ["dest"]))]
        path: String,
        #[serde(default)]
        force: bool,
        count: Option<u32>,
        state: Option<State>,
        #[serde(default)]
        names: Vec<String>,
        mode: Option<Mode>,
        password: Option<Secret>,
        line: Option<Content>,
        cmd: Option<Word>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum State {
        /// There.
        Present,
        /// Not there.
        Absent,
    }

    fn sample() -> Value {
        schemars::schema_for!(Sample).to_value()
    }

    #[test]
    fn values_are_fitted_as_ansible_does() {
        let table = [
            (json!({"dest": "/a"}), json!({"path": "/a"})),
            (json!({"path": 5}), json!({"path": "5"})),
            (json!({"force": "yes"}), json!({"force": true})),
            (json!({"force": 0}), json!({"force": false})),
            (json!({"count": "12"}), json!({"count": 12})),
            (json!({"count": null}), json!({})),
            (json!({"names": "a, b"}), json!({"names": ["a", "b"]})),
            (json!({"names": 1}), json!({"names": ["1"]})),
            (json!({"state": "absent"}), json!({"state": "absent"})),
            (json!({"path": {"$secret": "x"}}), json!({"path": "x"})),
            (json!({"password": {"$secret": "x"}}), json!({"password": {"$secret": "x"}})),
            (json!({"line": {"$secret": "x"}}), json!({"line": {"$secret": "x"}})),
        ];
        for (given, wanted) in table {
            assert_eq!(fit(&sample(), "sample", given.clone()), Ok(wanted), "{given}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let table = [
            (json!({"pth": "/a"}), "`sample` has no parameter `pth`; did you mean `path`?"),
            (json!({"force": "maybe"}), "must be true or false, not `maybe`; "),
            (json!({"state": "absnt"}), "must be one of present, absent, not `absnt`; did you mean `absent`?"),
            (json!({"path": ["a"]}), "must be a text, not a list; "),
            (json!({"path": "a", "dest": "b"}), "given twice: it is another name for `path`; "),
            (
                json!({"cmd": {"$secret": "x"}}),
                "is given a secret, but every user of the host can see it while it runs; hand it over by `stdin` or `environment`",
            ),
        ];
        for (given, wanted) in table {
            let problem = fit(&sample(), "sample", given).unwrap_err();
            assert_eq!(format!("{}; {}", problem.reason, problem.hint.unwrap_or_default()), wanted);
        }
    }

    #[test]
    fn names_are_checked_before_values_are_known() {
        let (unknown, missing) = ("`sample` has no parameter", "`sample` needs the parameter `path`");
        let table = [
            ("forse", vec![format!("{unknown} `forse`"), missing.to_owned()]),
            ("pth", vec![format!("{unknown} `pth`")]),
            ("force", vec![missing.to_owned()]),
        ];
        for (given, wanted) in table {
            let problems = check_names(&sample(), "sample", [given]);
            assert_eq!(problems.into_iter().map(|problem| problem.reason).collect::<Vec<_>>(), wanted, "{given}");
        }
    }

    #[test]
    fn modes() {
        let file = Kind::File;
        let table = [
            (json!("0644"), 0, 0o644),
            (json!("644"), 0, 0o644),
            (json!(420), 0, 0o644),
            (json!("u=rw,go=r"), 0o777, 0o644),
            (json!("+x"), 0o644, 0o755),
            (json!("a=rX"), 0o700, 0o555),
            (json!("o-rwx"), 0o777, 0o770),
        ];
        for (given, now, wanted) in table {
            let mode: Mode = serde_json::from_value(given.clone()).unwrap();
            assert_eq!(mode.over(now, &file), wanted, "{given}");
        }
        for (given, wanted) in [
            (json!(644), "644 is a decimal number, not a mode; write \"0644\" with quotes"),
            (json!("0999"), "`0999` is not an octal mode such as \"0644\""),
            (json!("rw"), "`rw` is not a mode: expected octal digits such as \"0644\" or clauses such as u=rw,go=r"),
        ] {
            assert_eq!(serde_json::from_value::<Mode>(given).unwrap_err().to_string(), wanted);
        }
    }
}
